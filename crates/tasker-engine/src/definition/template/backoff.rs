//! The friendly spelling of a [`BackoffPolicy`].

use super::{
    node::{Kind, Node},
    read::Reader,
};
use crate::definition::BackoffPolicy;

/// As in [`BackoffPolicy::default`].
const JITTER: f64 = 0.1;
const CAP_MS: u64 = 300_000;
const FACTOR: f64 = 2.0;

/// `5s`, `[1s, 5s, 30s]`, or a map: `wait` for fixed, `waits`, `factor` and `cap` for a table, `base`, `factor`
/// and `cap` for exponential; `jitter` for each, and `kind` where somebody wants to say it.
pub(super) fn read(reader: &mut Reader, node: &Node) -> Option<BackoffPolicy> {
    match &node.kind {
        Kind::Map(_) => map(reader, node),
        Kind::List(_) => table(reader, node, None),
        Kind::Number(_) | Kind::String(_) | Kind::Null | Kind::Bool(_) => {
            reader.duration(node).map(|wait_ms| BackoffPolicy::Fixed { wait_ms, jitter: JITTER })
        }
    }
}

fn map(reader: &mut Reader, node: &Node) -> Option<BackoffPolicy> {
    let said = match node.get("kind") {
        Some(kind) => Some(reader.string(kind, "fixed")?),
        None => None,
    };
    let implied = [("wait", "fixed"), ("waits", "table"), ("base", "exponential")];
    let implied = implied.iter().find(|(key, _)| node.get(key).is_some()).map(|(_, kind)| *kind);
    match said.as_deref().or(implied) {
        Some("fixed") => fixed(reader, node),
        Some("table") => {
            reader.map(node, &["kind", "waits", "factor", "cap", "jitter"]);
            let waits = required(reader, node, "waits")?;
            table(reader, waits, Some(node))
        }
        Some("exponential") => exponential(reader, node),
        Some(other) => {
            let at = node.get("kind").unwrap_or(node);
            reader.problem(at, format!("expected fixed, table or exponential, found {other:?}"));
            None
        }
        None => {
            reader.problem(node, "expected wait (fixed), waits (table) or base (exponential)");
            None
        }
    }
}

fn fixed(reader: &mut Reader, node: &Node) -> Option<BackoffPolicy> {
    reader.map(node, &["kind", "wait", "jitter"]);
    let wait = required(reader, node, "wait")?;
    let wait_ms = reader.duration(wait)?;
    Some(BackoffPolicy::Fixed { wait_ms, jitter: jitter(reader, node)? })
}

fn table(reader: &mut Reader, waits: &Node, options: Option<&Node>) -> Option<BackoffPolicy> {
    let items = reader.list(waits, "durations");
    if items.is_empty() {
        reader.problem(waits, "expected at least one duration");
        return None;
    }
    let waits_ms = items.iter().map(|item| reader.duration(item)).collect::<Option<Vec<_>>>()?;
    let longest = waits_ms.iter().copied().max().unwrap_or(0);
    let cap_ms = cap(reader, options, longest)?;
    Some(BackoffPolicy::Table {
        waits_ms,
        factor: options.map_or(Some(FACTOR), |o| factor(reader, o))?,
        cap_ms,
        jitter: options.map_or(Some(JITTER), |o| jitter(reader, o))?,
    })
}

fn exponential(reader: &mut Reader, node: &Node) -> Option<BackoffPolicy> {
    reader.map(node, &["kind", "base", "factor", "cap", "jitter"]);
    let base = required(reader, node, "base")?;
    let base_ms = reader.duration(base)?;
    let factor = factor(reader, node)?;
    let cap_ms = cap(reader, Some(node), base_ms)?;
    Some(BackoffPolicy::Exponential { base_ms, factor, cap_ms, jitter: jitter(reader, node)? })
}

/// Five minutes, or the longest wait of the table if that is longer.
fn cap(reader: &mut Reader, options: Option<&Node>, longest: u64) -> Option<u64> {
    options.and_then(|o| o.get("cap")).map_or(Some(CAP_MS.max(longest)), |node| reader.duration(node))
}

fn factor(reader: &mut Reader, node: &Node) -> Option<f64> {
    node.get("factor").map_or(Some(FACTOR), |n| reader.number(n, 1.0, 1_000.0))
}

fn jitter(reader: &mut Reader, node: &Node) -> Option<f64> {
    node.get("jitter").map_or(Some(JITTER), |n| reader.number(n, 0.0, 1.0))
}

fn required<'a>(reader: &mut Reader, node: &'a Node, key: &str) -> Option<&'a Node> {
    let value = node.get(key);
    if value.is_none() {
        reader.problem(node, format!("{key} is missing"));
    }
    value
}
