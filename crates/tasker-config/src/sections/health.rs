//! The section `health`: how the state of a system is looked at.

use super::section;
use crate::Kind;

section! {
    /// The section `health`: how the state of a system is looked at.
    "health" HealthConfig {
        /// How long the database may take to answer.
        readiness_timeout_seconds: f64 = 5.0, Kind::Number(0.01, 600.0), "`tasker config check --connect`";
    }
}
