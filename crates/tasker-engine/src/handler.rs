//! What a step runs: the handler contract, its context, its errors, and the registry by name.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use serde_json::{Value, json};
use tasker_model::{StepId, TaskId};
use tokio_util::sync::CancellationToken;

use crate::db::{Fault, describe, fault};

/// A boxed future that a handler returns.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// What a handler returns: the step's result, any JSON value, or why there is none.
pub type StepResult = Result<Value, StepError>;

/// Everything that an attempt may read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StepContext {
    /// The task.
    pub task_id: TaskId,
    /// The step.
    pub step_id: StepId,
    /// The step's name in its workflow.
    pub step_name: String,
    /// `namespace.name@version` of the workflow.
    pub workflow: Arc<str>,
    /// This attempt, counted from 1.
    pub attempt: i32,
    /// Raised only by an operator's retry or reset; part of the idempotency key.
    pub generation: i32,
    /// The task's context.
    pub context: Arc<Value>,
    /// Results by step name: of the parents, and of all ancestors where the handler asks for them.
    pub results: Arc<BTreeMap<String, Value>>,
    /// The step's `handler_config`.
    pub config: Arc<Value>,
    /// The instant of the claim by the database's (or the injected) clock.
    pub now: DateTime<Utc>,
    /// Cancelled when the task is cancelled, the lease is lost, the attempt timed out or the worker
    /// gives up waiting at its shutdown.
    pub cancellation: CancellationToken,
}

impl StepContext {
    /// `task:step:generation`: the same through all automatic attempts, new after an operator's retry.
    pub fn idempotency_key(&self) -> String {
        format!("{}:{}:{}", self.task_id, self.step_name, self.generation)
    }

    /// The document that expressions of declarative handlers read:
    /// `{"context", "steps": {name: result}, "task": {"id", "workflow"}, "step": {"id", "name",
    /// "attempt", "generation", "idempotency_key"}}`.
    pub fn document(&self) -> Value {
        json!({
            "context": &*self.context,
            "steps": &*self.results,
            "task": {"id": self.task_id, "workflow": &*self.workflow},
            "step": {
                "id": self.step_id, "name": self.step_name, "attempt": self.attempt,
                "generation": self.generation, "idempotency_key": self.idempotency_key(),
            },
        })
    }
}

/// Whether another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Another attempt may help.
    Retryable,
    /// No attempt will help: the step's attempts end here.
    Permanent,
}

/// Why an attempt failed. Deliberately not `std::error::Error`, so that `?` turns any error into a
/// failure: a permanent one where the database refuses the data (a violated constraint of Diesel's
/// errors), a retryable one otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct StepError {
    /// Whether another attempt may help.
    pub failure: Failure,
    /// A sentence for people; stored with the step, truncated at 10,000 characters.
    pub message: String,
    /// A stable code for programs, such as `HTTP_404`.
    pub code: Option<String>,
    /// How long the other side asked to wait; it wins over the step's backoff, up to a cap.
    pub retry_after: Option<Duration>,
    /// Set where it is a refusal of the engine's database, which has rolled back what the attempt wrote.
    pub(crate) fault: Option<Fault>,
}

impl StepError {
    /// A failure that another attempt may mend.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self {
            failure: Failure::Retryable,
            message: message.into(),
            code: None,
            retry_after: None,
            fault: None,
        }
    }

    /// A failure that no attempt will mend.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { failure: Failure::Permanent, ..Self::retryable(message) }
    }

    /// With a stable code for programs.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// With the wait that the other side asked for.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl<E: std::error::Error + 'static> From<E> for StepError {
    fn from(e: E) -> Self {
        let Some(refusal) = (&e as &dyn std::error::Error).downcast_ref() else {
            return Self::retryable(e.to_string());
        };
        let error = match fault(refusal) {
            Fault::Data => Self::permanent(describe(refusal)).with_code("DATABASE"),
            _ => Self::retryable(describe(refusal)),
        };
        Self { fault: Some(fault(refusal)), ..error }
    }
}

/// Which results a handler reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inputs {
    /// Those of the step's parents, which come with the claim.
    #[default]
    Parents,
    /// Those of every ancestor, loaded with one more query a batch.
    Ancestors,
}

/// A handler whose effects are outside the engine's database: at least once, with an idempotency key.
pub trait StepHandler: Send + Sync + 'static {
    /// Runs one attempt.
    fn call(&self, context: StepContext) -> BoxFuture<StepResult>;

    /// Which results the context must carry.
    fn inputs(&self) -> Inputs {
        Inputs::Parents
    }
}

/// A handler that writes through the engine's connection: its writes, the step's result, its
/// transition and the release of its children are one commit, so they happen exactly once.
pub trait TransactionalHandler: Send + Sync + 'static {
    /// Runs one attempt inside an open transaction on a blocking thread. An error rolls it back.
    ///
    /// Where it was the database that ended the transaction, for a reason that may pass (a deadlock, a lost
    /// connection), and the error of Diesel came up by `?`, it is called again within the same attempt.
    fn call(&self, conn: &mut PgConnection, context: &StepContext) -> StepResult;

    /// Which results the context must carry.
    fn inputs(&self) -> Inputs {
        Inputs::Parents
    }
}

impl<F, Fut> StepHandler for F
where
    F: Fn(StepContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = StepResult> + Send + 'static,
{
    fn call(&self, context: StepContext) -> BoxFuture<StepResult> {
        Box::pin(self(context))
    }
}

impl<F> TransactionalHandler for F
where
    F: Fn(&mut PgConnection, &StepContext) -> StepResult + Send + Sync + 'static,
{
    fn call(&self, conn: &mut PgConnection, context: &StepContext) -> StepResult {
        self(conn, context)
    }
}

/// A registered handler.
#[derive(Clone)]
pub enum Handler {
    /// For effects in the outside world.
    Async(Arc<dyn StepHandler>),
    /// On the engine's connection.
    Transactional(Arc<dyn TransactionalHandler>),
}

impl Handler {
    /// Which results its context must carry.
    pub fn inputs(&self) -> Inputs {
        match self {
            Self::Async(h) => h.inputs(),
            Self::Transactional(h) => h.inputs(),
        }
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async(_) => "Handler::Async",
            Self::Transactional(_) => "Handler::Transactional",
        })
    }
}

/// Handlers by name. A worker claims steps of exactly these.
#[derive(Debug, Clone, Default)]
pub struct HandlerRegistry {
    handlers: HashMap<String, Handler>,
}

impl HandlerRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a handler; returns the one that had the name before.
    pub fn insert(&mut self, name: impl Into<String>, handler: Handler) -> Option<Handler> {
        self.handlers.insert(name.into(), handler)
    }

    /// Registers an async handler.
    pub fn register(&mut self, name: impl Into<String>, handler: impl StepHandler) -> &mut Self {
        self.insert(name, Handler::Async(Arc::new(handler)));
        self
    }

    /// Registers a transactional handler.
    pub fn register_transactional(
        &mut self,
        name: impl Into<String>,
        handler: impl TransactionalHandler,
    ) -> &mut Self {
        self.insert(name, Handler::Transactional(Arc::new(handler)));
        self
    }

    /// The handler of that name.
    pub fn get(&self, name: &str) -> Option<&Handler> {
        self.handlers.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.handlers.keys().cloned().collect();
        names.sort();
        names
    }
}
