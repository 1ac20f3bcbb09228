//! `get_task_execution_context` and its batch form.

use crate::table_function;

table_function! {
    /// Where one task stands; see `sql/functions/get_task_execution_context.sql`.
    fn get_task_execution_context(p_task_id: BigInt, p_now: Timestamptz) -> (task_id) {
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
        /// Steps in state cancelled.
        cancelled_steps -> BigInt,
        /// Steps that nothing but a person brings on.
        dead_steps -> BigInt,
        /// Steps whose time has not come.
        waiting_for_retry_steps -> BigInt,
        /// Steps that are held or paused though they could run.
        held_steps -> BigInt,
        /// When the first of the waiting steps becomes ready.
        next_retry_at -> Nullable<Timestamptz>,
        /// As execution_status, with words for waiting_for_retry and held.
        detailed_status -> Text,
    }
}

table_function! {
    /// Where the tasks stand; see `sql/functions/get_task_execution_contexts_batch.sql`.
    fn get_task_execution_contexts_batch(
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
        /// Steps in state cancelled.
        cancelled_steps -> BigInt,
        /// Steps that nothing but a person brings on.
        dead_steps -> BigInt,
        /// Steps whose time has not come.
        waiting_for_retry_steps -> BigInt,
        /// Steps that are held or paused though they could run.
        held_steps -> BigInt,
        /// When the first of the waiting steps becomes ready.
        next_retry_at -> Nullable<Timestamptz>,
        /// As execution_status, with words for waiting_for_retry and held.
        detailed_status -> Text,
    }
}
