//! The one value that both front ends, the typed builder and the YAML template, end in.
//!
//! A [`WorkflowDefinition`] that exists is valid: names are unique, parents exist, there is no cycle
//! and every bound is kept. What is stored, hashed, drawn and run is this value.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most steps that one definition may have.
pub const MAX_STEPS: usize = 5_000;

/// What happens to the rest of a task when one of its steps is dead: exhausted, permanently failed or
/// cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailurePolicy {
    /// Whatever can still run, retries included, runs; then the task goes to `error`.
    #[default]
    Drain,
    /// All unclaimed steps are held at once; those that run finish; then the task goes to `error`.
    FailFast,
}

/// A semantic version of three numbers, ordered as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// Incompatible changes.
    pub major: u32,
    /// Compatible additions.
    pub minor: u32,
    /// Compatible corrections.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A workflow: what a task of it consists of. See the module's documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowDefinition {
    namespace: String,
    name: String,
    version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default)]
    failure_policy: FailurePolicy,
    /// JSON Schema (2020-12 unless it says otherwise) of the task's context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<Value>,
    /// In an order in which every parent stands before its children.
    steps: Vec<StepDefinition>,
}

/// One step of a [`WorkflowDefinition`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepDefinition {
    /// Unique in its workflow, at most 128 characters.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The name under which a worker has registered the handler; with the namespace it is the queue.
    pub handler: String,
    /// What the handler reads, for example the URL of an `http` step. An object.
    pub handler_config: Value,
    /// The outside system that this step talks to; `unknown` if not said.
    pub dependent_system: String,
    /// Whether a failed attempt may be followed by another. The first attempt is always allowed.
    pub retryable: bool,
    /// The total number of attempts; 0 means never.
    pub retry_limit: i32,
    /// Whether a task may leave this step out by its `bypass_steps`.
    pub skippable: bool,
    /// 1 (claimed first) to 5 (last).
    pub priority: i16,
    /// After this many milliseconds a running attempt is ended with a `timeout` failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How long to wait after a failure.
    pub backoff: BackoffPolicy,
    /// Names of the parents.
    pub depends_on: Vec<String>,
}

/// How long a failed step waits for its next attempt. One authority, applied at the moment of
/// failure; the result is stored as an instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum BackoffPolicy {
    /// Waits of the table in milliseconds; after its end each wait doubles, up to the cap.
    Table {
        /// First wait first; not empty.
        waits_ms: Vec<u64>,
        /// No wait is longer.
        cap_ms: u64,
        /// Share of a wait, 0 to 1, by which it is moved at random either way.
        jitter: f64,
    },
    /// `base_ms × factor^(failures − 1)`, up to the cap.
    Exponential {
        /// The first wait.
        base_ms: u64,
        /// At least 1.
        factor: f64,
        /// No wait is longer.
        cap_ms: u64,
        /// Share of a wait, 0 to 1, by which it is moved at random either way.
        jitter: f64,
    },
    /// The same wait each time.
    Fixed {
        /// The wait.
        wait_ms: u64,
        /// Share of a wait, 0 to 1, by which it is moved at random either way.
        jitter: f64,
    },
}

impl Default for BackoffPolicy {
    /// 1, 2, 4, 8, 16, 32 s, then doubling, at most 300 s, with 10 % of jitter.
    fn default() -> Self {
        Self::Table {
            waits_ms: [1, 2, 4, 8, 16, 32].map(|s| s * 1_000).to_vec(),
            cap_ms: 300_000,
            jitter: 0.1,
        }
    }
}

impl StepDefinition {
    /// A step with every default: retryable, three attempts, priority 3, default backoff, no parents.
    pub fn new(name: impl Into<String>, handler: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            handler: handler.into(),
            handler_config: Value::Object(serde_json::Map::new()),
            dependent_system: "unknown".into(),
            retryable: true,
            retry_limit: 3,
            skippable: false,
            priority: 3,
            timeout_ms: None,
            backoff: BackoffPolicy::default(),
            depends_on: Vec::new(),
        }
    }
}

impl WorkflowDefinition {
    /// The namespace, `default` if not said.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name, unique with namespace and version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// For people.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// What a dead step does to the rest.
    pub fn failure_policy(&self) -> FailurePolicy {
        self.failure_policy
    }

    /// JSON Schema of the context, if there is one.
    pub fn schema(&self) -> Option<&Value> {
        self.schema.as_ref()
    }

    /// The steps, every parent before its children.
    pub fn steps(&self) -> &[StepDefinition] {
        &self.steps
    }

    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&StepDefinition> {
        self.steps.iter().find(|s| s.name == name)
    }

    /// `namespace.name@version`.
    pub fn full_name(&self) -> String {
        format!("{}.{}@{}", self.namespace, self.name, self.version)
    }
}
