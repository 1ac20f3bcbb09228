//! `calculate_dependency_levels` and its batch form.

use crate::table_function;

table_function! {
    /// How deep each step of one task lies; see `sql/functions/calculate_dependency_levels.sql`.
    fn calculate_dependency_levels(p_task_id: BigInt) -> (workflow_step_id) {
        /// The step.
        workflow_step_id -> BigInt,
        /// Edges on the longest path that leads to it.
        dependency_level -> Integer,
        /// The task.
        task_id -> BigInt,
    }
}

table_function! {
    /// How deep each step of the tasks lies; see `sql/functions/calculate_dependency_levels_batch.sql`.
    fn calculate_dependency_levels_batch(p_task_ids: Nullable<Array<BigInt>>) -> (workflow_step_id) {
        /// The step.
        workflow_step_id -> BigInt,
        /// Edges on the longest path that leads to it.
        dependency_level -> Integer,
        /// The task.
        task_id -> BigInt,
    }
}
