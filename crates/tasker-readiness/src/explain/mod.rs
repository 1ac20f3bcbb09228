//! Why a step is not running, since when, and what would change it, now or at a past instant.
//!
//! The reasons come from `tasker.explain_steps`, which asks the rule that claims; here they get types
//! ([`reason`]) and sentences ([`sentence`]). Nothing is decided here.

mod reason;
mod sentence;

pub use reason::{Change, DeadStep, OpenParent, Paused, Reason};

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    pg::{Pg, PgValue},
    prelude::*,
    sql_types::Jsonb,
};
use serde::Serialize;
use tasker_model::{StepId, StepState, TaskId, TaskState};

use crate::{step::statement_timestamp, table_function};

table_function! {
    /// Why each step of the tasks is not running; see `sql/functions/explain_steps.sql`.
    fn explain_steps(
        p_task_ids: Array<BigInt>, p_step_ids: Nullable<Array<BigInt>>, p_at: Nullable<Timestamptz>, p_now: Timestamptz,
    ) -> (workflow_step_id) {
        /// The task.
        task_id -> BigInt,
        /// The step.
        workflow_step_id -> BigInt,
        /// Its name.
        name -> Text,
        /// The namespace of its queue.
        namespace -> Text,
        /// The handler that it needs.
        handler -> Text,
        /// The instant that is explained.
        at -> Timestamptz,
        /// State of the task then.
        task_state -> Text,
        /// State of the step then; NULL where it did not exist yet or its log was pruned.
        state -> Nullable<Text>,
        /// Since when it was in that state.
        since -> Nullable<Timestamptz>,
        /// Raised by an operator's retry or reset.
        generation -> Nullable<Integer>,
        /// Attempts of this generation.
        attempts -> Nullable<Integer>,
        /// How many there may be.
        retry_limit -> Nullable<Integer>,
        /// Whether it may be claimed; NULL where the log was pruned.
        claimable -> Nullable<Bool>,
        /// Since when.
        claimable_since -> Nullable<Timestamptz>,
        /// The reasons, an array of objects.
        reasons -> Jsonb,
    }
}

/// Which instant is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moment {
    /// The state as it is stored, by the database's clock.
    #[default]
    Now,
    /// The state as it is stored, with the clock moved here: what time alone would bring.
    Clock(DateTime<Utc>),
    /// The state as it was at that instant, from the logs alone.
    Past(DateTime<Utc>),
}

/// `None` is now, `Some` is a past instant.
impl From<Option<DateTime<Utc>>> for Moment {
    fn from(at: Option<DateTime<Utc>>) -> Self {
        at.map_or(Self::Now, Self::Past)
    }
}

/// Where a step stands at one instant, and every reason why it is not running. A row of
/// `tasker.explain_steps`.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable)]
#[non_exhaustive]
pub struct Explanation {
    /// The task.
    pub task_id: TaskId,
    /// The step.
    pub step_id: StepId,
    /// Its name.
    pub name: String,
    /// The namespace of its queue.
    pub namespace: String,
    /// The handler that it needs.
    pub handler: String,
    /// The instant that is explained.
    pub at: DateTime<Utc>,
    /// State of the task then.
    pub task_state: TaskState,
    /// State of the step then; `None` where it did not exist yet or its log was pruned.
    pub state: Option<StepState>,
    /// Since when it was in that state.
    pub since: Option<DateTime<Utc>>,
    /// Raised by an operator's retry or reset.
    pub generation: Option<i32>,
    /// Attempts of this generation.
    pub attempts: Option<i32>,
    /// How many there may be.
    pub retry_limit: Option<i32>,
    /// Whether a worker that serves its queue would take it; `None` where the log was pruned.
    pub claimable: Option<bool>,
    /// Since when.
    pub claimable_since: Option<DateTime<Utc>>,
    /// Every reason, those that decide first.
    #[diesel(deserialize_as = Reasons)]
    pub reasons: Vec<Reason>,
}

impl Explanation {
    /// What keeps the step from being claimed. Empty exactly where it is claimable.
    pub fn blocking(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter().filter(|r| r.is_blocking())
    }

    /// Whether nothing but a person brings the step on.
    pub fn is_dead(&self) -> bool {
        self.reasons.iter().any(Reason::is_dead)
    }

    /// What keeps a claimable step from being run all the same.
    pub fn advisory(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter().filter(|r| !r.is_blocking())
    }
}

/// Explains one step. `None` where there is no such step. SQL function `tasker.explain_steps`; takes no
/// locks.
pub fn explain(
    conn: &mut PgConnection,
    task: TaskId,
    step: StepId,
    at: impl Into<Moment>,
) -> QueryResult<Option<Explanation>> {
    Ok(load(conn, &[task], Some(vec![step.0]), at.into())?.pop())
}

/// Explains every step of a task, by id; none where there is no such task.
pub fn explain_task(
    conn: &mut PgConnection,
    task: TaskId,
    at: impl Into<Moment>,
) -> QueryResult<Vec<Explanation>> {
    load(conn, &[task], None, at.into())
}

/// Explains every step of these tasks, by task and id, in one statement. A task that is named twice or is
/// not there does no harm.
pub fn explain_tasks(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    at: impl Into<Moment>,
) -> QueryResult<Vec<Explanation>> {
    load(conn, tasks, None, at.into())
}

fn load(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    steps: Option<Vec<i64>>,
    at: Moment,
) -> QueryResult<Vec<Explanation>> {
    let tasks: Vec<i64> = tasks.iter().map(|t| t.0).collect();
    let (at, clock) = match at {
        Moment::Now => (None, None),
        Moment::Clock(now) => (None, Some(now)),
        Moment::Past(at) => (Some(at), None),
    };
    match clock {
        Some(now) => explain_steps(tasks, steps, at, now).load(conn),
        None => explain_steps(tasks, steps, at, statement_timestamp()).load(conn),
    }
}

/// Reads the reasons from their JSON.
#[derive(Debug, FromSqlRow)]
pub struct Reasons(Vec<Reason>);

impl FromSql<Jsonb, Pg> for Reasons {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let json = <serde_json::Value as FromSql<Jsonb, Pg>>::from_sql(value)?;
        Ok(Self(serde_json::from_value(json)?))
    }
}

impl From<Reasons> for Vec<Reason> {
    fn from(reasons: Reasons) -> Self {
        reasons.0
    }
}
