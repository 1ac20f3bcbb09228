//! Where a task stands, as a struct, and what follows from the row alone.

use chrono::{DateTime, Utc};
use diesel::{data_types::PgNumeric, prelude::*};
use serde::Serialize;
use tasker_model::{TaskId, TaskState};

use crate::{
    get_task_execution_context, get_task_execution_contexts_batch,
    step::{everything, statement_timestamp},
};

/// A row of `tasker.get_task_execution_context` or of its batch form.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable)]
pub struct TaskExecutionContext {
    /// The task.
    pub task_id: TaskId,
    /// The workflow.
    pub named_task_id: i32,
    /// Durable state.
    pub status: TaskState,
    /// All steps.
    pub total_steps: i64,
    /// Steps in state pending.
    pub pending_steps: i64,
    /// Steps in state in_progress.
    pub in_progress_steps: i64,
    /// Steps that are complete or resolved_manually.
    pub completed_steps: i64,
    /// Steps in state error.
    pub failed_steps: i64,
    /// Steps that may be claimed at the instant asked about.
    pub ready_steps: i64,
    /// has_ready_steps, processing, waiting_for_dependencies, blocked_by_failures or all_complete.
    pub execution_status: String,
    /// What follows from it.
    pub recommended_action: String,
    /// Done steps in a hundred, two decimals.
    #[diesel(deserialize_as = Percentage)]
    pub completion_percentage: f64,
    /// healthy, recovering or blocked.
    pub health_status: String,
    /// Steps in state cancelled.
    pub cancelled_steps: i64,
    /// Steps that nothing but a person brings on.
    pub dead_steps: i64,
    /// Steps whose time has not come.
    pub waiting_for_retry_steps: i64,
    /// Steps that are held or paused though they could run.
    pub held_steps: i64,
    /// When the first of the waiting steps becomes ready.
    pub next_retry_at: Option<DateTime<Utc>>,
    /// As execution_status, with words for waiting_for_retry and held.
    pub detailed_status: String,
}

/// Reads a numeric of two decimals without a decimal library.
#[derive(diesel::deserialize::FromSqlRow)]
pub struct Percentage(f64);

impl diesel::deserialize::FromSql<diesel::sql_types::Numeric, diesel::pg::Pg> for Percentage {
    fn from_sql(value: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
        let numeric = <PgNumeric as diesel::deserialize::FromSql<_, diesel::pg::Pg>>::from_sql(value)?;
        Ok(Self(match numeric {
            PgNumeric::Positive { weight, digits, .. } => {
                digits
                    .iter()
                    .enumerate()
                    .map(|(i, d)| f64::from(*d) * 10_000f64.powi(i32::from(weight) - i as i32))
                    .sum::<f64>()
                    .mul_add(100.0, 0.5)
                    .floor()
                    / 100.0
            }
            PgNumeric::Negative { .. } | PgNumeric::NaN => 0.0,
        }))
    }
}

impl From<Percentage> for f64 {
    fn from(p: Percentage) -> Self {
        p.0
    }
}

impl TaskExecutionContext {
    /// Where the task stands; `None` where there is no such task. `now` moves the clock, `None` reads the
    /// database's.
    pub fn find(
        conn: &mut PgConnection,
        task: TaskId,
        now: Option<DateTime<Utc>>,
    ) -> QueryResult<Option<Self>> {
        match now {
            Some(now) => get_task_execution_context(task.0, now).first(conn).optional(),
            None => get_task_execution_context(task.0, statement_timestamp()).first(conn).optional(),
        }
    }

    /// Where these tasks stand, by id; every open one where `tasks` is `None`. Missing ones have no row.
    pub fn for_tasks(
        conn: &mut PgConnection,
        tasks: Option<&[TaskId]>,
        now: Option<DateTime<Utc>>,
    ) -> QueryResult<Vec<Self>> {
        use get_task_execution_contexts_batch::task_id;
        let ids = tasks.map(|t| t.iter().map(|t| t.0).collect::<Vec<_>>());
        match (ids, now) {
            (Some(ids), Some(now)) => get_task_execution_contexts_batch(Some(ids), now).load(conn),
            (Some(ids), None) => {
                get_task_execution_contexts_batch(Some(ids), statement_timestamp()).load(conn)
            }
            (None, Some(now)) => {
                get_task_execution_contexts_batch(everything(), now).order(task_id).load(conn)
            }
            (None, None) => get_task_execution_contexts_batch(everything(), statement_timestamp())
                .order(task_id)
                .load(conn),
        }
    }

    /// Whether a step can be run or is being run.
    pub fn has_work_to_do(&self) -> bool {
        matches!(self.execution_status.as_str(), "has_ready_steps" | "processing")
    }

    /// Whether only a person brings it on.
    pub fn is_blocked(&self) -> bool {
        self.execution_status == "blocked_by_failures"
    }

    /// Whether every step is done; also of a task without steps.
    pub fn is_complete(&self) -> bool {
        self.execution_status == "all_complete"
    }

    /// Whether no step is in error.
    pub fn is_healthy(&self) -> bool {
        self.health_status == "healthy"
    }

    /// Whether a dead step asks for a person.
    pub fn needs_intervention(&self) -> bool {
        self.health_status == "blocked"
    }

    /// How urgent the recommended action is: critical, high, medium or low.
    pub fn urgency(&self) -> &'static str {
        match self.recommended_action.as_str() {
            "handle_failures" => "critical",
            "execute_ready_steps" => "high",
            "finalize_task" => "medium",
            _ => "low",
        }
    }
}
