//! What a typed handler receives beside the results of its parents.

use std::{any::type_name, ops::Deref};

use serde::de::DeserializeOwned;

use crate::handler::{StepContext, StepError};

/// The task's context as `I`, and everything of [`StepContext`]: `ctx.input.sku`, `ctx.attempt`,
/// `ctx.generation`, `ctx.task_id`, `ctx.cancellation`, `ctx.now`, `ctx.idempotency_key()`.
#[derive(Debug, Clone)]
pub struct TypedContext<I> {
    /// The task's context.
    pub input: I,
    /// The untyped context.
    pub step: StepContext,
}

impl<I> Deref for TypedContext<I> {
    type Target = StepContext;

    fn deref(&self) -> &StepContext {
        &self.step
    }
}

impl<I: DeserializeOwned> TypedContext<I> {
    /// Reads the task's context as `I`.
    ///
    /// # Errors
    /// A permanent failure if it is not one: the context of a task never changes.
    pub fn new(step: StepContext) -> Result<Self, StepError> {
        match I::deserialize(&*step.context) {
            Ok(input) => Ok(Self { input, step }),
            Err(error) => {
                let message = format!("the task's context is not a {}: {error}", type_name::<I>());
                Err(StepError::permanent(message).with_code("TASK_CONTEXT"))
            }
        }
    }
}
