//! Rows of the two append-only logs.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;

use crate::{
    FailureKind, StepId, StepState, TaskId, TaskState, WorkerId,
    schema::{task_transitions, workflow_step_transitions},
};

/// What happened to a step.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable, Selectable)]
#[diesel(table_name = workflow_step_transitions, check_for_backend(diesel::pg::Pg))]
pub struct StepTransition {
    /// The task.
    pub task_id: TaskId,
    /// The step.
    pub workflow_step_id: StepId,
    /// Counted from 1.
    pub seq: i32,
    /// When.
    pub at: DateTime<Utc>,
    /// Before.
    pub from_state: StepState,
    /// After.
    pub to_state: StepState,
    /// Attempts after it.
    pub attempt: i32,
    /// Generation after it.
    pub generation: i32,
    /// The incarnation involved.
    pub worker_id: Option<WorkerId>,
    /// From when it may be claimed after it.
    pub available_at: Option<DateTime<Utc>>,
    /// How the attempt failed.
    pub failure_kind: Option<FailureKind>,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// What happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable, Selectable)]
#[diesel(table_name = task_transitions, check_for_backend(diesel::pg::Pg))]
pub struct TaskTransition {
    /// The task.
    pub task_id: TaskId,
    /// Counted from 1.
    pub seq: i32,
    /// When.
    pub at: DateTime<Utc>,
    /// Before.
    pub from_state: TaskState,
    /// After.
    pub to_state: TaskState,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl StepTransition {
    /// The history of all steps of a task, by step and then in order.
    pub fn of_task(conn: &mut PgConnection, task: TaskId) -> QueryResult<Vec<Self>> {
        use workflow_step_transitions as t;
        t::table
            .filter(t::task_id.eq(task))
            .order((t::workflow_step_id, t::seq))
            .select(Self::as_select())
            .load(conn)
    }
}

impl TaskTransition {
    /// The history of a task, in order.
    pub fn of_task(conn: &mut PgConnection, task: TaskId) -> QueryResult<Vec<Self>> {
        use task_transitions as t;
        t::table.filter(t::task_id.eq(task)).order(t::seq).select(Self::as_select()).load(conn)
    }
}
