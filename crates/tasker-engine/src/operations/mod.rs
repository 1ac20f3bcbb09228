//! What people ask for by name and with a reason: the SQL functions of the operations, one each, bound.
//!
//! Each call is atomic, names the state that it expects, and says of every task and step what became of it: an
//! operation that finds its work done already changes nothing and says so. Which state allows which operation
//! is data in [`tasker_state_machine::Operation`]. To see what an operation would change, or what it did, run
//! it through [`perform`]. All run in a transaction of isolation level read committed or outside one; a
//! deadlock with reports of the same task may end one, which is then to be tried again.

mod outcome;
mod perform;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use tasker_model::{StepId, TaskId};

pub use outcome::{Effect, Outcome, QueueOutcome, Refusal, StepOutcome, TaskOutcome};
pub use perform::{Change, Performed, perform};

use crate::functions::{
    cancel_steps, cancel_tasks, pause_queues, pause_steps, pause_tasks, reset_steps, resolve_steps,
    resolve_tasks, retry_steps, retry_steps_now, retry_tasks, set_priorities, set_retry_limits, skip_steps,
};

type Now = Option<DateTime<Utc>>;

fn tasks_of(tasks: &[TaskId]) -> Vec<i64> {
    tasks.iter().map(|t| t.0).collect()
}

fn steps_of(steps: &[(TaskId, StepId)]) -> (Vec<i64>, Vec<i64>) {
    steps.iter().map(|(t, s)| (t.0, s.0)).unzip()
}

/// Cancels tasks with their unfinished steps. Allowed: `pending`, `in_progress`, `error`. SQL function
/// `tasker.cancel_tasks`.
pub fn cancel(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<TaskOutcome>> {
    cancel_tasks(tasks_of(tasks), actor, reason, now).load(conn)
}

/// Cancels single steps; their tasks go on. SQL function `tasker.cancel_steps`.
pub fn cancel_single(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId)],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let (tasks, steps) = steps_of(steps);
    cancel_steps(tasks, steps, actor, reason, now).load(conn)
}

/// Retries every failed and cancelled step of tasks in error or cancelled. SQL function
/// `tasker.retry_tasks`.
pub fn retry(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<TaskOutcome>> {
    use retry_tasks as r;
    retry_tasks(tasks_of(tasks), actor, reason, now).select((r::task_id, r::outcome, r::state)).load(conn)
}

/// Retries single steps in error or cancelled, with a new generation. SQL function `tasker.retry_steps`.
pub fn retry_single(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId)],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let (tasks, steps) = steps_of(steps);
    retry_steps(tasks, steps, actor, reason, now).load(conn)
}

/// Makes steps that wait for their next attempt due at once, in the same generation. SQL function
/// `tasker.retry_steps_now`.
pub fn retry_now(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId)],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let (tasks, steps) = steps_of(steps);
    retry_steps_now(tasks, steps, actor, reason, now).load(conn)
}

/// Makes steps run anew. One whose child has run on its result is refused, unless the child is named too. SQL
/// function `tasker.reset_steps`.
pub fn reset(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId)],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let (tasks, steps) = steps_of(steps);
    reset_steps(tasks, steps, false, actor, reason, now).load(conn)
}

/// Makes steps run anew, and everything that waits for them, directly or not: there is an outcome for each
/// descendant that went back. SQL function `tasker.reset_steps`.
pub fn retry_from(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId)],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let (tasks, steps) = steps_of(steps);
    reset_steps(tasks, steps, true, actor, reason, now).load(conn)
}

/// Resolves steps that are pending or in error, with a result each or none. SQL function
/// `tasker.resolve_steps`.
pub fn resolve(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId, Option<Value>)],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let tasks: Vec<_> = steps.iter().map(|s| s.0.0).collect();
    let ids: Vec<_> = steps.iter().map(|s| s.1.0).collect();
    let results: Vec<Option<&Value>> = steps.iter().map(|s| s.2.as_ref()).collect();
    resolve_steps(tasks, ids, results, actor, reason, now).load(conn)
}

/// Declares tasks in error to be dealt with; their steps stay as they are. SQL function
/// `tasker.resolve_tasks`.
pub fn resolve_whole(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<TaskOutcome>> {
    resolve_tasks(tasks_of(tasks), actor, reason, now).load(conn)
}

/// Leaves out steps that their definition marks skippable. SQL function `tasker.skip_steps`.
pub fn skip(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId)],
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let (tasks, steps) = steps_of(steps);
    skip_steps(tasks, steps, actor, reason, now).load(conn)
}

/// Changes the total number of attempts that steps may have: 0 to 1,000,000, 0 means never. SQL function
/// `tasker.set_retry_limits`, which raises an error for another number.
pub fn set_retry_limit(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId)],
    retry_limit: i32,
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let (tasks, steps) = steps_of(steps);
    set_retry_limits(tasks, steps, retry_limit, actor, reason, now).load(conn)
}

/// Changes in which order steps are claimed: 1 first, 5 last. SQL function `tasker.set_priorities`, which
/// raises an error for another number.
pub fn set_priority(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId)],
    priority: i32,
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let (tasks, steps) = steps_of(steps);
    set_priorities(tasks, steps, priority, actor, reason, now).load(conn)
}

/// Pauses tasks, or with `pause` false resumes them. SQL function `tasker.pause_tasks`.
pub fn pause(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    pause: bool,
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<TaskOutcome>> {
    pause_tasks(tasks_of(tasks), pause, actor, reason, now).load(conn)
}

/// Pauses single steps, or with `pause` false resumes them. SQL function `tasker.pause_steps`.
pub fn pause_single(
    conn: &mut PgConnection,
    steps: &[(TaskId, StepId)],
    pause: bool,
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<StepOutcome>> {
    let (tasks, steps) = steps_of(steps);
    pause_steps(tasks, steps, pause, actor, reason, now).load(conn)
}

/// Pauses queues, or with `pause` false resumes them: one handler of a namespace, a whole namespace with the
/// queues that it comes to have, or one handler everywhere. None where there is no such queue. SQL function
/// `tasker.pause_queues`, which raises an error where neither is named.
pub fn pause_queue(
    conn: &mut PgConnection,
    namespace: Option<&str>,
    handler: Option<&str>,
    pause: bool,
    actor: &str,
    reason: Option<&str>,
    now: Now,
) -> QueryResult<Vec<QueueOutcome>> {
    pause_queues(namespace, handler, pause, actor, reason, now).load(conn)
}
