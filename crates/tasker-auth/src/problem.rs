//! Mistakes in a configuration, all of them at once, each with its key.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The key, with dots between sections.
    pub key: String,
    /// What is wrong and what to write, the rest of a sentence that begins with the key.
    pub reason: String,
}

impl Problem {
    /// A mistake at a key.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }

    /// The same mistake, seen from the section that holds the key.
    #[must_use]
    pub fn within(self, section: &str) -> Self {
        let key = if self.key.is_empty() { section.to_owned() } else { format!("{section}.{}", self.key) };
        Self { key, reason: self.reason }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration of authentication cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Reads a section whose every key has a default, and reports every unknown key and wrong type in it, where
/// serde by itself stops at the first.
pub fn read_section<T: DeserializeOwned + Default>(section: &Value) -> Result<T, Vec<Problem>> {
    let keys = match section {
        Value::Null => return Ok(T::default()),
        Value::Object(keys) => keys,
        _ => return Err(vec![Problem::new("", "must be a section of keys and values")]),
    };
    let wrong = |(key, value): (&String, &Value)| {
        let alone = Map::from_iter([(key.clone(), value.clone())]);
        let error = serde_json::from_value::<T>(Value::Object(alone)).err()?;
        Some(Problem::new(key, error.to_string()))
    };
    let problems: Vec<Problem> = keys.iter().filter_map(wrong).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(section.clone()).map_err(|e| vec![Problem::new("", e.to_string())])
}

/// A section as it may be shown: secrets are written as `[redacted]`.
pub fn show_section<T: Serialize>(section: &T) -> Value {
    serde_json::to_value(section).unwrap_or(Value::Null)
}
