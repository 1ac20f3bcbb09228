//! The section `execution`: how a worker works.

use super::section;
use crate::Kind;

section! {
    /// The section `execution`: how a worker works.
    "execution" ExecutionConfig {
        /// How many steps a worker runs at once.
        max_concurrent_steps_limit: u16 = 64, Kind::Integer(1, 10_000), "`tasker worker`, `tasker run`, `WorkerOptions`";
        /// For how long a claim holds without renewal: the steps of a dead worker run again after it.
        lease_seconds: f64 = 30.0, Kind::Number(0.1, 86_400.0), "`tasker worker`, `WorkerOptions`";
        /// How long running steps may take to end when a worker is told to stop.
        drain_seconds: f64 = 30.0, Kind::Number(0.0, 86_400.0), "`tasker worker`, `WorkerOptions`";
        /// Whether a worker listens for notifications of new work, on one more connection.
        notifications: bool = true, Kind::Bool, "`tasker worker`, `tasker run`, `WorkerOptions`";
    }
}

#[cfg(feature = "engine")]
impl ExecutionConfig {
    /// The options of a worker: these, and the engine's defaults for the rest.
    pub fn worker_options(&self) -> tasker_engine::worker::WorkerOptions {
        use std::time::Duration;

        use tasker_engine::worker::WorkerOptions;

        WorkerOptions {
            max_in_flight: self.max_concurrent_steps_limit.into(),
            lease: Duration::from_secs_f64(self.lease_seconds),
            drain: Duration::from_secs_f64(self.drain_seconds),
            notifications: self.notifications,
            ..WorkerOptions::default()
        }
    }
}
