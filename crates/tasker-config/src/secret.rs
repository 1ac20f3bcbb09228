//! Where secrets come from: a variable or a file, never the text of a configuration file.

use std::{collections::BTreeMap, fs};

use serde_json::Value;
use tasker_multidb::{BadUrl, DatabaseUrl};

use crate::{
    Source,
    kind::Read,
    node::{Item, Node},
};

/// Words in a key that hold a secret wherever they stand.
const WORDS: [&str; 4] = ["secret", "passw", "private_key", "credential"];

/// Whether a key's name says that its value is not to be shown.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Reads secrets from where a configuration says that they are.
pub(crate) struct Secrets<'a> {
    pub(crate) variables: &'a BTreeMap<String, String>,
    /// Whether to look there. Not for the overrides of another environment, whose secrets need not be here.
    pub(crate) resolve: bool,
}

/// Where a secret is.
enum Place<'a> {
    Variable(&'a str),
    File(&'a str),
}

impl Secrets<'_> {
    /// The secret of an option that is one.
    pub(crate) fn read(&self, node: &Node) -> Result<Read, String> {
        match (&node.item, &node.source) {
            (Item::Raw(text), _) => Ok(hidden(text)),
            (Item::Text(text), Source::Code) => Ok(hidden(text)),
            (Item::Text(_), _) => Err(NOT_HERE.into()),
            (item, _) => match place(item) {
                Some(place) => self.at(&place),
                None => Err(format!("must be a secret text, not {}; {FROM}", item.found())),
            },
        }
    }

    /// The URL of a database. One without a password may stand in a configuration file.
    pub(crate) fn url(&self, node: &Node) -> Result<Read, String> {
        let (Item::Text(text), Source::File { .. }) = (&node.item, &node.source) else {
            return self.read(node);
        };
        let url: DatabaseUrl = text.parse().map_err(|e: BadUrl| e.to_string())?;
        if has_password(&url) {
            return Err(format!(
                "has a password, which has no place in this file; {FROM} in place of the URL"
            ));
        }
        Ok(hidden(text))
    }

    /// The secret in a file.
    pub(crate) fn of_file(&self, path: &str) -> Result<Read, String> {
        self.at(&Place::File(path))
    }

    /// A value of a section that somebody else knows. `secret` where a key on the way says that it is one.
    pub(crate) fn within_options(&self, node: &Node, secret: bool) -> Result<Read, String> {
        let read = |value: Value| Read { value, is_secret: secret };
        match &node.item {
            Item::Raw(text) => Ok(hidden(text)),
            Item::Text(_) if secret && node.source != Source::Code => Err(NOT_HERE.into()),
            Item::Text(text) => Ok(read(text.clone().into())),
            Item::Bool(value) => Ok(read((*value).into())),
            Item::Integer(n) => Ok(read((*n).into())),
            Item::Number(n) => Ok(read((*n).into())),
            Item::Other(name) => Err(format!("cannot be {name}")),
            Item::List(items) => {
                let items: Vec<Read> =
                    items.iter().map(|i| self.within_options(i, secret)).collect::<Result<_, _>>()?;
                let is_secret = secret || items.iter().any(|item| item.is_secret);
                Ok(Read { value: items.into_iter().map(|item| item.value).collect(), is_secret })
            }
            Item::Table(keys) => match place(&node.item) {
                Some(Place::Variable(name)) => self.at(&Place::Variable(name)),
                // Whoever knows the section reads the file.
                Some(Place::File(path)) => {
                    Ok(Read { value: serde_json::json!({ "file": path }), is_secret: false })
                }
                None => self.table(keys, secret),
            },
        }
    }

    fn table(&self, keys: &[(String, Node)], secret: bool) -> Result<Read, String> {
        let mut table = serde_json::Map::new();
        let mut is_secret = secret;
        for (key, node) in keys {
            let read = self.within_options(node, secret || is_secret_name(key))?;
            is_secret |= read.is_secret;
            table.insert(key.clone(), read.value);
        }
        Ok(Read { value: table.into(), is_secret })
    }

    fn at(&self, place: &Place<'_>) -> Result<Read, String> {
        if !self.resolve {
            return Ok(hidden(""));
        }
        match place {
            Place::Variable(name) => match self.variables.get(*name) {
                Some(text) => Ok(hidden(text)),
                None => Err(format!("names the variable {name}, which is not set")),
            },
            Place::File(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(hidden(text.trim_end_matches(['\r', '\n']))),
                Err(e) => Err(format!("names the file {path}, which cannot be read: {e}")),
            },
        }
    }
}

fn has_password(url: &DatabaseUrl) -> bool {
    let text = url.expose();
    let authority =
        text.split_once("://").map_or(text, |(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
    let in_user = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    in_user || url.has("password") || url.has("sslpassword")
}

/// Whether a table says where a secret is.
pub(crate) fn is_place(item: &Item) -> bool {
    place(item).is_some()
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
fn place(item: &Item) -> Option<Place<'_>> {
    let Item::Table(keys) = item else { return None };
    let [(key, Node { item: Item::Text(text), .. })] = keys.as_slice() else { return None };
    match key.as_str() {
        "env" => Some(Place::Variable(text)),
        "file" => Some(Place::File(text)),
        _ => None,
    }
}

const NOT_HERE: &str = "is a secret, which has no place in this file; write { env = \"NAME\" } or { file = \"PATH\" } in its place";

const FROM: &str = "write { env = \"NAME\" } or { file = \"PATH\" }";

fn hidden(text: &str) -> Read {
    Read { value: text.into(), is_secret: true }
}
