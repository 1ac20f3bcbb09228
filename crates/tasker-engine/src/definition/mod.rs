//! The one value that both front ends, the typed builder and the YAML template, end in.
//!
//! A [`WorkflowDefinition`] that exists is valid: names are unique, parents exist, there is no cycle
//! and every bound is kept. What is stored, hashed, drawn and run is this value.
//!
//! Start at [`Workflow`] to write one in Rust, at `Template` to read one from YAML, at
//! [`WorkflowParts`] to assemble one from data. The rules are in `validate`.

mod builder;
mod canonical;
mod context;
mod dependencies;
mod draw;
mod error;
mod graph;
mod inline;
mod json;
mod order;
#[cfg(feature = "declarative")]
mod schema;
mod suggest;
#[cfg(feature = "declarative")]
pub mod template;
mod validate;
pub(crate) mod variables;
mod version;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use builder::{StepOptions, TypedWorkflow, Workflow};
pub use canonical::{canonical_json, sha256_hex};
pub use context::TypedContext;
pub use dependencies::{Dependencies, OptionalHandle, StepHandle};
pub use draw::{States, ascii, dot, mermaid};
pub use error::{DefinitionError, DefinitionErrors, NameFault};
pub use graph::Graph;
pub use inline::{InlineError, InlineRun};
pub use json::{JsonError, JsonLimits, check_json};
#[cfg(feature = "declarative")]
pub use schema::{ContextSchema, SchemaError};
#[cfg(feature = "declarative")]
pub use template::{Template, TemplateError, TemplateProblem};
pub use variables::variables;
pub use version::{Version, VersionError};

/// The most steps that one definition may have.
pub const MAX_STEPS: usize = 5_000;

/// The most edges that one definition may have: each is a row of every task.
pub const MAX_EDGES: usize = 100_000;

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

/// What a [`WorkflowDefinition`] is made of, before it is checked. Its serde form is the stored form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowParts {
    /// At most 64 characters; `default` if not said.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// At most 64 characters; unique with namespace and version.
    pub name: String,
    /// `0.1.0` if not said.
    #[serde(default)]
    pub version: Version,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What a dead step does to the rest.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// JSON Schema (2020-12 unless it says otherwise) of the task's context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// In any order.
    #[serde(default)]
    pub steps: Vec<StepDefinition>,
}

fn default_namespace() -> String {
    "default".into()
}

impl WorkflowParts {
    /// Namespace `default`, version 0.1.0, no steps.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            namespace: default_namespace(),
            name: name.into(),
            version: Version::default(),
            description: None,
            failure_policy: FailurePolicy::default(),
            schema: None,
            steps: Vec::new(),
        }
    }
}

/// A workflow: what a task of it consists of. See the module's documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WorkflowParts")]
pub struct WorkflowDefinition {
    namespace: String,
    name: String,
    version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    failure_policy: FailurePolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// The name under which a worker has registered the handler, at most 256 characters; with the
    /// namespace it is the queue.
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
    /// Waits of the table in milliseconds; after its end each wait is the one before times the factor, up to the
    /// cap.
    Table {
        /// First wait first; not empty.
        waits_ms: Vec<u64>,
        /// At least 1; 2 if not said.
        #[serde(default = "doubling", skip_serializing_if = "is_doubling")]
        factor: f64,
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

fn doubling() -> f64 {
    2.0
}

fn is_doubling(factor: &f64) -> bool {
    *factor == doubling()
}

impl Default for BackoffPolicy {
    /// 1, 2, 4, 8, 16, 32 s, then doubling, at most 300 s, with 10 % of jitter.
    fn default() -> Self {
        Self::Table {
            waits_ms: [1, 2, 4, 8, 16, 32].map(|s| s * 1_000).to_vec(),
            factor: doubling(),
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

impl TryFrom<WorkflowParts> for WorkflowDefinition {
    type Error = DefinitionErrors;

    fn try_from(parts: WorkflowParts) -> Result<Self, DefinitionErrors> {
        Self::new(parts)
    }
}

impl WorkflowDefinition {
    /// Checks everything and puts the steps in an order in which every parent stands before its
    /// children; among steps that are free to stand anywhere, the order of declaration is kept.
    ///
    /// # Errors
    /// Every problem at once, each a sentence that names the step concerned.
    pub fn new(parts: WorkflowParts) -> Result<Self, DefinitionErrors> {
        let order = validate::check(&parts)?;
        let WorkflowParts { namespace, name, version, description, failure_policy, schema, steps } = parts;
        let steps = order::permute(steps, &order);
        Ok(Self { namespace, name, version, description, failure_policy, schema, steps })
    }

    /// The lowercase hex SHA-256 of [`canonical_json`] of the stored form: equal for equal definitions,
    /// whatever the order of keys in the objects that they were read from.
    pub fn content_hash(&self) -> String {
        // A value of strings, numbers and JSON always has a JSON form.
        let value = serde_json::to_value(self).unwrap_or_default();
        sha256_hex(canonical_json(&value).as_bytes())
    }

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
