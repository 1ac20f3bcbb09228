//! The section `backoff`: how long a failed step waits, where its definition says nothing.

use super::section;
use crate::{Kind, Problem};

section! {
    /// The section `backoff`: how long a failed step waits for its next attempt, where its definition says nothing.
    /// It goes into the definition when a task is submitted; tasks keep the one that they started with.
    "backoff" BackoffConfig {
        /// The waits after the first failures, in seconds.
        default_backoff_seconds: Vec<f64> = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0], Kind::List(&Kind::Number(0.001, 31_536_000.0)), "`tasker submit`, `tasker run`, `BackoffConfig::policy`";
        /// After these, each wait is the one before times this.
        backoff_multiplier: f64 = 2.0, Kind::Number(1.0, 1_000.0), "`tasker submit`, `tasker run`, `BackoffConfig::policy`";
        /// No wait is longer, but for one that the other side asks for.
        max_backoff_seconds: f64 = 300.0, Kind::Number(0.001, 31_536_000.0), "`tasker submit`, `tasker run`, `BackoffConfig::policy`";
        /// Whether waits are moved at random, so that what failed together does not come back together.
        jitter_enabled: bool = true, Kind::Bool, "`tasker submit`, `tasker run`, `BackoffConfig::policy`";
        /// The share of a wait by which it is moved at most, either way.
        jitter_max_percentage: f64 = 0.1, Kind::Number(0.0, 1.0), "`tasker submit`, `tasker run`, `BackoffConfig::policy`";
    }
}

impl BackoffConfig {
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let longest = self.default_backoff_seconds.iter().copied().fold(0.0, f64::max);
        let mut problems = vec![];
        if !(1..=1_000).contains(&self.default_backoff_seconds.len()) {
            problems.push(Problem::new("default_backoff_seconds", "must have 1 to 1000 waits"));
        }
        if longest > self.max_backoff_seconds {
            let most = self.max_backoff_seconds;
            let reason = format!(
                "has a wait of {longest}, longer than `max_backoff_seconds` = {most}; change one of them"
            );
            problems.push(Problem::new("default_backoff_seconds", reason));
        }
        problems
    }
}

#[cfg(feature = "engine")]
impl BackoffConfig {
    /// The policy of steps whose definition says none: for `Template::default_backoff` and
    /// `Workflow::default_backoff`.
    pub fn policy(&self) -> tasker_engine::definition::BackoffPolicy {
        tasker_engine::definition::BackoffPolicy::Table {
            waits_ms: self.default_backoff_seconds.iter().map(|s| milliseconds(*s)).collect(),
            factor: self.backoff_multiplier,
            cap_ms: milliseconds(self.max_backoff_seconds),
            jitter: if self.jitter_enabled { self.jitter_max_percentage } else { 0.0 },
        }
    }
}

#[cfg(feature = "engine")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}
