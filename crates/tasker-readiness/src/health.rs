//! How much of everything there is, as a struct.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;

use crate::{get_system_health_counts, step::statement_timestamp};

/// The row of `tasker.get_system_health_counts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Queryable)]
pub struct SystemHealthCounts {
    /// All tasks.
    pub total_tasks: i64,
    /// Tasks that have not started.
    pub pending_tasks: i64,
    /// Tasks that have started and not finished.
    pub in_progress_tasks: i64,
    /// Tasks in state complete.
    pub complete_tasks: i64,
    /// Tasks in state error.
    pub error_tasks: i64,
    /// Tasks in state cancelled.
    pub cancelled_tasks: i64,
    /// All steps.
    pub total_steps: i64,
    /// Steps in state pending.
    pub pending_steps: i64,
    /// Steps in state in_progress.
    pub in_progress_steps: i64,
    /// Steps in state complete.
    pub complete_steps: i64,
    /// Steps in state error.
    pub error_steps: i64,
    /// Of those, the ones that are attempted again by themselves.
    pub retryable_error_steps: i64,
    /// Of those, the ones without an attempt left.
    pub exhausted_retry_steps: i64,
    /// Of those, the ones whose next attempt is not due yet.
    pub in_backoff_steps: i64,
    /// Connections of this database that run a statement.
    pub active_connections: i64,
    /// How many the server takes.
    pub max_connections: i64,
    /// Tasks in state resolved_manually.
    pub resolved_manually_tasks: i64,
    /// Steps in state cancelled.
    pub cancelled_steps: i64,
    /// Steps in state resolved_manually.
    pub resolved_manually_steps: i64,
    /// Tasks that are pending or in progress.
    pub open_tasks: i64,
    /// Of those, the paused ones.
    pub paused_tasks: i64,
    /// Steps that may be claimed.
    pub ready_steps: i64,
    /// Claimable steps that fail-fast holds.
    pub held_steps: i64,
    /// Claimable steps that are paused, by themselves, their task or their queue.
    pub paused_steps: i64,
    /// Queues from which nothing is claimed.
    pub paused_queues: i64,
    /// Incarnations whose lease holds.
    pub live_workers: i64,
    /// Incarnations whose lease ran out and that are not reaped.
    pub expired_leases: i64,
}

impl SystemHealthCounts {
    /// The counts of the whole database. `now` moves the clock, `None` reads the database's.
    pub fn read(conn: &mut PgConnection, now: Option<DateTime<Utc>>) -> QueryResult<Self> {
        match now {
            Some(now) => get_system_health_counts(now).first(conn),
            None => get_system_health_counts(statement_timestamp()).first(conn),
        }
    }
}
