//! A configuration as it may be seen.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use tasker_multidb::DatabaseUrl;

use crate::{
    Kind, Source,
    build::Values,
    config::Entry,
    schema::{self, At},
    sections,
};

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
    let unset = sections::options().flat_map(|option| {
        let unset = option.instances(values.keys()).into_iter().filter(|path| !is_set(path, values));
        unset.map(|path| Shown {
            key: path.join("."),
            value: sections::default(option.key),
            source: Source::Default,
        })
    });
    let set = values.iter().map(|(path, entry)| Shown {
        key: path.join("."),
        value: seen(path, entry),
        source: entry.source.clone(),
    });
    let mut all: Vec<Shown> = unset.chain(set).collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

fn is_set(path: &[String], values: &Values) -> bool {
    values.keys().any(|at| at.starts_with(path))
}

fn seen(path: &[String], entry: &Entry) -> Value {
    let url = || entry.value.as_str()?.parse::<DatabaseUrl>().ok();
    match schema::at(path) {
        At::Option(option) if option.kind == Kind::Url => {
            url().map_or_else(|| HIDDEN.into(), |url| url.to_string().into())
        }
        _ if entry.is_secret => HIDDEN.into(),
        _ => entry.value.clone(),
    }
}
