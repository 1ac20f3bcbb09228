//! Rows of `tasker.workflow_steps` and `tasker.workflow_step_edges`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::{
    FailureKind, StepId, StepState, TaskId, WorkerId,
    schema::{named_steps, queues, workflow_step_edges as edges, workflow_steps as steps},
};

// Steps are written from the rows of their definition, which hold these keys: the table repeats no foreign
// key for each of them, so the joins are declared here.
diesel::joinable!(steps -> named_steps (named_step_id));
diesel::joinable!(steps -> queues (queue_id));

/// One step of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable, Selectable)]
#[diesel(table_name = steps, check_for_backend(diesel::pg::Pg))]
pub struct Step {
    /// The task.
    pub task_id: TaskId,
    /// Identity.
    pub workflow_step_id: StepId,
    /// Durable state.
    pub state: StepState,
    /// Parents that are not done.
    pub pending_parents: i32,
    /// All parents.
    pub total_parents: i32,
    /// Attempts of this generation.
    pub attempts: i32,
    /// The total number of attempts that it may have.
    pub retry_limit: i32,
    /// Whether a failed attempt may be followed by another.
    pub retryable: bool,
    /// Whether the task may leave it out.
    pub skippable: bool,
    /// 1 is claimed first, 5 last.
    pub priority: i16,
    /// Transitions so far; the fencing token.
    pub seq: i32,
    /// Raised by an operator's retry or reset.
    pub generation: i32,
    /// From when it may be claimed.
    pub available_at: Option<DateTime<Utc>>,
    /// The incarnation that runs it.
    pub worker_id: Option<WorkerId>,
    /// Whether fail-fast keeps it back.
    pub held: bool,
    /// Whether it or its task is paused.
    pub paused: bool,
    /// When it was last claimed.
    pub last_attempted_at: Option<DateTime<Utc>>,
    /// When its last failed attempt ended.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// When it came to a terminal state.
    pub finished_at: Option<DateTime<Utc>>,
    /// How the last attempt failed.
    pub failure_kind: Option<FailureKind>,
    /// What the last failed attempt said.
    pub last_error: Option<String>,
    /// What it returned.
    pub results: Option<Value>,
}

/// A step with its name in the workflow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepWithName {
    /// The name.
    pub name: String,
    /// The row.
    #[serde(flatten)]
    pub step: Step,
}

/// The child waits for the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Queryable, Selectable)]
#[diesel(table_name = edges, check_for_backend(diesel::pg::Pg))]
pub struct Edge {
    /// The task of both.
    pub task_id: TaskId,
    /// The parent.
    pub from_step_id: StepId,
    /// The child.
    pub to_step_id: StepId,
}

impl StepWithName {
    /// All steps of a task, parents before children.
    pub fn of_task(conn: &mut PgConnection, task: TaskId) -> QueryResult<Vec<Self>> {
        let rows: Vec<(String, Step)> = steps::table
            .inner_join(named_steps::table)
            .filter(steps::task_id.eq(task))
            .order(steps::workflow_step_id)
            .select((named_steps::name, Step::as_select()))
            .load(conn)?;
        Ok(rows.into_iter().map(|(name, step)| Self { name, step }).collect())
    }
}

impl Edge {
    /// All edges of a task.
    pub fn of_task(conn: &mut PgConnection, task: TaskId) -> QueryResult<Vec<Self>> {
        edges::table
            .filter(edges::task_id.eq(task))
            .order((edges::from_step_id, edges::to_step_id))
            .select(Self::as_select())
            .load(conn)
    }

    /// The steps that have exactly the parents that this one has; not itself.
    pub fn siblings(conn: &mut PgConnection, task: TaskId, step: StepId) -> QueryResult<Vec<StepId>> {
        let all = Self::of_task(conn, task)?;
        let parents = |s: StepId| {
            let mut p: Vec<_> = all.iter().filter(|e| e.to_step_id == s).map(|e| e.from_step_id).collect();
            p.sort();
            p
        };
        let own = parents(step);
        let mut found: Vec<_> =
            all.iter().map(|e| e.to_step_id).filter(|s| *s != step && parents(*s) == own).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }
}
