//! What JSON may be stored: bounded, and without the one character that PostgreSQL's `jsonb` refuses.

use std::io;

use serde::Serialize;
use serde_json::Value;

/// Bounds of a stored JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Nested arrays and objects; 64 by default.
    pub max_depth: usize,
    /// Bytes of its compact text; 1 MiB by default.
    pub max_bytes: usize,
    /// Whether it must be an object, as contexts must; not by default.
    pub object: bool,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { max_depth: 64, max_bytes: 1 << 20, object: false }
    }
}

impl JsonLimits {
    /// The default bounds of a value that must be an object.
    pub fn object() -> Self {
        Self { object: true, ..Self::default() }
    }
}

/// Why a JSON value is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// PostgreSQL's `jsonb` cannot hold it.
    #[error("{path} contains the character \\u0000, which cannot be stored")]
    NulCharacter {
        /// Where, as `value.items[0]`.
        path: String,
    },
    /// Nested deeper than allowed.
    #[error("{path} is nested deeper than {limit} levels")]
    TooDeep {
        /// Where, as `value.items[0]`.
        path: String,
        /// The bound.
        limit: usize,
    },
    /// Larger than allowed.
    #[error("the value has {bytes} bytes as JSON, more than the {limit} allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// A context, a result with fields or a configuration is an object.
    #[error("expected an object, found {found}")]
    NotAnObject {
        /// What there is.
        found: &'static str,
    },
}

/// Checks a value before anything is written; the first problem is returned.
///
/// # Errors
/// One variant of [`JsonError`] for each bound.
pub fn check_json(value: &Value, limits: JsonLimits) -> Result<(), JsonError> {
    if limits.object && !value.is_object() {
        return Err(JsonError::NotAnObject { found: kind_of(value) });
    }
    walk(value, limits.max_depth)?;
    match json_size(value) {
        bytes if bytes > limits.max_bytes => Err(JsonError::TooLarge { bytes, limit: limits.max_bytes }),
        _ => Ok(()),
    }
}

/// The word for a value's type, with its article.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Bytes of the compact text, counted without making it.
pub(super) fn json_size(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Goes through the value with its own stack: what comes in may be nested deeper than ours is.
fn walk(root: &Value, max_depth: usize) -> Result<(), JsonError> {
    let mut trail = vec![Level { key: Step::Root, children: Children::of_root(root) }];
    while let Some(level) = trail.last_mut() {
        let Some((key, value)) = level.children.next() else {
            trail.pop();
            continue;
        };
        let nul = matches!(key, Step::Key(k) if k.contains('\0'))
            || matches!(value, Value::String(s) if s.contains('\0'));
        if nul {
            return Err(JsonError::NulCharacter { path: path(&trail, key) });
        }
        if let Some(children) = Children::of(value) {
            if trail.len() > max_depth {
                return Err(JsonError::TooDeep { path: path(&trail, Step::Root), limit: max_depth });
            }
            trail.push(Level { key, children });
        }
    }
    Ok(())
}

struct Level<'a> {
    key: Step<'a>,
    children: Children<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

enum Children<'a> {
    Root(Option<&'a Value>),
    Object(serde_json::map::Iter<'a>),
    Array(std::iter::Enumerate<std::slice::Iter<'a, Value>>),
}

impl<'a> Children<'a> {
    fn of_root(root: &'a Value) -> Self {
        Self::Root(Some(root))
    }

    fn of(value: &'a Value) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self::Object(map.iter())),
            Value::Array(items) => Some(Self::Array(items.iter().enumerate())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }

    fn next(&mut self) -> Option<(Step<'a>, &'a Value)> {
        match self {
            Self::Root(root) => root.take().map(|v| (Step::Root, v)),
            Self::Object(entries) => entries.next().map(|(k, v)| (Step::Key(k), v)),
            Self::Array(items) => items.next().map(|(i, v)| (Step::Index(i), v)),
        }
    }
}

/// `value.items[0].name`, long paths cut in the middle of nothing: at most 200 characters.
fn path(trail: &[Level<'_>], last: Step<'_>) -> String {
    let mut out = String::from("value");
    for step in trail.iter().map(|level| level.key).chain([last]) {
        match step {
            Step::Root => {}
            Step::Key(key) => {
                out.push('.');
                out.extend(key.escape_debug());
            }
            Step::Index(i) => out.push_str(&format!("[{i}]")),
        }
    }
    match out.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(value: &Value, limits: JsonLimits) -> String {
        check_json(value, limits).unwrap_err().to_string()
    }

    #[test]
    fn refuses_nul_in_strings_and_keys() {
        let limits = JsonLimits::default();
        assert_eq!(
            refusal(&json!({"items": [{"note": "a\u{0}b"}]}), limits),
            "value.items[0].note contains the character \\u0000, which cannot be stored"
        );
        assert!(refusal(&json!({"a\u{0}": 1}), limits).starts_with("value.a\\0 contains"));
        assert!(check_json(&json!("a\\u0000b"), limits).is_ok(), "an escaped backslash is not the character");
    }

    #[test]
    fn refuses_depth() {
        let nested = |n| (0..n).fold(json!(1), |v, _| json!([v]));
        assert!(check_json(&nested(64), JsonLimits::default()).is_ok());
        assert!(refusal(&nested(65), JsonLimits::default()).ends_with("is nested deeper than 64 levels"));
    }

    #[test]
    fn refuses_size() {
        let limits = JsonLimits { max_bytes: 10, ..JsonLimits::default() };
        assert!(check_json(&json!("12345678"), limits).is_ok());
        assert_eq!(
            refusal(&json!("123456789"), limits),
            "the value has 11 bytes as JSON, more than the 10 allowed"
        );
    }

    #[test]
    fn wants_an_object() {
        assert_eq!(refusal(&json!([]), JsonLimits::object()), "expected an object, found an array");
        assert!(check_json(&json!({}), JsonLimits::object()).is_ok());
    }
}
