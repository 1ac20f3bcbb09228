//! Mistakes of a configuration, each with its place, its key and what to write instead.

use std::fmt;

use serde::Serialize;

/// Where a value, or a mistake, comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A TOML file.
    File {
        /// Its path, or the name that a text was given.
        name: String,
        /// The line, counted from 1; none for the file as a whole.
        line: Option<usize>,
        /// The environment whose overrides say it; none for the file's own sections.
        environment: Option<String>,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
    },
    /// The program itself.
    Code,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Code => f.write_str("code"),
            Self::Variable { name } => f.write_str(name),
            Self::File { name, line, environment } => {
                f.write_str(name)?;
                line.iter().try_for_each(|line| write!(f, ":{line}"))?;
                environment.iter().try_for_each(|name| write!(f, " (environment {name})"))
            }
        }
    }
}

/// One mistake. Values of secrets are never in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mistake {
    /// Where it stands.
    pub source: Source,
    /// The key, with dots between its parts; empty for a file as a whole.
    pub key: String,
    /// What is wrong and what to write, the rest of a sentence that begins with the key.
    pub reason: String,
}

impl Mistake {
    pub(crate) fn new(source: &Source, path: &[String], reason: impl Into<String>) -> Self {
        Self { source: source.clone(), key: path.join("."), reason: reason.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        if self.key.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{} {}", self.key, self.reason)
        }
    }
}

/// A configuration that cannot be used: every mistake in it, in the order of files, variables and code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfigReport(Vec<Mistake>);

impl ConfigReport {
    pub(crate) fn new(mistakes: Vec<Mistake>) -> Self {
        Self(mistakes)
    }

    /// The mistakes, at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl std::error::Error for ConfigReport {}

impl fmt::Display for ConfigReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = if self.0.len() == 1 { "1 mistake".into() } else { format!("{} mistakes", self.0.len()) };
        write!(f, "the configuration cannot be used, {many}:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}
