//! `cargo xtask tidy`: what the documentation names is there, and what no library may do is not done.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, error::ErrorKind};
use tasker_testkit::docs::{commands, lines, pages, spans};

use crate::{Cli, codegen::root};

/// The crates that only know the database's clock: whatever they decide must come out the same on a host whose own
/// clock is wrong.
const TIMELESS: [&str; 6] =
    ["tasker", "tasker-cli", "tasker-engine", "tasker-model", "tasker-readiness", "tasker-state-machine"];

/// Files of those crates that read the host's clock all the same, and why.
const WALL_CLOCK: [(&str, &str); 1] =
    [("crates/tasker-engine/src/definition/inline.rs", "runs a workflow without any database")];

pub(crate) fn run() -> Result<ExitCode> {
    let problems = problems(&root())?;
    for problem in &problems {
        eprintln!("{problem}");
    }
    println!("{} pages, {} problems", pages(&root()).len(), problems.len());
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A sentence for everything that is wrong.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let sources = Sources::read(root)?;
    let mut problems = vec![];
    for page in pages(root) {
        let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
        let name = page.strip_prefix(root).unwrap_or(&page).display().to_string();
        let compiled = sources.includes(&page);
        for (line, block, text) in lines(&text) {
            let wrong = match block {
                Some("rust") if !compiled => {
                    vec!["a block of Rust that no crate includes, so nothing compiles it".into()]
                }
                Some(_) => vec![],
                None => sources.wrong_in(root, &page, text),
            };
            problems.extend(wrong.into_iter().map(|what| format!("{name}:{line}: {what}")));
        }
    }
    problems.extend(unknown_commands(root));
    problems.extend(sources.wall_clocks());
    problems.dedup();
    Ok(problems)
}

/// Uses of `cargo xtask` that its own parser refuses.
fn unknown_commands(root: &Path) -> Vec<String> {
    let names = ["cargo xtask", "cargo run --release -p xtask --", "cargo run -p xtask --"];
    let refused = commands(root, &names).into_iter().filter_map(|shown| {
        let words = ["xtask"].into_iter().chain(shown.words.iter().map(String::as_str));
        let error = Cli::try_parse_from(words).err().filter(clap::Error::use_stderr)?;
        // Prose names a command without what it needs.
        if shown.words.len() == 1 && error.kind() == ErrorKind::MissingRequiredArgument {
            return None;
        }
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        Some(format!("{}:{}: `cargo xtask {}`: {first}", shown.page, shown.line, shown.words.join(" ")))
    });
    refused.collect()
}

/// The text of everything that pages name.
struct Sources {
    /// Path from the root, and text.
    rust: Vec<(String, String)>,
    sql: String,
    /// Words of the Rust sources that follow a keyword which defines something.
    defined: HashSet<String>,
}

impl Sources {
    fn read(root: &Path) -> Result<Self> {
        let (mut rust, mut sql) = (vec![], String::new());
        for folder in ["crates", "xtask", "benches", "sql", "migrations"] {
            for path in files(&root.join(folder))? {
                let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                match path.extension().and_then(|e| e.to_str()) {
                    Some("rs") => rust.push((name, fs::read_to_string(&path)?)),
                    Some("sql") => sql.push_str(&fs::read_to_string(&path)?),
                    _ => {}
                }
            }
        }
        let defined = rust.iter().flat_map(|(_, text)| definitions(text)).collect();
        Ok(Self { rust, sql, defined })
    }

    fn includes(&self, page: &Path) -> bool {
        // A crate's own page is a link to one of the root, or the other way round.
        let same = |line: &str| {
            let name = line.split('"').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            page.file_name().is_some_and(|own| own == name)
        };
        self.rust.iter().any(|(_, text)| text.lines().any(|line| line.contains("include_str!") && same(line)))
    }

    /// Links, paths and symbols of one line of prose.
    fn wrong_in(&self, root: &Path, page: &Path, line: &str) -> Vec<String> {
        let beside = page.parent().unwrap_or(root);
        let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let broken = links
            .filter(|link| !link.is_empty() && !link.contains("://") && !beside.join(link).exists())
            .map(|link| format!("the link to {link} leads nowhere"));
        let unknown = spans(line).filter(|span| !self.knows(root, beside, span));
        broken.chain(unknown.map(|span| format!("`{span}` is not there"))).collect()
    }

    /// What does not look like a path or a symbol is not ours to judge.
    fn knows(&self, root: &Path, beside: &Path, span: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:{},* ".contains(c);
        let name = span.split('(').next().unwrap_or(span);
        if !name.chars().all(plain) || name.contains("//") {
            return true;
        }
        expand(name).iter().all(|name| {
            if name.contains("::") && name.starts_with("tasker") {
                return name
                    .rsplit("::")
                    .next()
                    .is_some_and(|last| self.defined.contains(last) || last == "*");
            }
            // The file of a configuration is named like an object of the database.
            if let Some(object) = name.strip_prefix("tasker.").filter(|_| name != "tasker.toml") {
                let object = object.split(['.', ' ']).next().unwrap_or(object);
                // Resources of permissions are named alike, and are no objects of the database.
                let resource = format!("\"tasker.{object}\", ");
                return self.sql.contains(&format!("tasker.{object}"))
                    || self.rust.iter().any(|(_, text)| text.contains(&resource));
            }
            let looks = name.contains('/') && !name.contains([' ', '*', ':']);
            let ours = root.join(name.split('/').next().unwrap_or(name)).exists();
            !looks || !ours || root.join(name).exists() || beside.join(name).exists()
        })
    }

    fn wall_clocks(&self) -> Vec<String> {
        let timeless =
            |path: &str| TIMELESS.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")));
        let allowed = |path: &str| WALL_CLOCK.iter().any(|(file, _)| *file == path);
        let mut problems = vec![];
        for (path, text) in self.rust.iter().filter(|(path, _)| timeless(path) && !allowed(path)) {
            let ours = text.split("#[cfg(test)]").next().unwrap_or(text);
            for (at, line) in ours.lines().enumerate() {
                if ["SystemTime::now", "Utc::now", "Local::now"].iter().any(|call| line.contains(call)) {
                    problems
                        .push(format!("{path}:{}: reads the host's clock; the database's decides", at + 1));
                }
            }
        }
        problems
    }
}

/// `a/{b,c}` is `a/b` and `a/c`.
fn expand(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![name.to_owned()] };
    choices.split(',').flat_map(|choice| expand(&format!("{before}{}{after}", choice.trim()))).collect()
}

/// The names that a Rust text defines, or brings from elsewhere.
fn definitions(text: &str) -> HashSet<String> {
    const BEFORE: [&str; 10] =
        ["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "macro_rules!", "as"];
    let mut found = HashSet::new();
    let words = |line: &str| -> Vec<String> {
        line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '!'))
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect()
    };
    for line in text.lines() {
        let words = words(line);
        let after =
            words.windows(2).filter(|pair| BEFORE.contains(&pair[0].as_str())).map(|pair| pair[1].clone());
        found.extend(after);
        // Variants of enums and fields.
        if let Some(first) = words.first().filter(|_| line.starts_with("    ")) {
            found.insert(if first == "pub" { words.get(1).unwrap_or(first).clone() } else { first.clone() });
        }
    }
    found
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (vec![], vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_only_what_is_there() {
        let problems = problems(&root()).unwrap();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn what_is_gone_is_found() {
        let (root, page) = (root(), root().join("docs/retention.md"));
        let sources = Sources::read(&root).unwrap();
        let wrong = |line: &str| sources.wrong_in(&root, &page, line).len();
        assert_eq!(wrong("see [performance](performance.md) and `crates/tasker-engine/src/retention.rs`"), 0);
        assert_eq!(
            wrong("`tasker_engine::retention::Pruning`, `tasker.prune_tasks(…)`, `docs/*.md`, `a/b`"),
            0
        );
        assert_eq!(wrong("[gone](gone.md), `crates/gone.rs`, `docs/{glossary,gone}.md`"), 3);
        assert_eq!(
            wrong("`tasker_engine::Nonesuch`, `tasker.nonesuch`, `tasker_model::{TaskId, Nonesuch}`"),
            3
        );
    }
}
