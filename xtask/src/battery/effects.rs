//! Two workflows of four steps whose every effect can be counted: `book` steps write a row of
//! `public.effects` on the engine's connection, `call` steps add a line to a file, as an outside system would.
//! One in twenty fails its first attempt, so that retries are part of the load.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use super::process;
use anyhow::{Context, Result};
use chrono::{Days, Utc};
use diesel::{
    PgConnection, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Integer, Text},
};
use serde_json::{Value, json};
use tasker_engine::{
    definition::{BackoffPolicy, StepDefinition, WorkflowDefinition, WorkflowParts},
    handler::{HandlerRegistry, StepContext, StepError, StepResult},
    identity::Identity,
    retention::{Pruning, RetentionPolicy},
    submit::{TaskRequest, submit},
};

/// The handler whose effect is a row.
pub(crate) const BOOK: &str = "battery.book";
/// The handler whose effect is a line of a file.
pub(crate) const CALL: &str = "battery.call";

/// The handler that kills its process.
pub(crate) const POISON: &str = "battery.poison";

/// The handler that does nothing.
const IDLE: &str = "battery.idle";

/// The key refuses a second effect of a step; the judge finds the refusal in the log.
const TABLE: &str = "
    create table if not exists public.effects (
      task_id bigint not null, step text not null, attempt integer not null,
      constraint effects_once primary key (task_id, step))";

/// How long the steps of a task work, in milliseconds: each draws between the two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work(pub(crate) u64, pub(crate) u64);

/// Makes the table of the effects.
pub(crate) fn prepare(conn: &mut PgConnection) -> Result<()> {
    conn.batch_execute(TABLE).context("The table of the effects cannot be made")
}

/// A diamond whose ends write and whose middle calls and writes, or the other way round: both ways of reporting
/// release children, meet at a join and settle a task. Attempts are plenty, so that every task must complete.
pub(crate) fn workflows() -> [WorkflowDefinition; 2] {
    [("ends_book", BOOK, CALL), ("ends_call", CALL, BOOK)].map(|(name, ends, middle)| {
        let steps: [(&str, &str, &[&str]); 4] = [
            ("open", ends, &[]),
            ("left", middle, &["open"]),
            ("right", BOOK, &["open"]),
            ("close", ends, &["left", "right"]),
        ];
        let mut parts = WorkflowParts::new(name);
        parts.namespace = "battery".into();
        for (name, handler, parents) in steps {
            let mut step = StepDefinition::new(name, handler);
            step.depends_on = parents.iter().map(|p| (*p).to_owned()).collect();
            (step.retry_limit, step.backoff) = (1_000, BackoffPolicy::Fixed { wait_ms: 50, jitter: 0.1 });
            parts.steps.push(step);
        }
        WorkflowDefinition::new(parts).expect("the workflows of the battery are workflows")
    })
}

/// Submits so many tasks, half of each workflow.
pub(crate) fn submit_tasks(conn: &mut PgConnection, tasks: usize, work: Work) -> Result<()> {
    let [first, second] = workflows();
    for (workflow, count) in [(first, tasks.div_ceil(2)), (second, tasks / 2)] {
        let requests = vec![TaskRequest::new(json!({"work_ms": [work.0, work.1]})); count];
        submit(conn, &workflow, &requests, &Identity::Random, None)?;
    }
    Ok(())
}

/// A diamond whose steps do nothing.
pub(crate) fn idle() -> WorkflowDefinition {
    let mut parts = WorkflowParts::new("idle");
    parts.namespace = "battery".into();
    for (name, parents) in [("a", &[][..]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])] {
        let mut step = StepDefinition::new(name, IDLE);
        step.depends_on = parents.iter().map(|p| (*p).to_owned()).collect();
        parts.steps.push(step);
    }
    WorkflowDefinition::new(parts).expect("the workflows of the battery are workflows")
}

/// Submits so many tasks without any input.
pub(crate) fn submit_empty(
    conn: &mut PgConnection,
    workflow: &WorkflowDefinition,
    tasks: usize,
) -> Result<()> {
    submit(conn, workflow, &vec![TaskRequest::new(json!({})); tasks], &Identity::Random, None)?;
    Ok(())
}

/// Submits a task whose first step kills whoever runs it, so many times.
pub(crate) fn submit_poison(conn: &mut PgConnection, attempts: i32) -> Result<()> {
    let mut parts = WorkflowParts::new("poison");
    parts.namespace = "battery".into();
    let mut pill = StepDefinition::new("pill", POISON);
    pill.retry_limit = attempts;
    let mut after = StepDefinition::new("after", BOOK);
    after.depends_on = vec!["pill".into()];
    parts.steps = vec![pill, after];
    let request = [TaskRequest::new(json!({}))];
    submit(conn, &WorkflowDefinition::new(parts)?, &request, &Identity::Random, None)?;
    Ok(())
}

/// The namespace of the tasks that are there to be pruned.
pub(crate) const SPENT: &str = "battery_spent";

/// Submits tasks that are complete at once, since every step of theirs is left out.
pub(crate) fn submit_spent(conn: &mut PgConnection, tasks: usize) -> Result<()> {
    let mut parts = WorkflowParts::new("spent");
    parts.namespace = SPENT.into();
    for (name, parents) in [("first", vec![]), ("second", vec!["first".to_owned()])] {
        let mut step = StepDefinition::new(name, CALL);
        (step.skippable, step.depends_on) = (true, parents);
        parts.steps.push(step);
    }
    let bypass_steps = vec!["first".into(), "second".into()];
    let request = TaskRequest { bypass_steps, ..TaskRequest::new(json!({})) };
    submit(conn, &WorkflowDefinition::new(parts)?, &vec![request; tasks], &Identity::Random, None)?;
    Ok(())
}

/// Prunes those tasks.
pub(crate) fn prune_spent(conn: &mut PgConnection) -> Result<()> {
    // Whatever the clocks say, all of them have finished by then.
    let (namespaces, tomorrow) = (Some(vec![SPENT.to_owned()]), Utc::now() + Days::new(1));
    let mut pruning = Pruning::new(RetentionPolicy { namespaces, ..RetentionPolicy::before(tomorrow) });
    while pruning.next(conn)?.is_some() {}
    Ok(())
}

/// The handlers; calls go into `ledger`, a file of this process alone.
pub(crate) fn registry(ledger: &Path) -> Result<HandlerRegistry> {
    let file = OpenOptions::new().create(true).append(true).open(ledger);
    let file = Arc::new(file.with_context(|| format!("{} cannot be written", ledger.display()))?);
    let mut registry = HandlerRegistry::new();
    registry.register_transactional(BOOK, book);
    registry.register(CALL, move |context: StepContext| call(file.clone(), context));
    registry.register(IDLE, |_: StepContext| async { Ok(Value::Null) });
    registry.register(POISON, |_: StepContext| async { process::die() });
    Ok(registry)
}

fn book(conn: &mut PgConnection, context: &StepContext) -> StepResult {
    sql_query("insert into public.effects (task_id, step, attempt) values ($1, $2, $3)")
        .bind::<BigInt, _>(context.task_id.0)
        .bind::<Text, _>(&context.step_name)
        .bind::<Integer, _>(context.attempt)
        .execute(conn)?;
    thread::sleep(work(context) / 4);
    stumble(context)
}

async fn call(ledger: Arc<File>, context: StepContext) -> StepResult {
    tokio::select! {
        () = tokio::time::sleep(work(&context)) => {}
        () = context.cancellation.cancelled() => return Err(StepError::retryable("told to stop")),
    }
    // One write of one line: whole or not there, whenever the process dies.
    (&*ledger).write_all(format!("{} {}\n", context.idempotency_key(), context.attempt).as_bytes())?;
    stumble(&context)
}

fn work(context: &StepContext) -> Duration {
    let bound = |n: usize| context.context["work_ms"][n].as_u64().unwrap_or(0);
    Duration::from_micros(fastrand::u64(bound(0) * 1_000..=bound(1).max(bound(0)) * 1_000))
}

fn stumble(context: &StepContext) -> StepResult {
    match context.attempt == 1 && context.step_id.0 % 20 == 0 {
        true => Err(StepError::retryable("the first attempt of this step fails")),
        false => Ok(Value::from(context.attempt)),
    }
}
