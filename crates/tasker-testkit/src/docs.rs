//! The documentation as tests read it: its files, and the commands that it shows.

use std::path::{Path, PathBuf};

/// A command that a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The page, from the root.
    pub page: String,
    /// Its line, from 1.
    pub line: usize,
    /// The words after the program.
    pub words: Vec<String>,
}

/// Every page: the files of the root, of `docs` and of the crates.
///
/// # Panics
/// Where a folder cannot be read.
pub fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md"].map(|name| root.join(name)).into();
    let mut folders = vec![root.join("docs"), root.join("crates")];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let depth = path.strip_prefix(root).map_or(0, |p| p.components().count());
            if path.is_dir() && !path.is_symlink() && (folder.starts_with(root.join("docs")) || depth <= 2) {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") && !path.is_symlink() {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// What stands between backticks in a line, outside of code blocks.
pub fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Each line of a page with its number, and whether it belongs to a block of code of this language.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, Option<&str>, &str)> {
    let mut block = None;
    text.lines().enumerate().filter_map(move |(at, line)| {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(language.trim()) };
            return None;
        }
        Some((at + 1, block, line))
    })
}

/// Every use of a program that the pages show, in a shell block or between backticks: what follows one of `names`.
/// Synopses are read with everything optional given, the first of each choice, and a value for each word in
/// capitals.
///
/// # Panics
/// Where a page cannot be read.
pub fn commands(root: &Path, names: &[&str]) -> Vec<Shown> {
    let mut found = vec![];
    for page in pages(root) {
        let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
        let page = page.strip_prefix(root).unwrap_or(&page).display().to_string();
        for (line, block, text) in lines(&text) {
            let pieces: Vec<&str> = match block {
                Some("sh" | "bash") => vec![text],
                Some("console") => text.strip_prefix("$ ").into_iter().collect(),
                Some(_) => vec![],
                None => spans(text).collect(),
            };
            let commands = pieces.into_iter().filter_map(|piece| after(piece, names));
            found.extend(commands.map(|rest| Shown { page: page.clone(), line, words: words(rest) }));
        }
    }
    found
}

fn after<'a>(piece: &'a str, names: &[&str]) -> Option<&'a str> {
    let rest = names.iter().find_map(|name| piece.trim().strip_prefix(name))?;
    (rest.is_empty() || rest.starts_with(' ')).then_some(rest)
}

fn words(command: &str) -> Vec<String> {
    let command = command.replace("\\|", "|");
    let end = [" # ", " | ", " > ", " && ", " &", ";"].iter().filter_map(|stop| command.find(stop)).min();
    let command = &command[..end.unwrap_or(command.len())];
    split(command)
        .iter()
        .map(|word| word.trim_matches(['[', ']', '…']))
        .filter(|w| !w.is_empty())
        .map(value)
        .collect()
}

/// Words as a shell takes them apart, as far as the pages need it.
fn split(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in command.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            (None, c) if c.is_whitespace() => words.push(String::new()),
            (_, c) => words.last_mut().expect("there is always one").push(c),
        }
    }
    words
}

fn value(word: &str) -> String {
    let word = word.split('|').next().unwrap_or(word);
    match word {
        "TASK" | "ID" | "N" | "S" => "1",
        "INSTANT" => "2026-01-02T03:04:05Z",
        "TIME" => "30d",
        "SHELL" => "bash",
        word => word,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synopses_and_shell_lines_become_words() {
        let all = |text: &str| words(after(text, &["tasker"]).expect("it is the program"));
        assert_eq!(
            all("tasker explain TASK [STEP] [--at INSTANT]"),
            ["explain", "1", "STEP", "--at", "2026-01-02T03:04:05Z"]
        );
        assert_eq!(all("tasker migrate [up\\|down]"), ["migrate", "up"]);
        assert_eq!(
            all("tasker submit w.yaml --input 'a b' | jq . # why"),
            ["submit", "w.yaml", "--input", "a b"]
        );
        assert_eq!(after("taskers", &["tasker"]), None);
    }
}
