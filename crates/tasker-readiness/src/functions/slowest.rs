//! `get_slowest_steps` and `get_slowest_tasks`.

use crate::table_function;

table_function! {
    /// The complete steps that ran longest; see `sql/functions/get_slowest_steps.sql`.
    fn get_slowest_steps(
        p_since: Nullable<Timestamptz>, p_limit: Nullable<Integer>, p_namespace: Nullable<Text>, p_task_name: Nullable<Text>,
        p_version: Nullable<Text>, p_now: Timestamptz,
    ) -> (workflow_step_id) {
        /// The step.
        workflow_step_id -> BigInt,
        /// The task.
        task_id -> BigInt,
        /// Its name.
        step_name -> Text,
        /// The workflow.
        task_name -> Text,
        /// Its namespace.
        namespace_name -> Text,
        /// Its version.
        version -> Text,
        /// How long its last attempt ran, from claim to completion.
        duration_seconds -> Double,
        /// Attempts of this generation.
        attempts -> Integer,
        /// When its row was written.
        created_at -> Timestamptz,
        /// When it completed.
        completed_at -> Timestamptz,
        /// Whether a failed attempt may be followed by another.
        retryable -> Bool,
        /// Its state: complete.
        step_status -> Text,
        /// When its last attempt was claimed.
        claimed_at -> Timestamptz,
        /// How long it could have been claimed before it was.
        queueing_seconds -> Double,
    }
}

table_function! {
    /// The tasks that took longest; see `sql/functions/get_slowest_tasks.sql`.
    fn get_slowest_tasks(
        p_since: Nullable<Timestamptz>, p_limit: Nullable<Integer>, p_namespace: Nullable<Text>, p_task_name: Nullable<Text>,
        p_version: Nullable<Text>, p_now: Timestamptz,
    ) -> (task_id) {
        /// The task.
        task_id -> BigInt,
        /// The workflow.
        task_name -> Text,
        /// Its namespace.
        namespace_name -> Text,
        /// Its version.
        version -> Text,
        /// From created to finished.
        duration_seconds -> Double,
        /// All steps.
        step_count -> BigInt,
        /// Steps that are complete or resolved_manually.
        completed_steps -> BigInt,
        /// Steps in state error.
        error_steps -> BigInt,
        /// When its row was written.
        created_at -> Timestamptz,
        /// When it went to its state.
        completed_at -> Timestamptz,
        /// Who asked for it.
        initiator -> Text,
        /// Which system asked for it.
        source_system -> Text,
        /// Its state: complete or error.
        task_status -> Text,
    }
}
