//! Every option there is: found by its key, and the nearest one to a key that is none.

use std::collections::BTreeSet;

use crate::{Kind, gone, sections};

/// An option: one key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct OptionSpec {
    /// Its key, with dots between its parts; `*` is a name that the configuration chooses.
    pub key: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it does.
    pub doc: &'static str,
    /// What reads it.
    pub reader: &'static str,
}

impl OptionSpec {
    /// The variable that sets it.
    pub fn variable(&self) -> String {
        crate::variables::name_of(self.key)
    }

    /// What it is counted in, as the end of its name says.
    pub fn unit(&self) -> Option<&'static str> {
        [("_seconds", "seconds"), ("_ms", "milliseconds")]
            .into_iter()
            .find_map(|(ending, unit)| self.key.ends_with(ending).then_some(unit))
    }

    fn parts(&self) -> std::str::Split<'static, char> {
        self.key.split('.')
    }

    /// The paths that it has: one, or one for each name that these paths choose in place of its last `*`. None
    /// where the name is the option itself.
    pub(crate) fn instances<'a>(
        &self,
        paths: impl Iterator<Item = &'a Vec<String>>,
    ) -> BTreeSet<Vec<String>> {
        let parts: Vec<String> = self.parts().map(str::to_owned).collect();
        let Some(last) = parts.iter().rposition(|part| part == "*") else { return BTreeSet::from([parts]) };
        let (named, rest) = parts.split_at(last + 1);
        if rest.is_empty() {
            return BTreeSet::new();
        }
        let chosen = paths.filter_map(|path| path.get(..named.len())).filter(|chosen| self.begins(chosen));
        chosen.map(|chosen| [chosen, rest].concat()).collect()
    }

    fn begins(&self, path: &[String]) -> bool {
        let mut parts = self.parts();
        path.iter().all(|part| parts.next().is_some_and(|own| own == "*" || own == part))
    }

    fn is(&self, path: &[String]) -> bool {
        self.parts().count() == path.len() && self.begins(path)
    }
}

/// What stands at a path.
pub(crate) enum At {
    /// Further keys.
    Section,
    Option(&'static OptionSpec),
    /// The path of a file that holds this option's secret.
    FileOf(&'static OptionSpec),
    Nothing,
}

pub(crate) fn at(path: &[String]) -> At {
    if let Some(option) = option(path) {
        return At::Option(option);
    }
    if sections::options().any(|o| o.begins(path)) {
        return At::Section;
    }
    file_of(path).map_or(At::Nothing, At::FileOf)
}

/// Whether the last part of the path is a name that the configuration chose.
pub(crate) fn is_named(path: &[String]) -> bool {
    let last = path.len().wrapping_sub(1);
    sections::options().any(|o| o.begins(path) && o.parts().nth(last) == Some("*"))
}

fn option(path: &[String]) -> Option<&'static OptionSpec> {
    sections::options().find(|o| o.is(path))
}

/// `url_file` beside a secret `url`.
fn file_of(path: &[String]) -> Option<&'static OptionSpec> {
    let (last, before) = path.split_last()?;
    let mut path = before.to_vec();
    path.push(last.strip_suffix("_file")?.to_owned());
    option(&path).filter(|o| o.kind.is_secret())
}

/// Why nothing reads a key, and what to write instead.
pub(crate) fn unknown(path: &[String]) -> String {
    if let Some(gone) = gone::find(path) {
        return format!("is not an option: {}", gone.why);
    }
    match meant(path) {
        Some(key) => format!("is not an option; did you mean `{key}`?"),
        None => format!("is not an option; there are {}", beside(path).join(", ")),
    }
}

/// The key that somebody had in mind: one of nearly that name beside it, or one of that name elsewhere.
fn meant(path: &[String]) -> Option<String> {
    let (last, before) = path.split_last()?;
    let names = beside(path);
    if let Some(near) = nearest(last, names.iter().copied()) {
        let parts: Vec<&str> = before.iter().map(String::as_str).chain([near]).collect();
        return Some(parts.join("."));
    }
    let same = sections::options().find(|o| o.parts().next_back() == Some(last));
    same.map(|o| o.key.to_owned())
}

/// The names that may stand where the path ends.
fn beside(path: &[String]) -> Vec<&'static str> {
    let before = path.split_last().map_or(path, |(_, before)| before);
    let mut names: Vec<_> = sections::options()
        .filter(|o| o.begins(before))
        .filter_map(|o| o.parts().nth(before.len()))
        .collect();
    names.dedup();
    names
}

/// The word that differs by few edits, if there is one.
pub(crate) fn nearest<'a>(unknown: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A word of any length can be asked about, and comparing takes the square of it.
    if unknown.len() > 100 {
        return None;
    }
    let most = (unknown.chars().count() / 3).clamp(1, 4);
    let edits = |word: &str| strsim::damerau_levenshtein(&unknown.to_lowercase(), word);
    words
        .map(|word| (edits(word), word))
        .filter(|(n, _)| *n <= most)
        .min_by_key(|(n, _)| *n)
        .map(|(_, word)| word)
}
