//! What people test their own workflows with: databases, workflow shapes, failing handlers, and a coordinator
//! that runs a task to its end on a clock that it moves itself.
//!
//! ```no_run
//! use tasker_testkit::{TestCoordinator, TestDatabase, shapes};
//!
//! # #[tokio::main(flavor = "multi_thread")] async fn main() {
//! let database = TestDatabase::new();
//! let shape = shapes::diamond();
//! let mut coordinator = TestCoordinator::new(&database, shape.registry());
//! let task = coordinator.submit(&shape.definition, serde_json::json!({})).await;
//! let run = coordinator.run(task).await;
//! assert_eq!(run.state, tasker_model::TaskState::Complete);
//! assert_eq!(run.attempts_of("branch_one_process"), 2);
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod cases;
mod coordinator;
mod database;
#[doc(hidden)]
pub mod docs;
pub mod handlers;
pub mod model;
pub mod proof;
pub mod recorded;
pub mod shapes;
pub mod sim;

pub use coordinator::{TestCoordinator, TestRun};
pub use database::{TestDatabase, check_invariants};
pub use handlers::{ConfigurableFailureHandler, NetworkTimeoutHandler};
