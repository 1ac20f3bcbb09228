//! Which step may run, and where a task stands: typed bindings of the SQL functions that decide it.
//!
//! One module for each function, of the same name and with the same columns; the rule itself is in SQL.
//! [`StepReadinessStatus`] and [`TaskExecutionContext`] are the rows as structs, with what can be derived
//! from a row alone.
//!
//! ```no_run
//! use diesel::prelude::*;
//! use tasker_model::TaskId;
//! use tasker_readiness::{StepReadinessStatus, TaskExecutionContext, get_step_readiness_status_batch};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut conn = PgConnection::establish("postgres://localhost/app")?;
//! for step in StepReadinessStatus::for_task(&mut conn, TaskId(1), None)? {
//!     println!("{}: {}", step.name, step.blocking_reason().map_or("ready", |r| r.as_str()));
//! }
//! let context = TaskExecutionContext::find(&mut conn, TaskId(1), None)?;
//! println!("{:?}", context.map(|c| c.execution_status));
//!
//! // The functions compose like tables.
//! use get_step_readiness_status_batch as r;
//! let ready: Vec<(i64, String)> = get_step_readiness_status_batch(None::<Vec<i64>>, diesel::dsl::now)
//!     .filter(r::ready_for_execution.eq(true))
//!     .select((r::workflow_step_id, r::name))
//!     .order(r::name)
//!     .limit(10)
//!     .load(&mut conn)?;
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod analytics;
mod context;
mod explain;
mod functions;
mod health;
mod levels;
mod next_ready;
mod slowest;
mod step;
mod summary;
mod table_function;

pub use analytics::AnalyticsMetrics;
pub use context::TaskExecutionContext;
pub use explain::{
    Change, DeadStep, Explanation, Moment, OpenParent, Paused, Reason, explain, explain_steps, explain_task,
    explain_tasks,
};
pub use functions::*;
pub use health::SystemHealthCounts;
pub use levels::DependencyLevel;
pub use next_ready::NextReadyStep;
pub use slowest::{Slowest, SlowestStep, SlowestTask};
pub use step::{BlockingReason, StepReadinessStatus};
pub use summary::TaskWorkflowSummary;
pub use table_function::{Cached, Signature, oid};
