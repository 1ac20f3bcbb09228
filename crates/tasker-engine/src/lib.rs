//! The engine of Tasker: what a workflow is, how a task is created, claimed, run, retried and settled.
//!
//! Start at [`definition`] for what people write, at [`handler`] for what a step runs, and at
//! the worker module for the loop that claims, runs and reports. Every decision about durable state is made
//! by the SQL functions bound in the commands module; nothing here decides on a read that another worker can
//! overtake.

pub mod definition;
pub mod handler;
#[cfg(feature = "declarative")]
pub mod handlers;
