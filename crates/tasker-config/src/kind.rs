//! What an option may be, and how a value is read as that.

use std::fmt;

use serde_json::Value;

use crate::{
    node::{Item, Node},
    secret::Secrets,
};

/// What an option may be.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number in a range, both ends in it.
    Integer(i64, i64),
    /// A number in a range, both ends in it.
    Number(f64, f64),
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list; in a variable its items have commas between them.
    List(&'static Kind),
    /// A text that is never shown, from a variable or a file.
    Secret,
    /// The URL of a database, shown without its password, which stands in a variable or a file.
    Url,
    /// Keys and values that somebody else knows, such as the authenticator that is named.
    Options,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Integer(least, i64::MAX) => write!(f, "a whole number of at least {least}"),
            Self::Integer(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::Number(least, most) => write!(f, "a number from {least} to {most}"),
            Self::Text => f.write_str("a text"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::List(items) => write!(f, "a list, each item {items}"),
            Self::Secret => f.write_str("a secret text"),
            Self::Url => f.write_str("the URL of a database"),
            Self::Options => f.write_str("a section"),
        }
    }
}

/// A value that an option may have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    pub(crate) value: Value,
    pub(crate) is_secret: bool,
}

impl Kind {
    /// Whether it is never shown as it is.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Url)
    }

    /// Reads a value, or says what it should be.
    pub(crate) fn read(self, node: &Node, secrets: &Secrets<'_>) -> Result<Read, String> {
        match self {
            Self::Secret => return secrets.read(node),
            Self::Url => return secrets.url(node),
            _ => {}
        }
        let value = match (&node.item, self) {
            (Item::Raw(text), kind) => kind.coerce(text),
            (Item::List(items), Self::List(each)) => {
                let read = |item: &Node| each.read(item, secrets).map(|read| read.value);
                return Ok(shown(items.iter().map(read).collect::<Result<_, _>>()?));
            }
            (item, kind) => kind.accept(item),
        };
        value.map(shown)
    }

    fn accept(self, item: &Item) -> Result<Value, String> {
        match (self, item) {
            (Self::Bool, Item::Bool(value)) => Ok((*value).into()),
            (Self::Integer(least, most), Item::Integer(n)) if (least..=most).contains(n) => Ok((*n).into()),
            (Self::Number(..), Item::Integer(n)) => self.accept(&Item::Number(*n as f64)),
            (Self::Number(least, most), Item::Number(n)) if (least..=most).contains(n) => Ok((*n).into()),
            (Self::Text, Item::Text(text)) => Ok(text.clone().into()),
            (Self::Choice(words), Item::Text(text)) if words.contains(&text.as_str()) => {
                Ok(text.clone().into())
            }
            (kind, item) => Err(kind.refusal(item)),
        }
    }

    /// The text of a variable as what the option is.
    fn coerce(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let item = match self {
            Self::Bool => boolean(text).map(Item::Bool),
            Self::Integer(..) => text.parse().ok().map(Item::Integer),
            Self::Number(..) => text.parse().ok().filter(|n: &f64| n.is_finite()).map(Item::Number),
            Self::Text | Self::Choice(_) | Self::Secret | Self::Url => Some(Item::Text(text.to_owned())),
            Self::List(each) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                return items.map(|item| each.coerce(item)).collect();
            }
            Self::Options => None,
        };
        item.map_or_else(|| Err(format!("must be {self}")), |item| self.accept(&item))
    }

    fn refusal(self, item: &Item) -> String {
        match (self, item) {
            // What it is fits, and only the range or the word does not. Such options hold no secrets.
            (Self::Integer(..), Item::Integer(n)) => format!("must be {self}, not {n}"),
            (Self::Number(..), Item::Number(n)) => format!("must be {self}, not {n}"),
            (Self::Choice(words), Item::Text(text)) => {
                let near = crate::schema::nearest(text, words.iter().copied());
                let hint = near.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
                format!("must be {self}{hint}")
            }
            _ => format!("must be {self}, not {}", item.found()),
        }
    }
}

fn shown(value: Value) -> Read {
    Read { value, is_secret: false }
}

/// The words of a variable that is true or false. A word that is neither is refused: a slip of the pen must not
/// switch anything on.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" | "" => Some(false),
        _ => None,
    }
}
