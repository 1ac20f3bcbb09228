//! A configuration as it may be seen.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::{OptionSpec, Source, build::Values, config::Entry, sections};

/// What stands in place of a secret.
const HIDDEN: &str = "[redacted]";

/// One option of a configuration, without secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Shown {
    /// Its key.
    pub key: String,
    /// Its value; null where it has none, `[redacted]` where it is secret.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

/// As a line of TOML, with where it comes from.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => write!(f, "# {} is not set", self.key),
            value => write!(f, "{} = {value}  # {}", self.key, self.source),
        }
    }
}

/// Every option, those that nobody set with their defaults.
pub(crate) fn all(values: &Values) -> Vec<Shown> {
    let unset = sections::options().filter(|o| !o.key.contains('*') && !is_set(o, values)).map(|o| Shown {
        key: o.key.to_owned(),
        value: sections::default(o.key),
        source: Source::Default,
    });
    let set = values.iter().map(|(path, entry)| Shown {
        key: path.join("."),
        value: seen(entry),
        source: entry.source.clone(),
    });
    let mut all: Vec<Shown> = unset.chain(set).collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

fn is_set(option: &OptionSpec, values: &Values) -> bool {
    let path: Vec<String> = option.key.split('.').map(str::to_owned).collect();
    values.keys().any(|at| at.starts_with(&path))
}

fn seen(entry: &Entry) -> Value {
    if entry.is_secret { HIDDEN.into() } else { entry.value.clone() }
}
