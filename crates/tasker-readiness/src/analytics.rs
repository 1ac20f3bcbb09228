//! How the tasks of a period have fared, as a struct.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;

use crate::{get_analytics_metrics, step::statement_timestamp};

/// The row of `tasker.get_analytics_metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable)]
pub struct AnalyticsMetrics {
    /// Open tasks, whenever they were created.
    pub active_tasks_count: i64,
    /// Namespaces that have a task.
    pub total_namespaces_count: i64,
    /// Workflows that have a task, by namespace and name.
    pub unique_task_types_count: i64,
    /// Completed of those that completed or failed, from 0 to 1; 1 if there are none.
    pub system_health_score: f64,
    /// Tasks created in the period.
    pub task_throughput: i64,
    /// Of those, the complete ones.
    pub completion_count: i64,
    /// Of those, the ones in error.
    pub error_count: i64,
    /// Complete ones of a hundred.
    pub completion_rate: f64,
    /// Ones in error of a hundred.
    pub error_rate: f64,
    /// Seconds from created to finished, over the complete ones.
    pub avg_task_duration: Option<f64>,
    /// Seconds from the last claim to completion, over the complete steps of the tasks created in the period.
    pub avg_step_duration: Option<f64>,
    /// Steps of the tasks created in the period.
    pub step_throughput: i64,
    /// Tasks created after it were looked at.
    pub analysis_period_start: DateTime<Utc>,
    /// Tasks created up to it were looked at.
    pub calculated_at: DateTime<Utc>,
    /// Of the tasks created in the period, the cancelled ones.
    pub cancelled_count: i64,
    /// Of those, the ones resolved by hand.
    pub resolved_manually_count: i64,
    /// Of those, the open ones.
    pub open_count: i64,
}

impl AnalyticsMetrics {
    /// The tasks created after `since`, or in the last hour. `now` moves the clock, `None` reads the
    /// database's.
    pub fn read(
        conn: &mut PgConnection,
        since: Option<DateTime<Utc>>,
        now: Option<DateTime<Utc>>,
    ) -> QueryResult<Self> {
        match now {
            Some(now) => get_analytics_metrics(since, now).first(conn),
            None => get_analytics_metrics(since, statement_timestamp()).first(conn),
        }
    }
}
