//! A parsed document whose every value knows its line and its path, so that sentences can name both.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};
use serde_saphyr::budget::BudgetBreach;

/// A value of the document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Counted from 1; none in JSON, whose parser does not tell.
    pub(super) line: Option<u64>,
    /// `step_templates[2].handler_config`; empty for the document itself.
    pub(super) path: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value of a key, if this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, node)| node),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::List(_) => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Map(_) => None,
        }
    }

    pub(super) fn as_map(&self) -> Option<&[(String, Node)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::List(_) => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Number(n) => Value::Number(n.clone()),
            Kind::String(s) => Value::String(s.clone()),
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Map(entries) => entries.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
        }
    }

    /// What there is, for "expected …, found …".
    pub(super) fn found(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".into(),
            Kind::Bool(b) => format!("the boolean {b}"),
            Kind::Number(n) => format!("the number {n}"),
            Kind::String(s) if s.chars().nth(60).is_some() => "a long string".into(),
            Kind::String(s) => format!("the string {s:?}"),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
        }
    }

    /// This with the values of `over` put over it: maps key by key, anything else whole. Each value
    /// keeps the place it came from.
    pub(super) fn overlaid(&self, over: &Node) -> Node {
        let (Kind::Map(base), Kind::Map(changes)) = (&self.kind, &over.kind) else { return over.clone() };
        let mut entries = base.clone();
        for (key, change) in changes {
            match entries.iter_mut().find(|(k, _)| k == key) {
                Some((_, node)) => *node = node.overlaid(change),
                None => entries.push((key.clone(), change.clone())),
            }
        }
        Node { kind: Kind::Map(entries), ..self.clone() }
    }

    /// Fills in the paths from here down. The parser has bounded the depth.
    fn with_path(mut self, path: String) -> Self {
        match &mut self.kind {
            Kind::List(items) => {
                *items = std::mem::take(items)
                    .into_iter()
                    .enumerate()
                    .map(|(i, node)| node.with_path(format!("{path}[{i}]")))
                    .collect();
            }
            Kind::Map(entries) => {
                for (key, node) in entries {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    *node = std::mem::replace(node, Node::empty()).with_path(path);
                }
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => {}
        }
        self.path = path;
        self
    }

    fn empty() -> Self {
        Self { line: None, path: String::new(), kind: Kind::Null }
    }
}

/// Why a text is not a document.
pub(super) struct ParseError {
    pub(super) line: Option<u64>,
    pub(super) message: String,
}

/// More text than any definition needs.
const MAX_TEXT: usize = 4 << 20;

/// What the YAML parser and the levels of a document need, with much room, in builds without
/// optimization too.
const STACK: usize = 16 << 20;
const MAX_DEPTH: usize = 80;

/// Reads JSON if the text is JSON, else YAML.
pub(super) fn parse(text: &str, json: bool) -> Result<Node, ParseError> {
    if text.len() > MAX_TEXT {
        let message = format!("the file has {} bytes, more than the {MAX_TEXT} allowed", text.len());
        return Err(ParseError { line: None, message });
    }
    let node = match serde_json::from_str::<Json>(text) {
        Ok(Json(node)) => node,
        Err(error) if json => {
            return Err(ParseError::new(Some(error.line() as u64), &error.to_string()));
        }
        Err(_) => parse_yaml_aside(text)?,
    };
    Ok(node.with_path(String::new()))
}

/// On a thread of its own, because the YAML parser calls itself once a level with large frames: the
/// stack of the caller's thread might not do.
fn parse_yaml_aside(text: &str) -> Result<Node, ParseError> {
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("tasker-yaml".into()).stack_size(STACK);
        thread.spawn_scoped(scope, || parse_yaml(text)).map(|handle| handle.join())
    });
    match parsed {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(ParseError::new(None, "the YAML parser failed")),
        Err(error) => Err(ParseError::new(None, &format!("no thread to parse on: {error}"))),
    }
}

fn parse_yaml(text: &str) -> Result<Node, ParseError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Err(ParseError::new(None, "the file is empty"));
    }
    serde_saphyr::from_str_with_options::<Yaml>(text, options()).map(|Yaml(node)| node).map_err(|error| {
        let line = error.location().map(|l| l.line()).filter(|line| *line > 0);
        ParseError::new(line, &yaml_sentence(error.without_snippet()))
    })
}

fn yaml_sentence(error: &serde_saphyr::Error) -> String {
    if let serde_saphyr::Error::Budget { breach, .. } = error {
        if matches!(breach, BudgetBreach::Documents { .. }) {
            return "a file holds one document, and a second one begins here".into();
        }
        if matches!(breach, BudgetBreach::Depth { .. }) {
            return format!("the document is nested deeper than {MAX_DEPTH} levels");
        }
        return format!("the document, its aliases expanded, is too large: {breach:?}");
    }
    let formatter = serde_saphyr::RenderOptions::new(&serde_saphyr::UserMessageFormatter);
    error.render_with_options(formatter)
}

impl ParseError {
    /// The parsers end their messages with the place, which stands in front of ours.
    fn new(line: Option<u64>, message: &str) -> Self {
        let message = message.split(" at line ").next().unwrap_or(message);
        Self { line, message: message.to_owned() }
    }
}

/// Aliases may repeat a block of configuration, not blow a small file up into a large one.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: 300_000,
            max_events: 700_000,
            max_aliases: 5_000,
            max_documents: 1,
            max_recorded_anchor_events: 200_000,
            max_total_scalar_bytes: MAX_TEXT * 2,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 200_000 },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

struct Yaml(Node);

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<Raw<Yaml>>::deserialize(deserializer)?;
        let line = Some(spanned.referenced.line()).filter(|line| *line > 0);
        Ok(Self(Node { line, path: String::new(), kind: spanned.value.kind }))
    }
}

impl From<Yaml> for Node {
    fn from(yaml: Yaml) -> Self {
        yaml.0
    }
}

struct Json(Node);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::<Json>::deserialize(deserializer)?;
        Ok(Self(Node { line: None, path: String::new(), kind: raw.kind }))
    }
}

impl From<Json> for Node {
    fn from(json: Json) -> Self {
        json.0
    }
}

/// One level of the document; the levels below are read as `N`.
struct Raw<N> {
    kind: Kind,
    below: std::marker::PhantomData<N>,
}

impl<'de, N: Deserialize<'de> + Into<Node>> Deserialize<'de> for Raw<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kind = deserializer.deserialize_any(AnyKind::<N>(std::marker::PhantomData))?;
        Ok(Self { kind, below: std::marker::PhantomData })
    }
}

struct AnyKind<N>(std::marker::PhantomData<N>);

impl<'de, N: Deserialize<'de> + Into<Node>> Visitor<'de> for AnyKind<N> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Kind, E> {
        let number = Number::from_f64(value);
        number.map(Kind::Number).ok_or_else(|| E::custom(format!("{value} has no form in JSON")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<N>()? {
            items.push(item.into());
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut keys = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !keys.insert(key.clone()) {
                return Err(de::Error::custom(format!("the key {key:?} stands there twice")));
            }
            let value = map.next_value::<N>()?;
            entries.push((key, value.into()));
        }
        Ok(Kind::Map(entries))
    }
}
