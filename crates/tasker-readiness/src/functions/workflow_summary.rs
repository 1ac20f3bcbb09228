//! `get_task_workflow_summary` and its batch form.

use crate::table_function;

table_function! {
    /// What one task is made of; see `sql/functions/get_task_workflow_summary.sql`.
    fn get_task_workflow_summary(p_task_id: BigInt, p_now: Timestamptz) -> (task_id) {
        /// The task.
        task_id -> BigInt,
        /// The workflow.
        named_task_id -> Integer,
        /// Durable state.
        status -> Text,
        /// All steps.
        total_steps -> BigInt,
        /// Steps in state pending.
        pending_steps -> BigInt,
        /// Steps in state in_progress.
        in_progress_steps -> BigInt,
        /// Steps that are complete or resolved_manually.
        completed_steps -> BigInt,
        /// Steps in state error.
        failed_steps -> BigInt,
        /// Steps that may be claimed at the instant asked about.
        ready_steps -> BigInt,
        /// The original's five words.
        execution_status -> Text,
        /// What follows from it.
        recommended_action -> Text,
        /// Done steps in a hundred, two decimals.
        completion_percentage -> Numeric,
        /// healthy, recovering or blocked.
        health_status -> Text,
        /// Steps without parents, by id.
        root_step_ids -> Array<BigInt>,
        /// Steps that may be claimed, by id.
        ready_step_ids -> Array<BigInt>,
        /// The same in the order of claiming.
        next_step_ids -> Array<BigInt>,
        /// Steps in pending or error that may not be claimed, by id.
        blocked_step_ids -> Array<BigInt>,
        /// The one word for each of them.
        blocking_reasons -> Array<Text>,
        /// The level of the deepest step.
        max_dependency_depth -> Nullable<Integer>,
        /// How many steps could run at once.
        parallelism_potential -> Text,
        /// Whether the task gets on.
        workflow_efficiency -> Text,
    }
}

table_function! {
    /// What the tasks are made of; see `sql/functions/get_task_workflow_summaries_batch.sql`.
    fn get_task_workflow_summaries_batch(
        p_task_ids: Nullable<Array<BigInt>>, p_now: Timestamptz,
    ) -> (task_id) {
        /// The task.
        task_id -> BigInt,
        /// The workflow.
        named_task_id -> Integer,
        /// Durable state.
        status -> Text,
        /// All steps.
        total_steps -> BigInt,
        /// Steps in state pending.
        pending_steps -> BigInt,
        /// Steps in state in_progress.
        in_progress_steps -> BigInt,
        /// Steps that are complete or resolved_manually.
        completed_steps -> BigInt,
        /// Steps in state error.
        failed_steps -> BigInt,
        /// Steps that may be claimed at the instant asked about.
        ready_steps -> BigInt,
        /// The original's five words.
        execution_status -> Text,
        /// What follows from it.
        recommended_action -> Text,
        /// Done steps in a hundred, two decimals.
        completion_percentage -> Numeric,
        /// healthy, recovering or blocked.
        health_status -> Text,
        /// Steps without parents, by id.
        root_step_ids -> Array<BigInt>,
        /// Steps that may be claimed, by id.
        ready_step_ids -> Array<BigInt>,
        /// The same in the order of claiming.
        next_step_ids -> Array<BigInt>,
        /// Steps in pending or error that may not be claimed, by id.
        blocked_step_ids -> Array<BigInt>,
        /// The one word for each of them.
        blocking_reasons -> Array<Text>,
        /// The level of the deepest step.
        max_dependency_depth -> Nullable<Integer>,
        /// How many steps could run at once.
        parallelism_potential -> Text,
        /// Whether the task gets on.
        workflow_efficiency -> Text,
    }
}
