//! The section `telemetry`: what is logged and how.

use serde::{Deserialize, Serialize};

use super::section;
use crate::Kind;

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the levels say everything")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
    /// An object over several lines.
    PrettyJson,
    /// `key=value`, with a space between.
    Logfmt,
}

section! {
    /// The section `telemetry`: what is logged and how.
    "telemetry" TelemetryConfig {
        /// How much is logged; RUST_LOG wins. Unless it is set, `tasker run` logs errors alone.
        log_level: LogLevel = LogLevel::Info, Kind::Choice(&["error", "warn", "info", "debug", "trace"]), "`tasker worker`, `tasker run`";
        /// How a line of the log is written.
        log_format: LogFormat = LogFormat::Text, Kind::Choice(&["text", "json", "pretty_json", "logfmt"]), "`tasker worker`, `tasker run`";
        /// The value of a field is masked whose name has one of these in it.
        filter_parameters: Vec<String> = SECRET.map(str::to_owned).to_vec(), Kind::List(&Kind::Text), "`tasker worker`, `tasker run`";
        /// What stands in place of a masked value.
        filter_mask: String = "[FILTERED]".into(), Kind::Text, "`tasker worker`, `tasker run`";
    }
}

/// Names of what is nobody's business.
const SECRET: [&str; 10] =
    ["passw", "email", "secret", "token", "_key", "crypt", "salt", "certificate", "otp", "ssn"];
