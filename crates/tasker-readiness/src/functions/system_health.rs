//! `get_system_health_counts`.

use crate::table_function;

table_function! {
    /// How much of everything there is; see `sql/functions/get_system_health_counts.sql`.
    fn get_system_health_counts(p_now: Timestamptz) -> (total_tasks) {
        /// All tasks.
        total_tasks -> BigInt,
        /// Tasks that have not started.
        pending_tasks -> BigInt,
        /// Tasks that have started and not finished.
        in_progress_tasks -> BigInt,
        /// Tasks in state complete.
        complete_tasks -> BigInt,
        /// Tasks in state error.
        error_tasks -> BigInt,
        /// Tasks in state cancelled.
        cancelled_tasks -> BigInt,
        /// All steps.
        total_steps -> BigInt,
        /// Steps in state pending.
        pending_steps -> BigInt,
        /// Steps in state in_progress.
        in_progress_steps -> BigInt,
        /// Steps in state complete.
        complete_steps -> BigInt,
        /// Steps in state error.
        error_steps -> BigInt,
        /// Of those, the ones that are attempted again by themselves.
        retryable_error_steps -> BigInt,
        /// Of those, the ones without an attempt left.
        exhausted_retry_steps -> BigInt,
        /// Of those, the ones whose next attempt is not due yet.
        in_backoff_steps -> BigInt,
        /// Connections of this database that run a statement.
        active_connections -> BigInt,
        /// How many the server takes.
        max_connections -> BigInt,
        /// Tasks in state resolved_manually.
        resolved_manually_tasks -> BigInt,
        /// Steps in state cancelled.
        cancelled_steps -> BigInt,
        /// Steps in state resolved_manually.
        resolved_manually_steps -> BigInt,
        /// Tasks that are pending or in progress.
        open_tasks -> BigInt,
        /// Of those, the paused ones.
        paused_tasks -> BigInt,
        /// Steps that may be claimed.
        ready_steps -> BigInt,
        /// Claimable steps that fail-fast holds.
        held_steps -> BigInt,
        /// Claimable steps that are paused, by themselves, their task or their queue.
        paused_steps -> BigInt,
        /// Queues from which nothing is claimed.
        paused_queues -> BigInt,
        /// Incarnations whose lease holds.
        live_workers -> BigInt,
        /// Incarnations whose lease ran out and that are not reaped.
        expired_leases -> BigInt,
    }
}
