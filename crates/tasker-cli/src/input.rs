//! The contexts of tasks from a JSON object, an array or NDJSON.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use serde_json::Value;

use crate::exit::{Failure, Outcome};

/// Reads a text file; `-` is stdin.
pub(crate) fn read_text(path: &Path) -> Outcome<String> {
    let bytes = if path == Path::new("-") {
        let mut bytes = vec![];
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    let failed =
        |why: &dyn std::fmt::Display| Failure::input(format!("{} cannot be read: {why}", shown(path)));
    let bytes = bytes.map_err(|e| failed(&e))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The name of a file as people know it.
pub(crate) fn shown(path: &Path) -> String {
    if path == Path::new("-") { "stdin".into() } else { path.display().to_string() }
}

/// Every context that a file holds: an object is one task, an array one task an element, and a file may hold
/// several values, as NDJSON does. `pointer` picks what counts inside each value.
pub(crate) fn contexts(path: &Path, pointer: Option<&str>) -> Outcome<Vec<Value>> {
    let text = read_text(path)?;
    parse(&text, pointer).map_err(|why| Failure::input(format!("{}: {why}", shown(path))))
}

fn parse(text: &str, pointer: Option<&str>) -> Result<Vec<Value>, String> {
    let mut contexts = vec![];
    let mut values = 0;
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|e| format!("not JSON: {e}"))?;
        values += 1;
        let picked = pick(value, pointer)?;
        if let Value::Array(items) = picked {
            contexts.extend(items);
        } else {
            contexts.push(picked);
        }
    }
    if values == 0 {
        return Err("it is empty; expected a JSON object, an array of objects, or one object a line".into());
    }
    match contexts.iter().position(|c| !c.is_object()) {
        None => Ok(contexts),
        Some(at) => Err(format!("item {at} is {}; the context of a task is an object", kind(&contexts[at]))),
    }
}

fn pick(mut value: Value, pointer: Option<&str>) -> Result<Value, String> {
    let Some(pointer) = pointer else { return Ok(value) };
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(format!("--at {pointer} is no JSON pointer; one begins with /, as /items"));
    }
    let found = value.pointer_mut(pointer).map(Value::take);
    found.ok_or_else(|| format!("there is nothing at {pointer}"))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn count(text: &str, pointer: Option<&str>) -> Result<usize, String> {
        parse(text, pointer).map(|c| c.len())
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(count("{}", None), Ok(1));
        assert_eq!(count("[{}, {}]", None), Ok(2));
        assert_eq!(count("[]", None), Ok(0));
        assert_eq!(count("{}\n{}\n\n{}\n", None), Ok(3));
        assert_eq!(count(r#"{"a": {"items": [{}, {}]}}"#, Some("/a/items")), Ok(2));
        assert_eq!(count("{}", Some("")), Ok(1));
    }

    #[test]
    fn what_is_no_task_is_refused_in_a_sentence() {
        assert!(count("", None).unwrap_err().starts_with("it is empty"));
        assert!(count("[{}, 3]", None).unwrap_err().starts_with("item 1 is a number"));
        assert_eq!(count("{}", Some("/x")).unwrap_err(), "there is nothing at /x");
        assert!(count("{}", Some("x")).unwrap_err().contains("begins with /"));
        assert!(count("{}\n{", None).unwrap_err().contains("line 2"));
    }
}
