//! What files, variables and code say, in one form, each value with its place.

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::{Mistake, Source};

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) source: Source,
    pub(crate) item: Item,
}

/// A value that nothing is known about yet.
#[derive(Debug)]
pub(crate) enum Item {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    /// The text of a variable, to be read as what the option is.
    Raw(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    /// What no option can be; its name.
    Other(&'static str),
}

impl Item {
    /// What was found, for a sentence. Never the value itself.
    pub(crate) fn found(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Text(_) | Self::Raw(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a section",
            Self::Other(name) => name,
        }
    }
}

impl Node {
    /// A value that stands at a path, inside of the sections that lead there.
    pub(crate) fn within(self, path: &[String]) -> Self {
        path.iter().rev().fold(self, |node, part| {
            let source = node.source.clone();
            Self { source, item: Item::Table(vec![(part.clone(), node)]) }
        })
    }

    /// Says of the value and all in it that it is an override of an environment.
    pub(crate) fn name_environment(&mut self, name: &str) {
        if let Source::File { environment, .. } = &mut self.source {
            *environment = Some(name.to_owned());
        }
        match &mut self.item {
            Item::Table(keys) => keys.iter_mut().for_each(|(_, node)| node.name_environment(name)),
            Item::List(items) => items.iter_mut().for_each(|node| node.name_environment(name)),
            Item::Bool(_)
            | Item::Integer(_)
            | Item::Number(_)
            | Item::Text(_)
            | Item::Raw(_)
            | Item::Other(_) => {}
        }
    }

    /// A value of code.
    pub(crate) fn of_json(value: Value) -> Self {
        let item = match value {
            Value::Null => Item::Other("nothing"),
            Value::Bool(value) => Item::Bool(value),
            Value::Number(n) => {
                n.as_i64().map(Item::Integer).or_else(|| n.as_f64().map(Item::Number)).unwrap_or(BIG)
            }
            Value::String(text) => Item::Text(text),
            Value::Array(items) => Item::List(items.into_iter().map(Self::of_json).collect()),
            Value::Object(keys) => {
                Item::Table(keys.into_iter().map(|(k, v)| (k, Self::of_json(v))).collect())
            }
        };
        Self { source: Source::Code, item }
    }

    /// A TOML document, or every place at which it is none.
    pub(crate) fn of_toml(text: &str, name: &str) -> Result<Self, Vec<Mistake>> {
        let lines = Lines { text, name };
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(lines.table(table.get_ref(), 0));
        }
        let mistake = |e: &toml::de::Error| {
            let source = lines.source(e.span().map_or(0, |span| span.start));
            Mistake::new(&source, &[], format!("no TOML: {}", e.message().replace('\n', "; ")))
        };
        Err(errors.iter().map(mistake).collect())
    }
}

const BIG: Item = Item::Other("a number that is too large");

/// A text whose bytes have lines.
struct Lines<'a> {
    text: &'a str,
    name: &'a str,
}

impl Lines<'_> {
    fn source(&self, at: usize) -> Source {
        let before = self.text.as_bytes().iter().take(at);
        let line = Some(1 + before.filter(|byte| **byte == b'\n').count());
        Source::File { name: self.name.to_owned(), line, environment: None }
    }

    fn table(&self, table: &DeTable<'_>, at: usize) -> Node {
        let entries = table.iter().map(|(key, value)| {
            // A section's line is that of its name, wherever its brackets stand.
            let node = self.value(value.get_ref(), key.span().start);
            (key.get_ref().clone().into_owned(), node)
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by_key(|(_, node)| match &node.source {
            Source::File { line, .. } => *line,
            Source::Default | Source::Variable { .. } | Source::Code => None,
        });
        Node { source: self.source(at), item: Item::Table(entries) }
    }

    fn value(&self, value: &DeValue<'_>, at: usize) -> Node {
        let item = match value {
            DeValue::Table(table) => return self.table(table, at),
            DeValue::String(text) => Item::Text(text.clone().into_owned()),
            DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).map_or(BIG, Item::Integer),
            DeValue::Float(n) => match n.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Item::Number(number),
                _ => Item::Other("no finite number"),
            },
            DeValue::Boolean(value) => Item::Bool(*value),
            DeValue::Datetime(_) => Item::Other("a date"),
            DeValue::Array(items) => {
                Item::List(items.iter().map(|v| self.value(v.get_ref(), v.span().start)).collect())
            }
        };
        Node { source: self.source(at), item }
    }
}
