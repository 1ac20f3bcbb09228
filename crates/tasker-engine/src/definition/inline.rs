//! Runs a typed workflow in the calling process, for the unit tests of whoever wrote it.
//!
//! One attempt a step, one step after the other, nothing stored, no schema applied. What the engine
//! adds (retries, leases, timeouts) is tested with the engine.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::SystemTime,
};

use diesel::{Connection, PgConnection};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{StepDefinition, StepHandle, TypedWorkflow};
use crate::handler::{Handler, Inputs, StepContext, StepError, StepResult};

/// Why a run in the process ended.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InlineError {
    /// The input has no JSON form.
    #[error("the input has no JSON form: {0}")]
    Input(String),
    /// A handler failed; the steps after it did not run.
    #[error("step {step:?} failed: {}", .error.message)]
    Step {
        /// The step.
        step: String,
        /// What its handler returned.
        error: StepError,
    },
    /// A transactional step in a run without a connection.
    #[error("step {step:?} is transactional: run it with `run_inline_with` and a connection")]
    NeedsConnection {
        /// The step.
        step: String,
    },
    /// A result that was asked for is not there or has another type.
    #[error("no such result: {0}")]
    Result(String),
}

/// The results of a run in the process.
#[derive(Debug, Clone, PartialEq)]
pub struct InlineRun {
    workflow: u64,
    /// By index of the handles.
    names: Vec<String>,
    /// By name of the step.
    pub results: BTreeMap<String, Value>,
}

impl InlineRun {
    /// What a step returned.
    ///
    /// # Errors
    /// If the handle is of another workflow.
    pub fn get<O: DeserializeOwned>(&self, step: StepHandle<O>) -> Result<O, InlineError> {
        let raw = step.raw();
        let name = self.names.get(raw.index).filter(|_| raw.workflow == self.workflow);
        let name = name.ok_or_else(|| InlineError::Result("the handle is of another workflow".into()))?;
        let value = self.results.get(name).unwrap_or(&Value::Null);
        O::deserialize(value).map_err(|error| InlineError::Result(format!("step {name:?}: {error}")))
    }
}

impl<I: Serialize> TypedWorkflow<I> {
    /// Runs every step once, parents first.
    ///
    /// # Errors
    /// The first failure; [`InlineError::NeedsConnection`] at the first transactional step.
    pub async fn run_inline(&self, input: &I) -> Result<InlineRun, InlineError> {
        self.run(None, input).await
    }

    /// As [`run_inline`](Self::run_inline), each transactional step in a transaction (a savepoint if
    /// one is open) of the given connection. Blocks the thread while such a step runs.
    ///
    /// # Errors
    /// The first failure, whose writes are rolled back.
    pub async fn run_inline_with(
        &self,
        conn: &mut PgConnection,
        input: &I,
    ) -> Result<InlineRun, InlineError> {
        self.run(Some(conn), input).await
    }

    async fn run(&self, mut conn: Option<&mut PgConnection>, input: &I) -> Result<InlineRun, InlineError> {
        let context = serde_json::to_value(input).map_err(|error| InlineError::Input(error.to_string()))?;
        let mut run = self.empty_run(context);
        for (position, step) in self.definition().steps().iter().enumerate() {
            let Some(handler) = run.handlers.get(step.handler.as_str()) else { continue };
            let context = run.context(position, step, handler.inputs());
            let result = match (handler, conn.as_deref_mut()) {
                (Handler::Async(handler), _) => handler.call(context).await,
                (Handler::Transactional(handler), Some(conn)) => {
                    conn.transaction(|conn| handler.call(conn, &context))
                }
                (Handler::Transactional(_), None) => {
                    return Err(InlineError::NeedsConnection { step: step.name.clone() });
                }
            };
            run.finish(step, result)?;
        }
        Ok(InlineRun { workflow: self.id, names: self.names(), results: run.results })
    }

    fn empty_run(&self, context: Value) -> Run<'_> {
        Run {
            handlers: self.handlers.iter().map(|(name, handler)| (name.as_str(), handler)).collect(),
            workflow: self.definition().full_name().into(),
            context: Arc::new(context),
            results: BTreeMap::new(),
        }
    }

    /// The names of the steps in the order of their handles.
    fn names(&self) -> Vec<String> {
        let by_handler: HashMap<_, _> =
            self.definition().steps().iter().map(|step| (step.handler.as_str(), &step.name)).collect();
        self.handlers.iter().filter_map(|(name, _)| by_handler.get(name.as_str()).copied().cloned()).collect()
    }
}

struct Run<'a> {
    handlers: HashMap<&'a str, &'a Handler>,
    workflow: Arc<str>,
    context: Arc<Value>,
    results: BTreeMap<String, Value>,
}

impl Run<'_> {
    /// Task 1, first attempt, first generation, now.
    fn context(&self, position: usize, step: &StepDefinition, inputs: Inputs) -> StepContext {
        let seen = |name: &String| inputs == Inputs::Ancestors || step.depends_on.contains(name);
        let results = self.results.iter().filter(|(name, _)| seen(name));
        StepContext {
            task_id: tasker_model::TaskId(1),
            step_id: tasker_model::StepId(i64::try_from(position + 1).unwrap_or(i64::MAX)),
            step_name: step.name.clone(),
            workflow: Arc::clone(&self.workflow),
            attempt: 1,
            generation: 1,
            context: Arc::clone(&self.context),
            results: Arc::new(results.map(|(name, value)| (name.clone(), value.clone())).collect()),
            config: Arc::new(step.handler_config.clone()),
            now: SystemTime::now().into(),
            cancellation: CancellationToken::new(),
        }
    }

    fn finish(&mut self, step: &StepDefinition, result: StepResult) -> Result<(), InlineError> {
        let name = step.name.clone();
        let value = result.map_err(|error| InlineError::Step { step: name.clone(), error })?;
        self.results.insert(name, value);
        Ok(())
    }
}
