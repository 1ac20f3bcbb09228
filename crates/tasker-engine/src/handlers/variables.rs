//! Environment variables for configurations, given by the caller: library code reads no environment.

use std::{collections::BTreeMap, fmt, sync::Arc};

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where `${NAME}` in a handler's configuration is looked up. Cheap to clone.
///
/// Values are often secrets. They are put into the configuration of a running attempt only: never into
/// the stored definition, never into a jq program, and error messages show `${NAME}` in their place.
#[derive(Clone)]
pub struct Variables(Arc<Lookup>);

impl Variables {
    /// No variable is set.
    pub fn none() -> Self {
        Self::new(|_| None)
    }

    /// Variables from a function, asked anew by every attempt; `None` means unset. A binary passes
    /// `|name| std::env::var(name).ok()`, better restricted to a prefix or a list of its own.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }
}

impl Default for Variables {
    fn default() -> Self {
        Self::none()
    }
}

impl From<BTreeMap<String, String>> for Variables {
    fn from(values: BTreeMap<String, String>) -> Self {
        Self::new(move |name| values.get(name).cloned())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

/// The variables that one attempt has used, to take their values out of messages again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Used(BTreeMap<String, String>);

impl Used {
    pub(crate) fn insert(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The text with `${NAME}` in place of each value, longer values first, since one may contain
    /// another. A URL holds a value percent-encoded, so that form is looked for too.
    pub(crate) fn hidden(&self, text: &str) -> String {
        let mut values: Vec<(String, &str)> = Vec::new();
        for (name, value) in &self.0 {
            values.push((value.clone(), name));
            values.push((as_in_path(value), name));
        }
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        values.iter().filter(|(value, _)| !value.is_empty()).fold(text.to_owned(), |text, (value, name)| {
            text.replace(value.as_str(), &format!("${{{name}}}"))
        })
    }
}

fn as_in_path(value: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse("http://host/") else { return String::new() };
    url.set_path(value);
    url.path().trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_also_where_they_are_encoded() {
        let mut used = Used::default();
        used.insert("TOKEN", "a b/ü");
        used.insert("PART", "a b");
        used.insert("EMPTY", "");
        assert_eq!(used.hidden("http://h/a%20b/%C3%BC/x"), "http://h/${TOKEN}/x");
        assert_eq!(used.hidden("bad token: a b/ü, a b"), "bad token: ${TOKEN}, ${PART}");
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", Variables::new(|_| Some("secret".into()))), "Variables");
    }
}
