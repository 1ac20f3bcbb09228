//! What sessions need that claim and report by themselves, without a worker process.

use anyhow::Result;
use diesel::PgConnection;
use tasker_engine::{
    commands,
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts},
};
use tasker_model::WorkerId;

/// The handler of every step here; nothing runs it, the sessions report for it.
const HANDLER: &str = "battery.session";

/// Longer than any run.
const LEASE_MS: i32 = 24 * 3_600_000;

fn workflow(name: &str, steps: Vec<(String, Vec<String>)>) -> WorkflowDefinition {
    let mut parts = WorkflowParts::new(name);
    parts.namespace = "battery".into();
    for (step, parents) in steps {
        let mut definition = StepDefinition::new(step, HANDLER);
        definition.depends_on = parents;
        parts.steps.push(definition);
    }
    WorkflowDefinition::new(parts).expect("the workflows of the battery are workflows")
}

/// So many steps that end in one.
pub(super) fn join(parents: usize) -> WorkflowDefinition {
    let names: Vec<String> = (0..parents).map(|n| format!("parent_{n}")).collect();
    let mut steps: Vec<_> = names.iter().map(|n| (n.clone(), vec![])).collect();
    steps.push(("join".into(), names));
    workflow(&format!("join_{parents}"), steps)
}

/// One step, so many at once, one.
pub(super) fn fan(width: usize) -> WorkflowDefinition {
    let names: Vec<String> = (0..width).map(|n| format!("middle_{n}")).collect();
    let mut steps = vec![("first".to_owned(), vec![])];
    steps.extend(names.iter().map(|n| (n.clone(), vec!["first".to_owned()])));
    steps.push(("last".into(), names));
    workflow(&format!("fan_{width}"), steps)
}

/// An incarnation whose lease outlasts the run.
pub(super) fn register(conn: &mut PgConnection, name: &str) -> Result<WorkerId> {
    Ok(commands::register(conn, name, None, &[HANDLER.into()], LEASE_MS, None)?.0)
}
