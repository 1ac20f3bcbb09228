//! `get_next_ready_steps`.

use crate::table_function;

table_function! {
    /// What a claim would take next; see `sql/functions/get_next_ready_steps.sql`.
    fn get_next_ready_steps(
        p_limit: Integer, p_namespaces: Nullable<Array<Text>>, p_handlers: Nullable<Array<Text>>, p_now: Timestamptz,
    ) -> (workflow_step_id) {
        /// Its place in the order of claiming, from 1.
        place -> BigInt,
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
        /// The handler that it needs.
        handler -> Text,
        /// 1 is claimed first, 5 last.
        priority -> SmallInt,
        /// Since when it may be claimed.
        available_at -> Timestamptz,
        /// Attempts of this generation so far.
        attempts -> Integer,
        /// How many there may be.
        retry_limit -> Integer,
    }
}
