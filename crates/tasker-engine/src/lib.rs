//! The engine of Tasker: what a workflow is, how a task is created, claimed, run, retried and settled.
//!
//! Start at [`definition`] for what people write, at [`handler`] for what a step runs, and at
//! [`worker`] for the loop that claims, runs and reports. Every decision about durable state is made
//! by the SQL functions bound in [`commands`]; nothing here decides on a read that another worker can
//! overtake.

pub mod attempt;
pub mod backoff;
pub mod clock;
pub mod commands;
pub mod db;
pub mod definition;
pub mod definitions;
pub mod event;
pub mod failpoint;
pub mod finalize;
#[doc(hidden)]
pub mod functions;
pub mod handler;
#[cfg(feature = "declarative")]
pub mod handlers;
pub mod identity;
pub mod operations;
pub mod report;
pub mod retention;
pub mod retry;
pub mod retry_after;
pub mod runner;
pub mod submit;
pub mod worker;
