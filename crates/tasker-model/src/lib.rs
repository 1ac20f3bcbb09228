//! Tables, ids, states, rows and migrations of Tasker. No policy, no pool, no environment.
//!
//! Every function takes the caller's connection and returns Diesel's [`QueryResult`](diesel::QueryResult)
//! or a typed error. Start at [`migrations`] to install the schema, at [`state`] for the only list of
//! states, at [`schema`] for the tables with their columns' documentation.

#![forbid(unsafe_code)]

mod annotation;
mod id;
pub mod migrations;
mod object_map;
pub mod schema;
pub mod state;
mod step;
mod task;
mod transition;

pub use annotation::{Annotation, annotate, annotations};
pub use id::{DefinitionId, StepId, TaskId, WorkerId};
pub use object_map::{ObjectRef, counterpart, map_objects};
pub use state::{FailureKind, StepState, TaskState};
pub use step::{Edge, Step, StepWithName};
pub use task::{NamedTask, Task, TaskFilter};
pub use transition::{StepTransition, TaskTransition};

/// The invariants of the stored state as one query, `sql/check/invariants.sql`: a row (invariant, task_id,
/// workflow_step_id, detail) for each thing that edges and log contradict. `$1` is an instant or NULL.
pub const CHECK_INVARIANTS: &str = include_str!("../sql/check/invariants.sql");
