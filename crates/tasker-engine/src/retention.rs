//! Retention: deletes finished tasks older than a policy, batch by batch, beside running work.
//!
//! Which tasks go, and that none goes which somebody works on, is decided by the SQL function
//! `tasker.prune_tasks` under its locks; here is only the way from batch to batch.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use tasker_model::{TaskId, TaskState};

use crate::failpoint::around;
use crate::functions::{count_prunable, prune_leftovers, prune_tasks};

/// What may be deleted, and how much of it at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Tasks that finished before this instant. Take it from the database's clock.
    pub before: DateTime<Utc>,
    /// Finished states, one after the other. Tasks in error are in none of them unless they are named: they wait
    /// for somebody to retry or resolve them.
    pub states: Vec<TaskState>,
    /// Only tasks of workflows of these namespaces; `None` means all.
    pub namespaces: Option<Vec<String>>,
    /// The most tasks of one batch, 1 or more. A batch is one transaction.
    pub batch: i32,
    /// The most steps of one batch, 1 or more; its first task is taken whatever it has.
    pub batch_steps: i32,
}

impl RetentionPolicy {
    /// Complete, cancelled and resolved tasks of every namespace that finished before the instant, 500 tasks or
    /// 10,000 steps a batch.
    pub fn before(before: DateTime<Utc>) -> Self {
        let states = vec![TaskState::Complete, TaskState::Cancelled, TaskState::ResolvedManually];
        Self { before, states, namespaces: None, batch: 500, batch_steps: 10_000 }
    }
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Tasks.
    pub tasks: u64,
    /// Their steps.
    pub steps: u64,
    /// Incarnations of workers.
    pub workers: u64,
    /// Texts of workflows.
    pub definitions: u64,
}

impl Pruned {
    fn add(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.steps += other.steps;
        self.workers += other.workers;
        self.definitions += other.definitions;
    }
}

/// What [`RetentionPolicy`] would delete, of one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable)]
pub struct Prunable {
    /// The state.
    pub state: TaskState,
    /// How many tasks.
    pub tasks: i64,
    /// When the first of them finished.
    pub first_finished_at: DateTime<Utc>,
    /// When the last of them finished.
    pub last_finished_at: DateTime<Utc>,
}

/// What the policy would delete, one entry for each state that has any. Reads every such task's index entry.
/// SQL function `tasker.count_prunable`.
pub fn prunable(conn: &mut PgConnection, policy: &RetentionPolicy) -> QueryResult<Vec<Prunable>> {
    let states = policy.states.iter().map(|s| s.as_str()).collect();
    count_prunable::<_, Vec<&str>, _>(policy.before, states, policy.namespaces.clone()).load(conn)
}

/// The way through what a policy deletes: one call of [`next`](Self::next) is one batch.
#[derive(Debug)]
pub struct Pruning {
    policy: RetentionPolicy,
    /// The state that is being pruned, as its place in the policy.
    place: usize,
    reached: Option<DateTime<Utc>>,
    finished: bool,
    total: Pruned,
}

impl Pruning {
    /// Begins with the oldest.
    pub fn new(policy: RetentionPolicy) -> Self {
        Self { policy, place: 0, reached: None, finished: false, total: Pruned::default() }
    }

    /// Everything deleted so far.
    pub fn total(&self) -> Pruned {
        self.total
    }

    /// Deletes the next batch in one transaction (the caller's, if one is open): tasks until none is left, then
    /// workers and definitions that nothing needs (unless namespaces narrow the policy). Returns what is gone, or `None` when nothing is left. After an
    /// error the same batch is tried again. SQL functions `tasker.prune_tasks`, `tasker.prune_leftovers`.
    pub fn next(&mut self, conn: &mut PgConnection) -> QueryResult<Option<Pruned>> {
        while let Some(state) = self.policy.states.get(self.place) {
            let gone = self.tasks(conn, *state)?;
            if gone.tasks > 0 {
                return Ok(Some(gone));
            }
            self.place += 1;
            self.reached = None;
        }
        if self.finished || self.policy.namespaces.is_some() {
            return Ok(None);
        }
        let (workers, definitions): (i32, i32) =
            prune_leftovers(self.policy.before, self.policy.batch).get_result(conn)?;
        let gone = Pruned { workers: count(workers), definitions: count(definitions), ..Pruned::default() };
        self.total.add(gone);
        self.finished = gone == Pruned::default();
        Ok((!self.finished).then_some(gone))
    }

    fn tasks(&mut self, conn: &mut PgConnection, state: TaskState) -> QueryResult<Pruned> {
        let p = &self.policy;
        let rows: Vec<(TaskId, DateTime<Utc>, i32)> = around("prune", || {
            prune_tasks(p.before, state.as_str(), p.namespaces.clone(), p.batch, p.batch_steps, self.reached)
                .load(conn)
        })?;
        let steps = rows.iter().map(|(_, _, steps)| count(*steps)).sum();
        let gone = Pruned { tasks: rows.len() as u64, steps, ..Pruned::default() };
        self.reached = rows.last().map(|(_, at, _)| *at).or(self.reached);
        self.total.add(gone);
        Ok(gone)
    }
}

fn count(n: i32) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
