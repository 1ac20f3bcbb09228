//! The name of a database, written as a string or like a symbol.

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr};

use serde::{Deserialize, Serialize};

/// A name: a lower-case letter or `_`, then lower-case letters, digits, `_` and `-`, 63 at most. `:tasker` and
/// `tasker` are the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseName(Box<str>);

/// A text that cannot be a name. It is not quoted: it may be a URL in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot be the name of a database: write a lower-case letter or `_`, then lower-case letters, digits, `_` or `-`, 63 at most"
)]
pub struct BadName(());

impl DatabaseName {
    /// The name without its colon.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    first && text.len() <= 63 && text.chars().all(fits)
}

impl FromStr for DatabaseName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let name = text.strip_prefix(':').unwrap_or(text);
        if is_name(name) { Ok(Self(name.into())) } else { Err(BadName(())) }
    }
}

impl TryFrom<String> for DatabaseName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<DatabaseName> for String {
    fn from(name: DatabaseName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Deref for DatabaseName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for DatabaseName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for DatabaseName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for DatabaseName {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}
