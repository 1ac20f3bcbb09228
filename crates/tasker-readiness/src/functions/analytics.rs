//! `get_analytics_metrics`.

use crate::table_function;

table_function! {
    /// How the tasks of a period have fared; see `sql/functions/get_analytics_metrics.sql`.
    fn get_analytics_metrics(p_since: Nullable<Timestamptz>, p_now: Timestamptz) -> (calculated_at) {
        /// Open tasks, whenever they were created.
        active_tasks_count -> BigInt,
        /// Namespaces that have a task.
        total_namespaces_count -> BigInt,
        /// Workflows that have a task, by namespace and name.
        unique_task_types_count -> BigInt,
        /// Completed of those that completed or failed, from 0 to 1; 1 if there are none.
        system_health_score -> Double,
        /// Tasks created in the period.
        task_throughput -> BigInt,
        /// Of those, the complete ones.
        completion_count -> BigInt,
        /// Of those, the ones in error.
        error_count -> BigInt,
        /// Complete ones of a hundred.
        completion_rate -> Double,
        /// Ones in error of a hundred.
        error_rate -> Double,
        /// Seconds from created to finished, over the complete ones.
        avg_task_duration -> Nullable<Double>,
        /// Seconds from the last claim to completion, over the complete steps of the tasks created in the period.
        avg_step_duration -> Nullable<Double>,
        /// Steps of the tasks created in the period.
        step_throughput -> BigInt,
        /// Tasks created after it were looked at.
        analysis_period_start -> Timestamptz,
        /// Tasks created up to it were looked at.
        calculated_at -> Timestamptz,
        /// Of the tasks created in the period, the cancelled ones.
        cancelled_count -> BigInt,
        /// Of those, the ones resolved by hand.
        resolved_manually_count -> BigInt,
        /// Of those, the open ones.
        open_count -> BigInt,
    }
}
