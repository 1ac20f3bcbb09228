//! Handlers that fail on purpose, by the attempt's number alone: what they do depends on nothing that a
//! restart or another worker would forget.

use serde_json::json;
use tasker_engine::handler::{BoxFuture, StepContext, StepError, StepHandler, StepResult};

/// Fails the first attempts and then succeeds.
#[derive(Debug, Clone)]
pub struct ConfigurableFailureHandler {
    failures: i32,
    message: String,
    permanent: bool,
}

impl ConfigurableFailureHandler {
    /// Fails `failures` attempts with a retryable error; 0 succeeds at once.
    pub fn new(failures: i32) -> Self {
        Self { failures, message: "configured to fail".into(), permanent: false }
    }

    /// With this message.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Fails with a permanent error instead.
    pub fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    fn attempt(&self, context: &StepContext) -> StepResult {
        if context.attempt > self.failures {
            return Ok(json!({
                "success": true, "step_name": context.step_name, "total_attempts": context.attempt,
                "failed_attempts": context.attempt - 1, "parents": context.results.keys().collect::<Vec<_>>(),
            }));
        }
        let message = format!("{} (attempt {} of {} to fail)", self.message, context.attempt, self.failures);
        Err(if self.permanent { StepError::permanent(message) } else { StepError::retryable(message) })
    }
}

impl StepHandler for ConfigurableFailureHandler {
    fn call(&self, context: StepContext) -> BoxFuture<StepResult> {
        let result = self.attempt(&context);
        Box::pin(async move { result })
    }
}

/// Times out like a network call in its first attempts and then answers.
#[derive(Debug, Clone)]
pub struct NetworkTimeoutHandler {
    inner: ConfigurableFailureHandler,
}

impl NetworkTimeoutHandler {
    /// Times out `timeouts` times.
    pub fn new(timeouts: i32) -> Self {
        Self { inner: ConfigurableFailureHandler::new(timeouts).message("network timeout") }
    }
}

impl StepHandler for NetworkTimeoutHandler {
    fn call(&self, context: StepContext) -> BoxFuture<StepResult> {
        let result = self.inner.attempt(&context).map_err(|e| e.with_code("NETWORK_TIMEOUT"));
        Box::pin(async move { result })
    }
}
