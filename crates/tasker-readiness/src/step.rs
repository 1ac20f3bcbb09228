//! A step's readiness as a struct, and what follows from the row alone.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{
    expression::SqlLiteral,
    prelude::*,
    sql_types::{Array, BigInt, Nullable},
};
use serde::Serialize;
use tasker_model::{FailureKind, StepId, StepState, TaskId, TaskState, WorkerId};

use crate::{get_step_readiness_status, get_step_readiness_status_batch};

/// A row of `tasker.get_step_readiness_status` or of its batch form.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable)]
pub struct StepReadinessStatus {
    /// The step.
    pub workflow_step_id: StepId,
    /// The task.
    pub task_id: TaskId,
    /// Which step of the workflow it is.
    pub named_step_id: i32,
    /// Its name.
    pub name: String,
    /// Durable state.
    pub current_state: StepState,
    /// Whether no parent is pending.
    pub dependencies_satisfied: bool,
    /// Whether attempts are left, and no more than that.
    pub retry_eligible: bool,
    /// Whether it may be claimed at the instant asked about.
    pub ready_for_execution: bool,
    /// When its last attempt failed, if it is in error.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// When it becomes ready again, if it is in error and another attempt follows.
    pub next_retry_at: Option<DateTime<Utc>>,
    /// All parents.
    pub total_parents: i32,
    /// Parents that are done.
    pub completed_parents: i32,
    /// Attempts of this generation.
    pub attempts: i32,
    /// How many there may be.
    pub retry_limit: i32,
    /// The wait decided at the last failure, seconds.
    pub backoff_request_seconds: Option<i32>,
    /// When it was last claimed.
    pub last_attempted_at: Option<DateTime<Utc>>,
    /// Whether a failed attempt may be followed by another.
    pub retryable: bool,
    /// From when it may be claimed.
    pub available_at: Option<DateTime<Utc>>,
    /// Whether that instant has come.
    pub retry_due: bool,
    /// Whether fail-fast holds it.
    pub held: bool,
    /// Whether it, its task or its queue is paused.
    pub paused: bool,
    /// How the last attempt failed.
    pub failure_kind: Option<FailureKind>,
    /// What the last failed attempt said.
    pub last_error: Option<String>,
    /// Raised by an operator's retry or reset.
    pub generation: i32,
    /// State of the task.
    pub task_state: TaskState,
    /// The handler that it needs.
    pub handler: String,
    /// The incarnation that runs it.
    pub worker_id: Option<WorkerId>,
    /// Until when that incarnation's lease holds.
    pub lease_until: Option<DateTime<Utc>>,
    /// The one word for where it stands, as SQL says it.
    pub detail: String,
}

/// Why a step may not be claimed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BlockingReason {
    /// It is being run.
    InProgress,
    /// It is done, or cancelled.
    Finished,
    /// Its last failure was permanent.
    Permanent,
    /// No attempt is left.
    Exhausted,
    /// It failed and is not to be tried again.
    NotRetryable,
    /// A parent is not done.
    WaitingForParents,
    /// Fail-fast holds it.
    Held,
    /// It, its task or its queue is paused.
    Paused,
    /// Its task takes no more steps.
    TaskFinished,
    /// Its next attempt is not due yet.
    WaitingForRetry,
    /// Its first attempt is not due yet.
    Scheduled,
}

impl BlockingReason {
    /// The reason behind the `detail` of a row; `None` for `ready`.
    pub fn of_detail(detail: &str) -> Option<Self> {
        use BlockingReason::*;
        Some(match detail {
            "ready" => return None,
            "in_progress" => InProgress,
            "permanent" => Permanent,
            "exhausted" => Exhausted,
            "not_retryable" => NotRetryable,
            "waiting_for_parents" => WaitingForParents,
            "held" => Held,
            "paused" => Paused,
            "task_finished" => TaskFinished,
            "waiting_for_retry" => WaitingForRetry,
            "scheduled" => Scheduled,
            _ => Finished,
        })
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Finished => "finished",
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::NotRetryable => "not_retryable",
            Self::WaitingForParents => "waiting_for_parents",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::TaskFinished => "task_finished",
            Self::WaitingForRetry => "waiting_for_retry",
            Self::Scheduled => "scheduled",
        }
    }
}

impl fmt::Display for BlockingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

diesel::define_sql_function! {
    /// The start of the statement.
    fn statement_timestamp() -> diesel::sql_types::Timestamptz;
}

/// NULL, written in the statement: bound as a parameter it would be planned like an array of a few tasks.
pub(crate) fn everything() -> SqlLiteral<Nullable<Array<BigInt>>> {
    diesel::dsl::sql("NULL")
}

impl StepReadinessStatus {
    /// The steps of one task, by id; none where the task does not exist. `now` moves the clock, `None`
    /// reads the database's.
    pub fn for_task(
        conn: &mut PgConnection,
        task: TaskId,
        now: Option<DateTime<Utc>>,
    ) -> QueryResult<Vec<Self>> {
        match now {
            Some(now) => get_step_readiness_status(task.0, None::<Vec<i64>>, now).load(conn),
            None => get_step_readiness_status(task.0, None::<Vec<i64>>, statement_timestamp()).load(conn),
        }
    }

    /// These steps of one task, by id.
    pub fn for_steps(
        conn: &mut PgConnection,
        task: TaskId,
        steps: &[StepId],
        now: Option<DateTime<Utc>>,
    ) -> QueryResult<Vec<Self>> {
        let ids = Some(steps.iter().map(|s| s.0).collect::<Vec<_>>());
        match now {
            Some(now) => get_step_readiness_status(task.0, ids, now).load(conn),
            None => get_step_readiness_status(task.0, ids, statement_timestamp()).load(conn),
        }
    }

    /// The steps of these tasks, by task and id; of every open task where `tasks` is `None`.
    pub fn for_tasks(
        conn: &mut PgConnection,
        tasks: Option<&[TaskId]>,
        now: Option<DateTime<Utc>>,
    ) -> QueryResult<Vec<Self>> {
        use get_step_readiness_status_batch::{task_id, workflow_step_id};
        let order = (task_id, workflow_step_id);
        let ids = tasks.map(|t| t.iter().map(|t| t.0).collect::<Vec<_>>());
        match (ids, now) {
            (Some(ids), Some(now)) => get_step_readiness_status_batch(Some(ids), now).load(conn),
            (Some(ids), None) => get_step_readiness_status_batch(Some(ids), statement_timestamp()).load(conn),
            (None, Some(now)) => get_step_readiness_status_batch(everything(), now).order(order).load(conn),
            (None, None) => {
                get_step_readiness_status_batch(everything(), statement_timestamp()).order(order).load(conn)
            }
        }
    }

    /// Why it may not be claimed; `None` exactly when it is ready.
    pub fn blocking_reason(&self) -> Option<BlockingReason> {
        BlockingReason::of_detail(&self.detail)
    }

    /// How long until it becomes ready by the clock alone: zero if it is, `None` if no instant is known.
    pub fn time_until_ready(&self, now: DateTime<Utc>) -> Option<Duration> {
        if self.ready_for_execution {
            return Some(Duration::ZERO);
        }
        let waits = matches!(
            self.blocking_reason(),
            Some(BlockingReason::WaitingForRetry | BlockingReason::Scheduled)
        );
        let at = self.available_at.filter(|_| waits)?;
        Some((at - now).to_std().unwrap_or(Duration::ZERO))
    }

    /// `no_dependencies`, `all_satisfied`, or how many of how many are.
    pub fn dependency_status(&self) -> String {
        match (self.total_parents, self.completed_parents) {
            (0, _) => "no_dependencies".into(),
            (total, done) if total == done => "all_satisfied".into(),
            (total, done) => format!("{done}/{total}_satisfied"),
        }
    }

    /// `max_retries_reached`, `not_retryable`, `waiting_for_backoff` or `retry_eligible`.
    pub fn retry_status(&self) -> &'static str {
        if !self.retry_eligible {
            return "max_retries_reached";
        }
        match self.blocking_reason() {
            Some(BlockingReason::WaitingForRetry) => "waiting_for_backoff",
            Some(BlockingReason::Permanent | BlockingReason::NotRetryable) => "not_retryable",
            _ => "retry_eligible",
        }
    }

    /// The wait decided at its last failure; zero where there was none.
    pub fn effective_backoff(&self) -> Duration {
        Duration::from_secs(self.backoff_request_seconds.and_then(|s| s.try_into().ok()).unwrap_or(0))
    }
}
