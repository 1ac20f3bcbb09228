//! Makes a configuration of its sources, or a report of everything that is wrong with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::{Map, Value};

use crate::{
    Builder, Config, ConfigReport, Mistake, Source,
    builder::File,
    config::Entry,
    node::{Item, Node},
    secret::Secrets,
    sections::Sections,
    variables,
    walk::{Assignment, Walk},
};

/// The key under which a file has its overrides.
const ENVIRONMENTS: &str = "environments";

pub(crate) type Values = BTreeMap<Vec<String>, Entry>;

pub(crate) fn build(builder: Builder) -> Result<Config, ConfigReport> {
    let (variables, mut mistakes) = variables::readable(builder.variables);
    let mut layers = Layers::new(&variables);
    for file in builder.files {
        layers.file(file, builder.environment.as_deref());
    }
    if let Some(name) = &builder.environment {
        layers.environment_is_there(name);
    }
    let (documents, nearly) = variables::documents(&variables);
    layers.mistakes.extend(nearly);
    documents.iter().for_each(|document| layers.walk(document, true));
    for (key, value) in builder.values {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        layers.walk(&Node::of_json(value).within(&path), true);
    }
    mistakes.extend(layers.mistakes);
    finish(merged(layers.found), mistakes, builder.environment)
}

/// The typed sections, if nothing is wrong; what a section says of itself is asked only where it was read whole.
fn finish(
    values: Values,
    mut mistakes: Vec<Mistake>,
    environment: Option<String>,
) -> Result<Config, ConfigReport> {
    match serde_json::from_value::<Sections>(tree(&values)) {
        Ok(sections) => {
            let wrong: BTreeSet<String> =
                mistakes.iter().filter_map(|m| m.key.split('.').next()).map(str::to_owned).collect();
            let problems = sections.problems().into_iter();
            let whole = problems.filter(|p| !wrong.contains(p.key.split('.').next().unwrap_or_default()));
            mistakes.extend(whole.map(|p| Mistake {
                source: source(&values, &p.key),
                key: p.key,
                reason: p.reason,
            }));
            if mistakes.is_empty() {
                return Ok(Config::new(sections, values, environment));
            }
        }
        Err(e) => mistakes.push(Mistake::new(&Source::Code, &[], format!("cannot be read: {e}"))),
    }
    Err(ConfigReport::new(mistakes))
}

/// Where the value of a key, or the first below it, comes from.
pub(crate) fn source(values: &Values, key: &str) -> Source {
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    let found = values.range(path.clone()..).next().filter(|(at, _)| at.starts_with(&path));
    found.map_or(Source::Default, |(_, entry)| entry.source.clone())
}

/// The last value of each key. A value takes the place of all that stood below or above it.
fn merged(found: Vec<Assignment>) -> Values {
    let mut values = Values::new();
    for Assignment { path, value, source, is_secret } in found {
        values.retain(|other, _| !other.starts_with(&path) && !path.starts_with(other));
        values.insert(path, Entry { value, source, is_secret });
    }
    values
}

fn tree(values: &Values) -> Value {
    let mut root = Map::new();
    for (path, entry) in values {
        put(&mut root, path, &entry.value);
    }
    root.into()
}

/// Puts a value at its place, making the sections on the way.
pub(crate) fn put(table: &mut Map<String, Value>, path: &[String], value: &Value) {
    match path {
        [] => {}
        [last] => {
            table.insert(last.clone(), value.clone());
        }
        [first, rest @ ..] => {
            let below = table.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                put(below, rest, value);
            }
        }
    }
}

/// What the sources say so far.
struct Layers<'a> {
    variables: &'a BTreeMap<String, String>,
    mistakes: Vec<Mistake>,
    found: Vec<Assignment>,
    environments: BTreeSet<String>,
    /// The last file that could be read.
    file: Option<String>,
}

impl<'a> Layers<'a> {
    fn new(variables: &'a BTreeMap<String, String>) -> Self {
        Self { variables, mistakes: vec![], found: vec![], environments: BTreeSet::new(), file: None }
    }

    fn file(&mut self, file: File, environment: Option<&str>) {
        let (name, text) = match file {
            File::Text { name, text } => (name, Ok(text)),
            File::At(path) => (path.display().to_string(), fs::read_to_string(&path)),
        };
        match text {
            Err(e) => {
                let source = Source::File { name, line: None, environment: None };
                self.mistakes.push(Mistake::new(&source, &[], format!("cannot be read: {e}")));
            }
            Ok(text) => match Node::of_toml(&text, &name) {
                Err(mistakes) => self.mistakes.extend(mistakes),
                Ok(document) => {
                    self.document(document, environment);
                    self.file = Some(name);
                }
            },
        }
    }

    /// The file's own sections, then the overrides of the environment; those of others are only checked.
    fn document(&mut self, mut document: Node, environment: Option<&str>) {
        let overrides = take(&mut document, ENVIRONMENTS);
        self.walk(&document, true);
        let Some(overrides) = overrides else { return };
        let Item::Table(environments) = overrides.item else {
            let reason = format!("must be a section of environments, not {}", overrides.item.found());
            return self.mistakes.push(Mistake::new(&overrides.source, &[ENVIRONMENTS.to_owned()], reason));
        };
        for (name, mut node) in environments {
            node.name_environment(&name);
            self.walk(&node, environment == Some(&name));
            self.environments.insert(name);
        }
    }

    fn walk(&mut self, document: &Node, applies: bool) {
        let mut walk = Walk::new(Secrets { variables: self.variables, resolve: applies });
        walk.document(document);
        self.mistakes.append(&mut walk.mistakes);
        if applies {
            self.found.append(&mut walk.found);
        }
    }

    /// An environment that no file has is more likely a slip of the pen than the wish for no overrides.
    fn environment_is_there(&mut self, name: &str) {
        let Some(file) = self.file.clone().filter(|_| !self.environments.contains(name)) else { return };
        let has: Vec<&str> = self.environments.iter().map(String::as_str).collect();
        let has = if has.is_empty() { "none".into() } else { has.join(", ") };
        let reason = format!(
            "has no environment `{name}`, it has {has}; write [{ENVIRONMENTS}.{name}], even if empty"
        );
        let source = Source::File { name: file, line: None, environment: None };
        self.mistakes.push(Mistake::new(&source, &[ENVIRONMENTS.to_owned()], reason));
    }
}

fn take(document: &mut Node, key: &str) -> Option<Node> {
    let Item::Table(keys) = &mut document.item else { return None };
    let at = keys.iter().position(|(name, _)| name == key)?;
    Some(keys.remove(at).1)
}
