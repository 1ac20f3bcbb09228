//! The page that describes every option, made of the types.

use std::fmt::Write;

use serde_json::Value;

use crate::{OptionSpec, gone::GONE, sections};

/// Every option that there is.
pub fn options() -> Vec<&'static OptionSpec> {
    sections::options().collect()
}

/// The page `docs/configuration.md`.
pub fn reference() -> String {
    let mut page = include_str!("reference.md").to_owned();
    let mut section = "";
    for option in sections::options() {
        let own = option.key.split('.').next().unwrap_or_default();
        if own != section {
            section = own;
            let _in_memory = write!(page, "\n### {section}\n\n{HEAD}");
        }
        page.push_str(&row(option));
    }
    page.push_str(GONE_HEAD);
    for gone in GONE {
        let _in_memory = writeln!(page, "| `{}` | {} |", gone.key, gone.why);
    }
    page
}

const HEAD: &str = "| option | what it is | default | variable | read by |\n|---|---|---|---|---|\n";

const GONE_HEAD: &str = "\n## Options of the original that are gone\n\nEach is refused with its reason.\n\n\
     | option or section | why |\n|---|---|\n";

fn row(option: &OptionSpec) -> String {
    let doc = option.doc.trim();
    let unit = option.unit().map(|unit| format!(", {unit}")).unwrap_or_default();
    let default = match sections::default(option.key) {
        Value::Null => "not set".into(),
        value => format!("`{value}`"),
    };
    let (key, kind, variable, reader) = (option.key, option.kind, option.variable(), option.reader);
    format!(
        "| `{key}` | {doc} {}{unit}. | {default} | `{variable}` | {reader} |\n",
        capital(&kind.to_string())
    )
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
