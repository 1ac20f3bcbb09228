//! Walks what somebody said along the options that there are: what fits is an assignment, what does not a mistake.

use serde_json::Value;

use crate::{
    Kind, Mistake, OptionSpec, Source,
    node::{Item, Node},
    schema::{self, At},
    secret::{Secrets, is_place, is_secret_name},
    sections::Sections,
};

/// A value for an option.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) path: Vec<String>,
    pub(crate) value: Value,
    pub(crate) source: Source,
    pub(crate) is_secret: bool,
}

/// A walk and what it found.
pub(crate) struct Walk<'a> {
    secrets: Secrets<'a>,
    pub(crate) found: Vec<Assignment>,
    pub(crate) mistakes: Vec<Mistake>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(secrets: Secrets<'a>) -> Self {
        Self { secrets, found: vec![], mistakes: vec![] }
    }

    /// Walks a whole document.
    pub(crate) fn document(&mut self, node: &Node) {
        self.node(&mut vec![], node);
    }

    fn node(&mut self, path: &mut Vec<String>, node: &Node) {
        match schema::at(path) {
            At::Option(OptionSpec { kind: Kind::Options, .. }) => match &node.item {
                Item::Table(keys) => {
                    self.each(keys, path, |walk, path, node| walk.within_options(path, node, false))
                }
                Item::Raw(_) => self.wrong(
                    path,
                    node,
                    "is a section: set its keys one by one, each after two underscores",
                ),
                item => self.wrong(path, node, format!("must be a section, not {}", item.found())),
            },
            At::Option(option) => match option.kind.read(node, &self.secrets) {
                Ok(read) => self.set(path, node, read.value, read.is_secret),
                Err(reason) => self.wrong(path, node, reason),
            },
            At::FileOf(option) => self.file(path, option, node),
            At::Section => match &node.item {
                // A name with nothing in it is there all the same, and its section's type says what it lacks.
                Item::Table(keys) if keys.is_empty() && schema::is_named(path) => {
                    self.set(path, node, Value::Object(serde_json::Map::new()), false);
                }
                Item::Table(keys) => self.each(keys, path, Self::node),
                item => self.wrong(path, node, format!("must be a section, not {}", item.found())),
            },
            At::Nothing => self.wrong(path, node, schema::unknown(path)),
        }
    }

    fn each(
        &mut self,
        keys: &[(String, Node)],
        path: &mut Vec<String>,
        one: impl Fn(&mut Self, &mut Vec<String>, &Node),
    ) {
        for (key, node) in keys {
            path.push(key.clone());
            one(self, path, node);
            path.pop();
        }
    }

    /// Keys that somebody else knows, each an assignment of its own so that a later source can change it alone.
    fn within_options(&mut self, path: &mut Vec<String>, node: &Node, secret: bool) {
        let secret = secret || path.last().is_some_and(|key| is_secret_name(key));
        match &node.item {
            Item::Table(keys) if !keys.is_empty() && !is_place(&node.item) => {
                self.each(keys, path, |walk, path, node| walk.within_options(path, node, secret));
            }
            _ => match self.secrets.within_options(node, secret) {
                Ok(read) => self.set(path, node, read.value, read.is_secret),
                Err(reason) => self.wrong(path, node, reason),
            },
        }
    }

    fn file(&mut self, path: &[String], option: &OptionSpec, node: &Node) {
        let (Item::Text(file) | Item::Raw(file)) = &node.item else {
            return self.wrong(path, node, format!("must be the path of a file, not {}", node.item.found()));
        };
        match self.secrets.of_file(file) {
            Ok(read) => {
                let last = option.key.rsplit('.').next().unwrap_or_default().to_owned();
                let before = path.iter().take(path.len() - 1).cloned();
                let path: Vec<String> = before.chain([last]).collect();
                self.set(&path, node, read.value, true);
            }
            Err(reason) => self.wrong(path, node, reason),
        }
    }

    /// Takes the value if the section's own type does.
    fn set(&mut self, path: &[String], node: &Node, value: Value, is_secret: bool) {
        match Sections::accept(path, &value) {
            Err(reason) => self.wrong(path, node, reason),
            Ok(()) => {
                let (path, source) = (path.to_vec(), node.source.clone());
                self.found.push(Assignment { path, value, source, is_secret });
            }
        }
    }

    fn wrong(&mut self, path: &[String], node: &Node, reason: impl Into<String>) {
        self.mistakes.push(Mistake::new(&node.source, path, reason));
    }
}
