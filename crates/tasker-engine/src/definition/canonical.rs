//! One text for one JSON value, so that equal values have equal hashes.

use std::fmt::Write;

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// JSON without white space whose object keys are sorted by their UTF-8 bytes.
///
/// The keys are sorted here because the order in which a `serde_json` map hands them out depends on
/// features that any crate of the program may switch on. Minus zero is written as zero, as PostgreSQL
/// gives it back; otherwise `1` and `1.0` stay different numbers.
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// The SHA-256 in lowercase hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => write_number(out, n),
        Value::String(s) => write_string(out, s),
        Value::Array(items) => write_list(out, ['[', ']'], items.iter(), write_value),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            write_list(out, ['{', '}'], entries.into_iter(), |out, (key, value)| {
                write_string(out, key);
                out.push(':');
                write_value(out, value);
            });
        }
    }
}

fn write_list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push(open);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(close);
}

fn write_number(out: &mut String, number: &Number) {
    let minus_zero = number.as_f64().is_some_and(|n| n == 0.0 && n.is_sign_negative());
    let _ = if minus_zero { write!(out, "0.0") } else { write!(out, "{number}") };
}

fn write_string(out: &mut String, text: &str) {
    // The Display of a JSON string is its JSON text, escapes included.
    let _ = write!(out, "{}", Value::String(text.to_owned()));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sorts_keys_at_every_depth() {
        let text = r#"{"b":[{"z":1,"a":2.50}],"a":"\"\n","é":null,"B":true}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(canonical_json(&value), r#"{"B":true,"a":"\"\n","b":[{"a":2.5,"z":1}],"é":null}"#);
    }

    #[test]
    fn numbers() {
        assert_eq!(
            canonical_json(&json!([-0.0, 0, 1.0, 1, u64::MAX, 1e300])),
            "[0.0,0,1.0,1,18446744073709551615,1e+300]"
        );
    }

    #[test]
    fn known_hash() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
