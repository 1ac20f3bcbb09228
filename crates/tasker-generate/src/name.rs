//! The name of what is generated: a module in `snake_case`, a type in `PascalCase`, never a path.

use std::fmt;

/// As long as the column of a workflow's name.
const LONGEST: usize = 64;

/// What Rust keeps for itself, in every edition.
const KEYWORDS: [&str; 53] = [
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "macro_rules",
];

/// A module of this name would hide a crate that the generated code uses, or be the file of something else.
const TAKEN: [&str; 20] = [
    "alloc",
    "aux",
    "build",
    "chrono",
    "con",
    "core",
    "diesel",
    "lib",
    "main",
    "nul",
    "prn",
    "serde",
    "serde_json",
    "std",
    "tasker",
    "tasker_auth",
    "tasker_testkit",
    "test",
    "tests",
    "tokio",
];

/// A valid name. `OrderFlow`, `order_flow` and `order-flow` are the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` cannot be the name of {what}: {why}", shown(.text))]
pub struct NameError {
    what: &'static str,
    text: String,
    why: String,
}

/// Without control characters, and not longer than a line.
fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

impl Name {
    /// The name of a module; `what` is what it will be, for the sentence that refuses it.
    ///
    /// # Errors
    /// If it is not 1 to 64 ASCII letters, digits and single separators that begin with a letter, is a keyword,
    /// or is taken by what every program has.
    pub fn module(what: &'static str, text: &str) -> Result<Self, NameError> {
        let name = Self::identifier(what, text)?;
        if TAKEN.contains(&name.snake()) {
            return Err(refused(what, text, "the generated code needs that name itself"));
        }
        Ok(name)
    }

    /// The name of a module and of the type in it; `template` is the text that the type will stand in.
    ///
    /// # Errors
    /// As [`module`](Self::module), and if the text has another use for the type's name.
    pub(crate) fn of_type(what: &'static str, text: &str, template: &str) -> Result<Self, NameError> {
        let name = Self::module(what, text)?;
        let pascal = name.pascal();
        let code = template.lines().filter(|line| !line.trim_start().starts_with("//"));
        let mut words = code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()));
        if words.any(|word| word == pascal) {
            return Err(refused(what, text, "the generated code needs that name itself"));
        }
        Ok(name)
    }

    /// The name of a function or of something within a module.
    ///
    /// # Errors
    /// As [`module`](Self::module), but for names that are taken.
    pub fn identifier(what: &'static str, text: &str) -> Result<Self, NameError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) || !text.chars().all(is_plain) {
            return Err(refused(what, text, "write letters, digits and `_`, beginning with a letter"));
        }
        let snake = snake(text);
        if snake.len() > LONGEST {
            return Err(refused(what, text, &format!("it has more than {LONGEST} characters")));
        }
        if snake.contains("__") || snake.ends_with('_') {
            return Err(refused(what, text, "write one `_` between words, and none at the end"));
        }
        if KEYWORDS.contains(&snake.as_str()) {
            return Err(refused(what, text, "it is a keyword of Rust"));
        }
        Ok(Self(snake))
    }

    /// `order_flow`: the module, its file, the workflow.
    pub fn snake(&self) -> &str {
        &self.0
    }

    /// `OrderFlow`: the type.
    pub fn pascal(&self) -> String {
        let capital = |word: &str| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
                .collect::<String>()
        };
        self.0.split('_').map(capital).collect()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn refused(what: &'static str, text: &str, why: &str) -> NameError {
    NameError { what, text: text.to_owned(), why: why.to_owned() }
}

/// A word begins at a capital after a small letter or digit, and at the last capital of several.
fn snake(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut snake = String::new();
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| letters.get(i));
        let follows = |c: Option<&char>, is: fn(&char) -> bool| c.is_some_and(is);
        let begins = letter.is_ascii_uppercase()
            && (follows(before, |c| c.is_ascii_lowercase() || c.is_ascii_digit())
                || follows(before, char::is_ascii_uppercase)
                    && follows(letters.get(at + 1), char::is_ascii_lowercase));
        if begins {
            snake.push('_');
        }
        snake.push(if letter == '-' { '_' } else { letter.to_ascii_lowercase() });
    }
    snake
}
