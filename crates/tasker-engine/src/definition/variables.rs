//! `${NAME}` in a step's configuration: what the environment of the worker fills in, so that secrets are
//! never stored. `$${NAME}` stands for the text `${NAME}` itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::WorkflowDefinition;

/// The variables that a definition refers to, each with the steps whose configuration does, so that
/// unset ones can be refused before anything starts.
pub fn variables(definition: &WorkflowDefinition) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for step in definition.steps() {
        each_string(&step.handler_config, &mut |text| {
            for piece in pieces(text) {
                let Piece::Variable(name) = piece else { continue };
                let steps = found.entry(name.to_owned()).or_default();
                if steps.last() != Some(&step.name) {
                    steps.push(step.name.clone());
                }
            }
        });
    }
    found
}

/// The text with its variables filled in.
///
/// # Errors
/// The name of the first variable that `lookup` does not know.
pub fn expand_variables(
    text: &str,
    mut lookup: impl FnMut(&str) -> Option<String>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable(name) => out.push_str(&lookup(name).ok_or_else(|| name.to_owned())?),
        }
    }
    Ok(out)
}

#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// What looks like a variable but has no such name, as `${x%y}`, is text.
fn pieces(mut rest: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(at) = rest[from..].find("${").map(|i| i + from) {
        if rest[..at].ends_with('$') {
            pieces.push(Piece::Text(&rest[..at - 1]));
            (rest, from) = (&rest[at..], 2);
        } else if let Some(name) = variable_name(&rest[at + 2..]) {
            pieces.extend([Piece::Text(&rest[..at]), Piece::Variable(name)]);
            (rest, from) = (&rest[at + 3 + name.len()..], 0);
        } else {
            from = at + 2;
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Letters, digits and `_`, not beginning with a digit, up to the closing brace.
fn variable_name(text: &str) -> Option<&str> {
    let name = &text[..text.find('}')?];
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (plain && name.starts_with(|c: char| !c.is_ascii_digit())).then_some(name)
}

/// The values of objects and lists; keys are never expanded.
fn each_string<'a>(root: &'a Value, visit: &mut impl FnMut(&'a str)) {
    match root {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| each_string(item, visit)),
        Value::Object(map) => map.values().for_each(|value| each_string(value, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::{StepDefinition, WorkflowParts};

    #[test]
    fn expands() {
        let lookup = |name: &str| (name == "HOST").then(|| "shop".to_owned());
        for (text, expected) in [
            ("http://${HOST}/${HOST}", Ok("http://shop/shop")),
            ("$${HOST} ${HOST}", Ok("${HOST} shop")),
            ("$$${HOST}", Ok("$${HOST}")),
            ("${x%y} ${} ${1a} ${ HOST } ${", Ok("${x%y} ${} ${1a} ${ HOST } ${")),
            ("$HOST é", Ok("$HOST é")),
            ("${${HOST}}", Ok("${shop}")),
            ("${TOKEN}", Err("TOKEN")),
        ] {
            assert_eq!(
                expand_variables(text, lookup),
                expected.map(Into::into).map_err(Into::into),
                "{text}"
            );
        }
    }

    #[test]
    fn lists_variables_with_their_steps() {
        let step = |name: &str, config| StepDefinition {
            handler_config: config,
            ..StepDefinition::new(name, "http")
        };
        let steps = vec![
            step("a", json!({"url": "${HOST}/${HOST}", "${KEY}": ["$${NOT}", {"h": "Bearer ${TOKEN}"}]})),
            step("b", json!({"url": "${HOST}"})),
        ];
        let definition = WorkflowDefinition::new(WorkflowParts { steps, ..WorkflowParts::new("w") }).unwrap();
        let found = variables(&definition);
        assert_eq!(found["HOST"], ["a", "b"]);
        assert_eq!(found["TOKEN"], ["a"]);
        assert_eq!(found.len(), 2);
    }
}
