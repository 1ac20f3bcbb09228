//! The set-based commands of the database, one function each, bound with their columns. What people ask for by
//! name is in [`operations`](crate::operations).
//!
//! Each is one round trip and atomic; each names the expected old state and, where a claim is reported, its
//! fencing token. Run them outside a transaction, or inside one of isolation level read committed. Times
//! are the database's unless `now` moves the clock.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use tasker_model::{DefinitionId, FailureKind, StepId, StepState, TaskId, TaskState, WorkerId};

pub use crate::operations::*;
use crate::{
    failpoint::around,
    functions::{
        ancestor_results, claim_steps, complete_steps, exchange_steps, fail_steps, register_worker,
        release_steps, renew_worker, submit_tasks, written_reports,
    },
    report::Report,
};

/// What names one claim: the step and its fencing token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The task.
    pub task_id: TaskId,
    /// The step.
    pub step_id: StepId,
    /// The step's `seq` right after the claim. A report with another one is refused.
    pub token: i32,
}

/// A claimed step with all that its handler needs.
#[derive(Debug, Clone, PartialEq, Queryable)]
pub struct ClaimedStep {
    /// The task.
    pub task_id: TaskId,
    /// The step.
    pub step_id: StepId,
    /// Its fencing token.
    pub token: i32,
    /// This attempt, counted from 1.
    pub attempt: i32,
    /// Raised by an operator's retry or reset.
    pub generation: i32,
    /// The definition that the task keeps.
    pub definition_id: DefinitionId,
    /// The step's name.
    pub step_name: String,
    /// The task's context.
    pub context: Value,
    /// An object: results of the parents by name.
    pub parent_results: Value,
    /// The instant of the claim.
    pub claimed_at: DateTime<Utc>,
}

impl ClaimedStep {
    /// What names it in a report.
    pub fn claim(&self) -> Claim {
        Claim { task_id: self.task_id, step_id: self.step_id, token: self.token }
    }
}

/// An attempt that failed, as it is reported.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedAttempt {
    /// The claim.
    pub claim: Claim,
    /// How it failed.
    pub kind: FailureKind,
    /// The wait before the next attempt, milliseconds.
    pub delay_ms: i64,
    /// A sentence for people.
    pub message: String,
}

/// What a report or a release changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Steps whose report was accepted. A report whose step is not here no longer held its claim.
    pub accepted: Vec<StepId>,
    /// Of those, the failed ones that no attempt will follow.
    pub dead: Vec<StepId>,
    /// Of those, the failed ones that another attempt would follow if fail-fast did not hold them.
    pub held: Vec<StepId>,
    /// Children that became available.
    pub ready: Vec<StepId>,
    /// Tasks that settled, with the state that they came to.
    pub settled: Vec<(TaskId, TaskState)>,
}

impl Changes {
    fn from_rows(rows: Vec<(String, i64, Option<i64>)>) -> Self {
        let mut changes = Self::default();
        for (kind, task, step) in rows {
            match (kind.as_str(), step.map(StepId)) {
                ("ready", Some(step)) => changes.ready.push(step),
                ("dead", Some(step)) => {
                    changes.accepted.push(step);
                    changes.dead.push(step);
                }
                ("held", Some(step)) => {
                    changes.accepted.push(step);
                    changes.held.push(step);
                }
                (_, Some(step)) => changes.accepted.push(step),
                (state, None) => changes.settled.extend(state.parse().ok().map(|s| (TaskId(task), s))),
            }
        }
        changes
    }

    /// Adds what another report changed.
    pub fn extend(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.dead.extend(other.dead);
        self.held.extend(other.held);
        self.ready.extend(other.ready);
        self.settled.extend(other.settled);
    }
}

/// Claims up to `limit` steps for a living worker; none for one whose lease ran out. Takes back steps of
/// dead workers first. SQL function `tasker.claim_steps`.
pub fn claim(
    conn: &mut PgConnection,
    worker: WorkerId,
    limit: i32,
    now: Option<DateTime<Utc>>,
) -> QueryResult<Vec<ClaimedStep>> {
    claim_steps(worker.0, limit, now).load(conn)
}

fn split(claims: impl Iterator<Item = Claim>) -> (Vec<i64>, Vec<i64>, Vec<i32>) {
    let mut columns = (vec![], vec![], vec![]);
    for c in claims {
        columns.0.push(c.task_id.0);
        columns.1.push(c.step_id.0);
        columns.2.push(c.token);
    }
    columns
}

/// Reports attempts that succeeded. SQL function `tasker.complete_steps`.
pub fn complete(
    conn: &mut PgConnection,
    reports: &[(Claim, Value)],
    now: Option<DateTime<Utc>>,
) -> QueryResult<Changes> {
    if reports.is_empty() {
        return Ok(Changes::default());
    }
    let (tasks, steps, tokens) = split(reports.iter().map(|(c, _)| *c));
    let results: Vec<&Value> = reports.iter().map(|(_, v)| v).collect();
    let rows = around("complete", || complete_steps(tasks, steps, tokens, results, now).load(conn));
    rows.map(Changes::from_rows)
}

/// Where a claim came to in one queue and priority: the key of the last step that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The queue.
    pub queue_id: i32,
    /// The priority.
    pub priority: i32,
    /// Since when the step was available.
    pub at: DateTime<Utc>,
    /// The step.
    pub step_id: i64,
}

/// What one turn of a worker brought about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exchanged {
    /// What the reports changed.
    pub changes: Changes,
    /// The steps that were claimed.
    pub claimed: Vec<ClaimedStep>,
    /// Where the claim came to.
    pub heads: Vec<Head>,
    /// Where nothing was claimed: milliseconds until something becomes claimable or another worker's lease
    /// runs out; `None` where nothing does.
    pub due_in_ms: Option<i32>,
}

type ExchangeRow = (
    String,
    Option<i64>,
    Option<i64>,
    Option<i32>,
    Option<i32>,
    Option<i32>,
    Option<i64>,
    Option<String>,
    Option<Value>,
    Option<Value>,
    Option<DateTime<Utc>>,
);

/// What a turn asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The most steps to claim.
    pub limit: i32,
    /// Whether to claim others than the children of what is reported.
    pub further: bool,
    /// Whether to take back steps of dead workers first; not together with reports.
    pub expire: bool,
}

/// Reports attempts that succeeded (other reports are not looked at) and claims steps, other than children
/// those behind the given heads, in one round trip and one commit; goes on with children before it takes other
/// steps of their priority. SQL function `tasker.exchange_steps`.
pub fn exchange(
    conn: &mut PgConnection,
    worker: WorkerId,
    ask: Ask,
    reports: &[Report],
    after: &[Head],
    now: Option<DateTime<Utc>>,
) -> QueryResult<Exchanged> {
    let completed =
        || reports.iter().filter_map(|r| if let Report::Completed(c, v) = r { Some((*c, v)) } else { None });
    let (tasks, steps, tokens) = split(completed().map(|(c, _)| c));
    let results: Vec<&Value> = completed().map(|(_, v)| v).collect();
    let (queues, priorities, ats, ids) = split_heads(after);
    let rows: Vec<ExchangeRow> = around("exchange", || {
        exchange_steps(
            worker.0,
            ask.limit,
            ask.further,
            ask.expire,
            tasks,
            steps,
            tokens,
            results,
            queues,
            priorities,
            ats,
            ids,
            now,
        )
        .load(conn)
    })?;
    let mut exchanged = Exchanged::default();
    rows.into_iter().for_each(|row| exchanged.take_in(row));
    Ok(exchanged)
}

type HeadColumns = (Vec<i32>, Vec<i32>, Vec<DateTime<Utc>>, Vec<i64>);

fn split_heads(heads: &[Head]) -> HeadColumns {
    let mut columns = HeadColumns::default();
    for h in heads {
        columns.0.push(h.queue_id);
        columns.1.push(h.priority);
        columns.2.push(h.at);
        columns.3.push(h.step_id);
    }
    columns
}

impl Exchanged {
    fn take_in(&mut self, row: ExchangeRow) {
        match row {
            (kind, task, step, token, attempt, generation, definition, name, context, parents, at)
                if kind == "claimed" =>
            {
                self.claimed.extend(claimed(
                    (task, step, token, attempt, generation, definition),
                    (name, context, parents, at),
                ));
            }
            (kind, Some(queue), Some(step_id), Some(priority), .., Some(at)) if kind == "head" => {
                let queue_id = i32::try_from(queue).unwrap_or_default();
                self.heads.push(Head { queue_id, priority, at, step_id });
            }
            (kind, _, _, due_in_ms, ..) if kind == "idle" => self.due_in_ms = due_in_ms,
            (kind, Some(task), step, ..) => {
                self.changes.extend(Changes::from_rows(vec![(kind, task, step)]));
            }
            _ => {}
        }
    }
}

fn claimed(
    (task, step, token, attempt, generation, definition): (
        Option<i64>,
        Option<i64>,
        Option<i32>,
        Option<i32>,
        Option<i32>,
        Option<i64>,
    ),
    (name, context, parents, at): (Option<String>, Option<Value>, Option<Value>, Option<DateTime<Utc>>),
) -> Option<ClaimedStep> {
    Some(ClaimedStep {
        task_id: TaskId(task?),
        step_id: StepId(step?),
        token: token?,
        attempt: attempt?,
        generation: generation?,
        definition_id: DefinitionId(definition?),
        step_name: name?,
        context: context?,
        parent_results: parents?,
        claimed_at: at?,
    })
}

/// What a renewal found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Whether the lease holds; if not, the incarnation is over.
    pub alive: bool,
    /// Claims that were asked about and are no longer held.
    pub lost: Vec<Claim>,
    /// Claims that the worker holds and did not ask about.
    pub others: Vec<Claim>,
}

/// Renews a lease and compares notes about the claims that the worker knows of. SQL function
/// `tasker.renew_worker`.
pub fn renew_worker_with(
    conn: &mut PgConnection,
    worker: WorkerId,
    known: &[Claim],
    now: Option<DateTime<Utc>>,
) -> QueryResult<Renewed> {
    let (tasks, steps, tokens) = split(known.iter().copied());
    let rows: Vec<(String, Option<i64>, Option<i64>, Option<i32>)> =
        around("renew", || renew_worker(worker.0, tasks, steps, tokens, now).load(conn))?;
    let mut renewed = Renewed::default();
    for row in rows {
        match row {
            (kind, Some(task), Some(step), Some(token)) => {
                let claim = Claim { task_id: TaskId(task), step_id: StepId(step), token };
                if kind == "lost" { &mut renewed.lost } else { &mut renewed.others }.push(claim);
            }
            _ => renewed.alive = true,
        }
    }
    Ok(renewed)
}

/// Reports attempts that failed. SQL function `tasker.fail_steps`.
pub fn fail(
    conn: &mut PgConnection,
    reports: &[FailedAttempt],
    now: Option<DateTime<Utc>>,
) -> QueryResult<Changes> {
    if reports.is_empty() {
        return Ok(Changes::default());
    }
    let (tasks, steps, tokens) = split(reports.iter().map(|r| r.claim));
    let kinds: Vec<_> = reports.iter().map(|r| r.kind.as_str()).collect();
    let delays: Vec<_> = reports.iter().map(|r| r.delay_ms).collect();
    let messages: Vec<_> = reports.iter().map(|r| r.message.as_str()).collect();
    let rows = around("fail", || fail_steps(tasks, steps, tokens, kinds, delays, messages, now).load(conn));
    rows.map(Changes::from_rows)
}

/// Gives claims back unrun, with their attempt. SQL function `tasker.release_steps`.
pub fn release(
    conn: &mut PgConnection,
    claims: &[Claim],
    reason: Option<&str>,
    now: Option<DateTime<Utc>>,
) -> QueryResult<Changes> {
    if claims.is_empty() {
        return Ok(Changes::default());
    }
    let (tasks, steps, tokens) = split(claims.iter().copied());
    let rows = around("release", || release_steps(tasks, steps, tokens, reason, now).load(conn));
    rows.map(Changes::from_rows)
}

/// A report that was written although its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The step.
    pub step_id: StepId,
    /// The token of the claim that was reported on.
    pub token: i32,
    /// What the report brought: complete, error or, given back, pending.
    pub state: StepState,
    /// Whether no attempt follows.
    pub over: bool,
    /// What its task came to by the same commit, if it settled.
    pub settled: Option<TaskState>,
}

/// Which of these reports were written before. SQL function `tasker.written_reports`.
pub fn written(conn: &mut PgConnection, claims: &[Claim]) -> QueryResult<Vec<Written>> {
    let (tasks, steps, tokens) = split(claims.iter().copied());
    let rows: Vec<(i64, i32, String, bool, Option<String>)> =
        written_reports(tasks, steps, tokens).load(conn)?;
    let written = rows.into_iter().filter_map(|(step, token, state, over, settled)| {
        let (state, settled) = (state.parse().ok()?, settled.and_then(|s| s.parse().ok()));
        Some(Written { step_id: StepId(step), token, state, over, settled })
    });
    Ok(written.collect())
}

/// Which of these claims are no longer held. SQL function `tasker.lost_claims`.
pub fn lost(conn: &mut PgConnection, claims: &[Claim]) -> QueryResult<Vec<StepId>> {
    let (tasks, steps, tokens) = split(claims.iter().copied());
    let ids: Vec<i64> = diesel::select(crate::functions::lost_claims(tasks, steps, tokens)).load(conn)?;
    Ok(ids.into_iter().map(StepId).collect())
}

/// Results of all ancestors of these steps, an object by name each. SQL function
/// `tasker.ancestor_results`.
pub fn ancestors(conn: &mut PgConnection, steps: &[(TaskId, StepId)]) -> QueryResult<Vec<(StepId, Value)>> {
    let (tasks, steps): (Vec<_>, Vec<_>) = steps.iter().map(|(t, s)| (t.0, s.0)).unzip();
    let rows: Vec<(i64, Value)> = ancestor_results(tasks, steps).load(conn)?;
    Ok(rows.into_iter().map(|(s, v)| (StepId(s), v)).collect())
}

/// Registers an incarnation. Returns its id and the end of its first lease. SQL function
/// `tasker.register_worker`.
pub fn register(
    conn: &mut PgConnection,
    name: &str,
    namespaces: Option<&[String]>,
    handlers: &[String],
    lease_ms: i32,
    now: Option<DateTime<Utc>>,
) -> QueryResult<(WorkerId, DateTime<Utc>)> {
    let namespaces = namespaces.map(<[_]>::to_vec);
    around("register", || {
        register_worker(name, namespaces, handlers.to_vec(), lease_ms, now).get_result(conn)
    })
}

/// Renews a lease; `None` means that the incarnation is over. SQL function `tasker.renew_lease`.
pub fn renew(
    conn: &mut PgConnection,
    worker: WorkerId,
    now: Option<DateTime<Utc>>,
) -> QueryResult<Option<DateTime<Utc>>> {
    diesel::select(crate::functions::renew_lease(worker.0, now)).get_result(conn)
}

/// Signs an incarnation off; whether it was alive. SQL function `tasker.end_worker`.
pub fn end_worker(
    conn: &mut PgConnection,
    worker: WorkerId,
    now: Option<DateTime<Utc>>,
) -> QueryResult<bool> {
    around("end_worker", || diesel::select(crate::functions::end_worker(worker.0, now)).get_result(conn))
}

/// When the next step becomes claimable for a worker. SQL function `tasker.next_due_at`.
pub fn next_due_at(conn: &mut PgConnection, worker: WorkerId) -> QueryResult<Option<DateTime<Utc>>> {
    diesel::select(crate::functions::next_due_at(worker.0)).get_result(conn)
}

/// Whether nothing is or will become claimable for a worker by itself. SQL function `tasker.is_drained`.
pub fn is_drained(conn: &mut PgConnection, worker: WorkerId) -> QueryResult<bool> {
    diesel::select(crate::functions::is_drained(worker.0)).get_result(conn)
}

/// Finds or writes a definition. SQL function `tasker.register_definition`.
pub fn register_definition(
    conn: &mut PgConnection,
    definition: &Value,
    hash: &str,
) -> QueryResult<DefinitionId> {
    diesel::select(crate::functions::register_definition(definition, hash)).get_result(conn).map(DefinitionId)
}

/// Tasks to be created of one definition, as the SQL functions take them.
#[derive(Debug, Clone)]
pub struct NewTasks {
    /// The definition as JSON.
    pub definition: Value,
    /// The SHA-256 of its canonical text, in hexadecimal.
    pub hash: String,
    /// An array of objects, one a task: see `tasker.submit_tasks`.
    pub requests: Value,
}

/// A task that was submitted: the position of its request, its id, and whether it was created now.
pub type Created = (i32, TaskId, bool);

/// Creates tasks; one row each. SQL function `tasker.submit_tasks`.
pub fn submit(
    conn: &mut PgConnection,
    definition: DefinitionId,
    requests: &Value,
    now: Option<DateTime<Utc>>,
) -> QueryResult<Vec<Created>> {
    submit_tasks(definition.0, requests, now, true).load(conn)
}

/// Finds or writes the definition and creates tasks of it, in one round trip. SQL functions
/// `tasker.register_definition` and `tasker.submit_tasks`.
pub fn register_and_submit(
    conn: &mut PgConnection,
    tasks: &NewTasks,
    now: Option<DateTime<Utc>>,
) -> QueryResult<Vec<Created>> {
    let definition = crate::functions::register_definition(&tasks.definition, &tasks.hash);
    around("submit", || submit_tasks(definition, &tasks.requests, now, true).load(conn))
}

/// The same and one turn of a worker that claims up to `limit` steps, in one round trip and one commit. SQL functions
/// `tasker.register_definition` and `tasker.submit_and_exchange`.
pub fn submit_and_exchange(
    conn: &mut PgConnection,
    tasks: &NewTasks,
    worker: WorkerId,
    limit: i32,
    after: &[Head],
    now: Option<DateTime<Utc>>,
) -> QueryResult<(Vec<Created>, Exchanged)> {
    let definition = crate::functions::register_definition(&tasks.definition, &tasks.hash);
    let (queues, priorities, ats, ids) = split_heads(after);
    let rows: Vec<ExchangeRow> = around("submit", || {
        let requests = &tasks.requests;
        crate::functions::submit_and_exchange(
            definition, requests, worker.0, limit, queues, priorities, ats, ids, now,
        )
        .load(conn)
    })?;
    let (mut created, mut exchanged) = (vec![], Exchanged::default());
    for row in rows {
        match row {
            (kind, Some(task), _, Some(position), Some(new), ..) if kind == "submitted" => {
                created.push((position, TaskId(task), new == 1));
            }
            row => exchanged.take_in(row),
        }
    }
    Ok((created, exchanged))
}
