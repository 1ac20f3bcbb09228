//! `${NAME}` and `{{ jq }}` in the strings of a step's configuration: where they stand. What the environment of
//! the worker fills in for `${NAME}` is never stored, so secrets are not. `$${` stands for the text `${` itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::WorkflowDefinition;

/// The variables that a definition refers to, each with the steps whose configuration does, so that unset ones can
/// be refused before anything starts. A string that is no template, which is reported elsewhere, refers to none.
pub fn variables(definition: &WorkflowDefinition) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for step in definition.steps() {
        each_string(&step.handler_config, &mut |text| {
            for part in parts(text).unwrap_or_default() {
                let Part::Variable(name) = part else { continue };
                let steps = found.entry(name.to_owned()).or_default();
                if steps.last() != Some(&step.name) {
                    steps.push(step.name.clone());
                }
            }
        });
    }
    found
}

/// One part of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// As it is.
    Text(&'a str),
    /// The name of a variable.
    Variable(&'a str),
    /// A jq program.
    Expression(&'a str),
}

/// The parts of a string, in order; a sentence where a mark begins what does not end.
pub(crate) fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = ["$${", "${", "{{"].iter().filter_map(|open| rest.find(open)).min() {
        let (before, marked) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        let (part, after) = marked_part(marked)?;
        parts.push(part);
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// The part that `marked` begins with, and what follows it.
fn marked_part(marked: &str) -> Result<(Part<'_>, &str), String> {
    if let Some(after) = marked.strip_prefix("$${") {
        return Ok((Part::Text(&marked[1..3]), after));
    }
    if let Some(inner) = marked.strip_prefix("{{") {
        let end = end_of_expression(inner).ok_or("an expression that `{{` begins has no `}}`")?;
        return Ok((Part::Expression(&inner[..end]), &inner[end + 2..]));
    }
    let inner = marked.strip_prefix("${").unwrap_or(marked);
    let (name, after) = inner.split_once('}').ok_or("a variable that `${` begins has no `}`")?;
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(first) || !name.chars().all(|c| first(c) || c.is_ascii_digit()) {
        return Err("`${` must be followed by the name of a variable; write `$${` for the text `${`".into());
    }
    Ok((Part::Variable(name), after))
}

/// The position of the `}}` that ends a jq program. The stack holds the quotes and brackets that are
/// open; a string may hold programs, `"\(…)"`, which may hold strings.
fn end_of_expression(text: &str) -> Option<usize> {
    let mut open: Vec<char> = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (open.last() == Some(&'"'), c) {
            (true, '\\') => {
                if let Some((_, '(')) = chars.next() {
                    open.push('(');
                }
            }
            (true, '"') => drop(open.pop()),
            (true, _) => {}
            (false, '"' | '(' | '[' | '{') => open.push(c),
            (false, '}') if open.is_empty() && text[at..].starts_with("}}") => return Some(at),
            (false, ')' | ']' | '}') => drop(open.pop()),
            (false, '#') => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            (false, _) => {}
        }
    }
    None
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
    fn a_string_is_taken_apart_once_for_all() {
        use Part::{Expression, Text, Variable};
        for (text, expected) in [
            ("http://${HOST}/${_b1}", vec![Text("http://"), Variable("HOST"), Text("/"), Variable("_b1")]),
            ("$${HOST} ${HOST}", vec![Text("${"), Text("HOST} "), Variable("HOST")]),
            ("$HOST é $", vec![Text("$HOST é $")]),
            (r#"{{ "${NO}" }}${YES}"#, vec![Expression(r#" "${NO}" "#), Variable("YES")]),
            (r#"{{ {a: {b: "}}"}} }}"#, vec![Expression(r#" {a: {b: "}}"}} "#)]),
            ("", vec![]),
        ] {
            assert_eq!(parts(text), Ok(expected), "{text}");
        }
        for text in ["${x%y}", "${}", "${1a}", "${ HOST }", "${", "${${A}}", "{{ .a", "{{ \"}} "] {
            assert!(parts(text).is_err(), "{text}");
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
