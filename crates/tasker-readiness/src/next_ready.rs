//! What a claim would take next, as a struct.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use tasker_model::{StepId, TaskId};

use crate::{get_next_ready_steps, step::statement_timestamp};

/// A row of `tasker.get_next_ready_steps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable)]
pub struct NextReadyStep {
    /// Its place in the order of claiming, from 1.
    pub place: i64,
    /// The step.
    pub workflow_step_id: StepId,
    /// The task.
    pub task_id: TaskId,
    /// Its name.
    pub step_name: String,
    /// The workflow.
    pub task_name: String,
    /// Its namespace.
    pub namespace_name: String,
    /// Its version.
    pub version: String,
    /// The handler that it needs.
    pub handler: String,
    /// 1 is claimed first, 5 last.
    pub priority: i16,
    /// Since when it may be claimed.
    pub available_at: DateTime<Utc>,
    /// Attempts of this generation so far.
    pub attempts: i32,
    /// How many there may be.
    pub retry_limit: i32,
}

impl NextReadyStep {
    /// What a worker that serves these namespaces and handlers (`None`: all) would get of one claim, at most
    /// `limit` steps in the order of claiming. Nothing is claimed or locked. `now` moves the clock, `None`
    /// reads the database's.
    pub fn peek(
        conn: &mut PgConnection,
        limit: i32,
        namespaces: Option<&[&str]>,
        handlers: Option<&[&str]>,
        now: Option<DateTime<Utc>>,
    ) -> QueryResult<Vec<Self>> {
        match now {
            Some(now) => get_next_ready_steps(limit, namespaces, handlers, now).load(conn),
            None => get_next_ready_steps(limit, namespaces, handlers, statement_timestamp()).load(conn),
        }
    }
}
