//! Variables of the environment: `TASKER_SECTION__KEY` sets `section.key`.

use std::{collections::BTreeMap, ffi::OsString};

use crate::{
    Mistake, Source,
    node::{Item, Node},
    sections,
};

const PREFIX: &str = "TASKER_";

/// Between the parts of a key, since names have underscores of their own.
const BETWEEN: &str = "__";

/// The variable of a key.
pub(crate) fn name_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', BETWEEN).to_uppercase())
}

/// The variables that can be read, and a mistake for each of ours that cannot.
pub(crate) fn readable(all: Vec<(OsString, OsString)>) -> (BTreeMap<String, String>, Vec<Mistake>) {
    let (mut readable, mut mistakes) = (BTreeMap::new(), vec![]);
    for (name, value) in all {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => {
                readable.insert(name, value);
            }
            Err(_) if path(&name).is_some() => {
                let source = Source::Variable { name: name.clone() };
                mistakes.push(Mistake::new(&source, &path(&name).unwrap_or_default(), "is not UTF-8"));
            }
            Err(_) => {}
        }
    }
    (readable, mistakes)
}

/// What the variables say, one document each, and a mistake for each that nearly says something.
pub(crate) fn documents(variables: &BTreeMap<String, String>) -> (Vec<Node>, Vec<Mistake>) {
    let (mut documents, mut mistakes) = (vec![], vec![]);
    for (name, value) in variables {
        let source = Source::Variable { name: name.clone() };
        if let Some(path) = path(name) {
            documents.push(Node { source, item: Item::Raw(value.clone()) }.within(&path));
        } else if let Some(meant) = nearly(name) {
            mistakes.push(Mistake::new(&source, &[], format!("is read by nothing; write {meant}")));
        }
    }
    (documents, mistakes)
}

/// The key that a variable sets, if it is of that form.
fn path(name: &str) -> Option<Vec<String>> {
    let rest = name.strip_prefix(PREFIX).filter(|rest| rest.contains(BETWEEN))?;
    Some(rest.split(BETWEEN).map(str::to_lowercase).collect())
}

/// The variable that one with single underscores was meant to be.
fn nearly(name: &str) -> Option<String> {
    // A program's own: the connection of all commands.
    if !name.starts_with(PREFIX) || name == "TASKER_DATABASE_URL" {
        return None;
    }
    let option = sections::options().find(|o| o.variable().replace(BETWEEN, "_") == name);
    option.map(|o| o.variable())
}
