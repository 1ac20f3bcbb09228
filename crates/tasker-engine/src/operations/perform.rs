//! Runs an operation and lists every task and step that it changed, or would change: a dry run is the same SQL
//! in a transaction that is rolled back.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use diesel::{dsl::sql, prelude::*, result::Error as QueryError, sql_types::Timestamptz};
use serde::Serialize;
use tasker_model::{Step, StepId, StepState, StepWithName, Task, TaskId, schema::tasks};

use crate::{db::is_transient, functions::operated_steps};

/// How often what the database refuses only for now is tried again.
const TRIES: usize = 5;

/// One thing that an operation changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The task.
    pub task_id: TaskId,
    /// The step; `None` where the task itself changed.
    pub step_id: Option<StepId>,
    /// The step's name.
    pub step: Option<String>,
    /// Where it stood, in words: its state, what keeps it from being claimed, and whatever else changed.
    pub from: String,
    /// Where it stands.
    pub to: String,
}

/// What an operation returned and changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Performed<T> {
    /// What the operation returned.
    pub outcome: T,
    /// Every task and step that changed, by task; the task first, then its steps by id.
    pub changes: Vec<Change>,
}

/// Runs an operation on these tasks in a transaction of its own; `dry_run` takes it back. What changes is read
/// under the locks of everything of the tasks, so it is the operation's doing alone. A deadlock and the like is
/// tried again a few times. `operation` must not write anything that cannot be rolled back.
///
/// # Errors
/// Those of the operation; inside a transaction that is open already, that it may not be begun.
pub fn perform<T>(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    dry_run: bool,
    operation: impl Fn(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<Performed<T>> {
    let mut left = TRIES;
    loop {
        left -= 1;
        let mut performed = None;
        let ended = conn.build_transaction().read_committed().run(|conn| {
            let before = standings(conn, tasks)?;
            let outcome = operation(conn)?;
            let changes = changes(&before, &standings(conn, tasks)?, clock(conn)?);
            performed = Some(Performed { outcome, changes });
            if dry_run { Err(QueryError::RollbackTransaction) } else { Ok(()) }
        });
        match (ended, performed) {
            (Ok(()) | Err(QueryError::RollbackTransaction), Some(performed)) => return Ok(performed),
            (Err(e), _) if left > 0 && is_transient(&e) => {}
            (Err(e), _) => return Err(e),
            (Ok(()), None) => return Err(QueryError::NotFound),
        }
    }
}

/// A task, or a step of it, with all that an operation may change.
#[derive(Debug, Clone, PartialEq)]
enum Standing {
    Task { state: String, paused: bool },
    Step(Box<StepWithName>),
}

type Standings = BTreeMap<(TaskId, Option<StepId>), Standing>;

fn standings(conn: &mut PgConnection, ids: &[TaskId]) -> QueryResult<Standings> {
    let all: Vec<i64> = ids.iter().map(|t| t.0).collect();
    let _locked: Vec<(i64, i64, Option<String>, Option<String>)> =
        operated_steps(all, Vec::<i64>::new(), "a look").load(conn)?;
    let mut standings = Standings::new();
    let found: Vec<Task> =
        tasks::table.filter(tasks::task_id.eq_any(ids)).select(Task::as_select()).load(conn)?;
    for task in found {
        let standing = Standing::Task { state: task.state.to_string(), paused: task.paused_at.is_some() };
        standings.insert((task.task_id, None), standing);
        for step in StepWithName::of_task(conn, task.task_id)? {
            let key = (task.task_id, Some(step.step.workflow_step_id));
            standings.insert(key, Standing::Step(Box::new(step)));
        }
    }
    Ok(standings)
}

fn clock(conn: &mut PgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(sql::<Timestamptz>("clock_timestamp()")).get_result(conn)
}

fn changes(before: &Standings, after: &Standings, now: DateTime<Utc>) -> Vec<Change> {
    let mut changes = vec![];
    for (key, new) in after {
        let Some(old) = before.get(key).filter(|old| *old != new) else { continue };
        let (from, to) = words(old, new, now);
        // What is over carries the pause of its task along without being changed by it.
        if from == to {
            continue;
        }
        let step = match new {
            Standing::Step(step) => Some(step.name.clone()),
            Standing::Task { .. } => None,
        };
        changes.push(Change { task_id: key.0, step_id: key.1, step, from, to });
    }
    changes
}

fn words(old: &Standing, new: &Standing, now: DateTime<Utc>) -> (String, String) {
    match (old, new) {
        (Standing::Step(old), Standing::Step(new)) => {
            let (mut from, mut to) = (standing(&old.step, now), standing(&new.step, now));
            let numbers = [
                ("limit", old.step.retry_limit, new.step.retry_limit),
                ("priority", old.step.priority.into(), new.step.priority.into()),
                ("generation", old.step.generation, new.step.generation),
            ];
            for (what, before, after) in numbers.into_iter().filter(|(_, before, after)| before != after) {
                from += &format!(", {what} {before}");
                to += &format!(", {what} {after}");
            }
            (from, to)
        }
        (old, new) => (of_task(old), of_task(new)),
    }
}

fn of_task(task: &Standing) -> String {
    match task {
        Standing::Task { state, paused: true } => format!("{state}, paused"),
        Standing::Task { state, paused: false } => state.clone(),
        Standing::Step(step) => step.step.state.to_string(),
    }
}

/// The state, and for what is unfinished, what it waits for.
fn standing(step: &Step, now: DateTime<Utc>) -> String {
    let mut words = step.state.to_string();
    if matches!(step.state, StepState::Pending | StepState::Error) {
        words += &match (step.pending_parents, step.available_at) {
            (0, None) => ", dead".to_owned(),
            (0, Some(at)) if at > now => {
                format!(", claimable from {}", at.to_rfc3339_opts(SecondsFormat::Secs, true))
            }
            (0, Some(_)) => ", claimable".to_owned(),
            (1, _) => ", waiting for 1 parent".to_owned(),
            (n, _) => format!(", waiting for {n} parents"),
        };
    }
    if step.held && !step.state.is_terminal() {
        words += ", held";
    }
    if step.paused && !step.state.is_terminal() {
        words += ", paused";
    }
    words
}
