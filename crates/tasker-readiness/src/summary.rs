//! What a task is made of, as a struct.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use tasker_model::{StepId, TaskId, TaskState};

use crate::{
    BlockingReason, context::Percentage, get_task_workflow_summaries_batch, get_task_workflow_summary,
    step::statement_timestamp,
};

/// A row of `tasker.get_task_workflow_summary` or of its batch form.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable)]
pub struct TaskWorkflowSummary {
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
    /// Steps without parents, by id.
    pub root_step_ids: Vec<StepId>,
    /// Steps that may be claimed, by id.
    pub ready_step_ids: Vec<StepId>,
    /// The same in the order of claiming: priority, then longest available.
    pub next_step_ids: Vec<StepId>,
    /// Steps in pending or error that may not be claimed, by id.
    pub blocked_step_ids: Vec<StepId>,
    /// Why, as SQL says it: one word for each of them, in the same order.
    pub blocking_reasons: Vec<String>,
    /// The level of the deepest step; `None` without steps.
    pub max_dependency_depth: Option<i32>,
    /// high_parallelism, moderate_parallelism, sequential_only or no_ready_work.
    pub parallelism_potential: String,
    /// optimal, recovering, processing, complete, blocked or waiting.
    pub workflow_efficiency: String,
}

impl TaskWorkflowSummary {
    /// The summary of one task; `None` where there is no such task. `now` moves the clock, `None` reads the
    /// database's.
    pub fn find(
        conn: &mut PgConnection,
        task: TaskId,
        now: Option<DateTime<Utc>>,
    ) -> QueryResult<Option<Self>> {
        match now {
            Some(now) => get_task_workflow_summary(task.0, now).first(conn).optional(),
            None => get_task_workflow_summary(task.0, statement_timestamp()).first(conn).optional(),
        }
    }

    /// The summaries of these tasks, by id; of every open one where `tasks` is `None`. Missing ones have no
    /// row.
    pub fn for_tasks(
        conn: &mut PgConnection,
        tasks: Option<&[TaskId]>,
        now: Option<DateTime<Utc>>,
    ) -> QueryResult<Vec<Self>> {
        let ids = tasks.map(|t| t.iter().map(|t| t.0).collect::<Vec<_>>());
        match now {
            Some(now) => get_task_workflow_summaries_batch(ids, now).load(conn),
            None => get_task_workflow_summaries_batch(ids, statement_timestamp()).load(conn),
        }
    }

    /// Each blocked step and why, by id.
    pub fn blocked(&self) -> impl Iterator<Item = (StepId, BlockingReason)> {
        self.blocked_step_ids
            .iter()
            .zip(&self.blocking_reasons)
            .filter_map(|(step, word)| Some((*step, BlockingReason::of_detail(word)?)))
    }
}
