//! One step template into one [`StepDefinition`].

use std::collections::HashSet;

use super::{backoff, node::Node, read::Reader};
use crate::definition::{BackoffPolicy, StepDefinition};

/// Every key of a step template.
const KEYS: [&str; 14] = [
    "name",
    "handler_class",
    "description",
    "dependent_system",
    "default_retryable",
    "default_retry_limit",
    "skippable",
    "depends_on_step",
    "depends_on_steps",
    "handler_config",
    "priority",
    "timeout",
    "backoff",
    "custom_events",
];

/// The steps, each with the place of its name, and what is said about all of them.
pub(super) struct Context<'a> {
    pub(super) default_dependent_system: Option<&'a str>,
    /// The backoff of steps that say none.
    pub(super) default_backoff: &'a BackoffPolicy,
    /// If present, the only names that steps and dependencies may have.
    pub(super) named_steps: Option<&'a HashSet<String>>,
}

pub(super) fn read(reader: &mut Reader, node: &Node, context: &Context<'_>) -> Option<StepDefinition> {
    reader.map(node, &KEYS)?;
    if let Some(events) = node.get("custom_events") {
        reader.problem(events, "custom events are not supported; leave the key out rather than lose them");
    }
    let name = required(reader, node, "name", "validate_order");
    let handler = required(reader, node, "handler_class", "http");
    if let (Some(name), Some(at)) = (&name, node.get("name")) {
        check_named(reader, at, name, context);
    }
    let mut step = StepDefinition::new(name?, handler?);
    step.depends_on = dependencies(reader, node, context);
    texts(reader, node, context, &mut step);
    step.backoff = context.default_backoff.clone();
    execution(reader, node, &mut step);
    Some(step)
}

fn required(reader: &mut Reader, node: &Node, key: &str, example: &str) -> Option<String> {
    match node.get(key) {
        Some(value) => reader.string(value, example),
        None => {
            reader.problem(node, format!("{key} is missing"));
            None
        }
    }
}

fn texts(reader: &mut Reader, node: &Node, context: &Context<'_>, step: &mut StepDefinition) {
    step.description = node.get("description").and_then(|n| reader.string(n, "\"Charges the card\""));
    let system = node.get("dependent_system").and_then(|n| reader.string(n, "payments"));
    if let Some(system) = system.or_else(|| context.default_dependent_system.map(str::to_owned)) {
        step.dependent_system = system;
    }
    if let Some(config) = node.get("handler_config").and_then(|n| reader.map_of_anything(n)) {
        step.handler_config = config;
    }
}

fn execution(reader: &mut Reader, node: &Node, step: &mut StepDefinition) {
    if let Some(value) = node.get("default_retryable").and_then(|n| reader.bool(n)) {
        step.retryable = value;
    }
    if let Some(limit) = node.get("default_retry_limit").and_then(|n| reader.whole(n, 0, 1_000)) {
        step.retry_limit = limit as i32;
    }
    if let Some(value) = node.get("skippable").and_then(|n| reader.bool(n)) {
        step.skippable = value;
    }
    if let Some(priority) = node.get("priority").and_then(|n| reader.whole(n, 1, 5)) {
        step.priority = priority as i16;
    }
    step.timeout_ms = node.get("timeout").and_then(|n| reader.duration(n));
    if let Some(policy) = node.get("backoff").and_then(|n| backoff::read(reader, n)) {
        step.backoff = policy;
    }
}

/// Both keys together, each name once.
fn dependencies(reader: &mut Reader, node: &Node, context: &Context<'_>) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(one) = node.get("depends_on_step") {
        said.extend(reader.string(one, "validate_order").map(|name| (name, one.clone())));
    }
    if let Some(many) = node.get("depends_on_steps") {
        said.extend(reader.strings(many, "step names", "validate_order"));
    }
    let mut seen = HashSet::new();
    said.retain(|(name, _)| seen.insert(name.clone()));
    said.iter().for_each(|(name, at)| check_named(reader, at, name, context));
    said.into_iter().map(|(name, _)| name).collect()
}

fn check_named(reader: &mut Reader, at: &Node, name: &str, context: &Context<'_>) {
    if context.named_steps.is_some_and(|names| !names.contains(name)) {
        reader.problem(at, format!("{name:?} is not listed in named_steps"));
    }
}
