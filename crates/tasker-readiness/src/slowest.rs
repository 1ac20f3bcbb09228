//! The slowest steps and tasks, as structs.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use tasker_model::{StepId, StepState, TaskId, TaskState};

use crate::{get_slowest_steps, get_slowest_tasks, step::statement_timestamp};

/// Which steps or tasks are asked for: those of the last 24 hours by default, ten of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slowest {
    /// Tasks created after it; `None` means the 24 hours before now.
    pub since: Option<DateTime<Utc>>,
    /// The most rows; `None` for all.
    pub limit: Option<i32>,
    /// Only of workflows of this namespace.
    pub namespace: Option<String>,
    /// Only of workflows of this name.
    pub task_name: Option<String>,
    /// Only of workflows of this version.
    pub version: Option<String>,
    /// The instant asked about; `None` reads the database's clock.
    pub now: Option<DateTime<Utc>>,
}

impl Default for Slowest {
    fn default() -> Self {
        Self { since: None, limit: Some(10), namespace: None, task_name: None, version: None, now: None }
    }
}

/// A row of `tasker.get_slowest_steps`.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable)]
pub struct SlowestStep {
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
    /// How long its last attempt ran, from claim to completion.
    pub duration_seconds: f64,
    /// Attempts of this generation.
    pub attempts: i32,
    /// When its row was written.
    pub created_at: DateTime<Utc>,
    /// When it completed.
    pub completed_at: DateTime<Utc>,
    /// Whether a failed attempt may be followed by another.
    pub retryable: bool,
    /// Its state: complete.
    pub step_status: StepState,
    /// When its last attempt was claimed.
    pub claimed_at: DateTime<Utc>,
    /// How long it could have been claimed before it was.
    pub queueing_seconds: f64,
}

/// A row of `tasker.get_slowest_tasks`.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable)]
pub struct SlowestTask {
    /// The task.
    pub task_id: TaskId,
    /// The workflow.
    pub task_name: String,
    /// Its namespace.
    pub namespace_name: String,
    /// Its version.
    pub version: String,
    /// From created to finished.
    pub duration_seconds: f64,
    /// All steps.
    pub step_count: i64,
    /// Steps that are complete or resolved_manually.
    pub completed_steps: i64,
    /// Steps in state error.
    pub error_steps: i64,
    /// When its row was written.
    pub created_at: DateTime<Utc>,
    /// When it went to its state.
    pub completed_at: DateTime<Utc>,
    /// Who asked for it.
    pub initiator: String,
    /// Which system asked for it.
    pub source_system: String,
    /// Its state: complete or error.
    pub task_status: TaskState,
}

impl SlowestStep {
    /// The complete steps that ran longest, longest first.
    pub fn find(conn: &mut PgConnection, of: &Slowest) -> QueryResult<Vec<Self>> {
        let Slowest { since, limit, namespace, task_name, version, now } = of;
        match now {
            Some(now) => get_slowest_steps(since, limit, namespace, task_name, version, now).load(conn),
            None => get_slowest_steps(since, limit, namespace, task_name, version, statement_timestamp())
                .load(conn),
        }
    }
}

impl SlowestTask {
    /// The complete and failed tasks that took longest, longest first.
    pub fn find(conn: &mut PgConnection, of: &Slowest) -> QueryResult<Vec<Self>> {
        let Slowest { since, limit, namespace, task_name, version, now } = of;
        match now {
            Some(now) => get_slowest_tasks(since, limit, namespace, task_name, version, now).load(conn),
            None => get_slowest_tasks(since, limit, namespace, task_name, version, statement_timestamp())
                .load(conn),
        }
    }
}
