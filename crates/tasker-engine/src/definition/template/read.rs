//! Reads values of a document into Rust types, and gathers a sentence for each that does not fit.

use super::{
    duration,
    error::TemplateProblem,
    node::{Kind, Node},
};
use crate::definition::suggest::nearest;

#[derive(Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<TemplateProblem>,
}

impl Reader {
    pub(super) fn problem(&mut self, at: &Node, message: impl Into<String>) {
        let (line, path, message) = (at.line, at.path.clone(), message.into());
        self.problems.push(TemplateProblem { line, path, message });
    }

    fn mismatch<T>(&mut self, at: &Node, expected: &str) -> Option<T> {
        self.problem(at, format!("expected {expected}, found {}", at.found()));
        None
    }

    /// Reports what is not a map, and keys that nothing reads.
    pub(super) fn map<'a>(&mut self, node: &'a Node, keys: &[&str]) -> Option<&'a Node> {
        let Some(entries) = node.as_map() else { return self.mismatch(node, "a map") };
        for (key, value) in entries.iter().filter(|(key, _)| !keys.contains(&key.as_str())) {
            let hint = match nearest(key, keys.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("expected one of {}", keys.join(", ")),
            };
            self.problem(value, format!("unknown key {key:?}; {hint}"));
        }
        Some(node)
    }

    /// As JSON, with whatever keys.
    pub(super) fn map_of_anything(&mut self, node: &Node) -> Option<serde_json::Value> {
        node.as_map().map(|_| node.to_json()).or_else(|| self.mismatch(node, "a map"))
    }

    pub(super) fn list<'a>(&mut self, node: &'a Node, of: &str) -> &'a [Node] {
        match node.as_list() {
            Some(items) => items,
            None => self.mismatch(node, &format!("a list of {of}")).unwrap_or_default(),
        }
    }

    pub(super) fn string(&mut self, node: &Node, example: &str) -> Option<String> {
        let quote = matches!(node.kind, Kind::Number(_) | Kind::Bool(_));
        let expected = format!("a string such as {example}{}", if quote { " (in quotes)" } else { "" });
        node.as_str().map(str::to_owned).or_else(|| self.mismatch(node, &expected))
    }

    pub(super) fn strings(&mut self, node: &Node, of: &str, example: &str) -> Vec<(String, Node)> {
        let items = self.list(node, of);
        items.iter().filter_map(|item| Some((self.string(item, example)?, item.clone()))).collect()
    }

    pub(super) fn bool(&mut self, node: &Node) -> Option<bool> {
        match node.kind {
            Kind::Bool(value) => Some(value),
            Kind::Null | Kind::Number(_) | Kind::String(_) | Kind::List(_) | Kind::Map(_) => {
                self.mismatch(node, "true or false")
            }
        }
    }

    pub(super) fn whole(&mut self, node: &Node, low: i64, high: i64) -> Option<i64> {
        let value = match &node.kind {
            Kind::Number(n) => n.as_i64().filter(|n| (low..=high).contains(n)),
            Kind::Null | Kind::Bool(_) | Kind::String(_) | Kind::List(_) | Kind::Map(_) => None,
        };
        value.or_else(|| self.mismatch(node, &format!("a whole number from {low} to {high}")))
    }

    pub(super) fn number(&mut self, node: &Node, low: f64, high: f64) -> Option<f64> {
        let value = match &node.kind {
            Kind::Number(n) => n.as_f64().filter(|n| (low..=high).contains(n)),
            Kind::Null | Kind::Bool(_) | Kind::String(_) | Kind::List(_) | Kind::Map(_) => None,
        };
        value.or_else(|| self.mismatch(node, &format!("a number from {low} to {high}")))
    }

    pub(super) fn duration(&mut self, node: &Node) -> Option<u64> {
        let ms = match &node.kind {
            Kind::Number(n) => n.as_f64().and_then(duration::seconds_ms),
            Kind::String(text) => duration::parse_ms(text),
            Kind::Null | Kind::Bool(_) | Kind::List(_) | Kind::Map(_) => None,
        };
        ms.or_else(|| self.mismatch(node, duration::EXPECTED))
    }
}
