//! What must hold beside legality: a step starts only when its parents are done, a task completes only when
//! its steps are. The database states both as guards and counters; these give the refusal its words.

use tasker_model::StepState;

/// Why a legal transition may not happen now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// Parents of the step are not done.
    #[error("the step waits for {pending} of its {total} parents")]
    ParentsPending {
        /// Those that are neither complete nor resolved_manually.
        pending: usize,
        /// All of them.
        total: usize,
    },
    /// Steps of the task are not done.
    #[error("{open} of the task's {total} steps are neither complete nor resolved_manually")]
    StepsOpen {
        /// Those that are not done.
        open: usize,
        /// All of them.
        total: usize,
    },
}

/// A step may go to `in_progress` only when every parent is done.
pub fn may_start(parents: &[StepState]) -> Result<(), GuardError> {
    match parents.iter().filter(|s| !s.is_done()).count() {
        0 => Ok(()),
        pending => Err(GuardError::ParentsPending { pending, total: parents.len() }),
    }
}

/// A task may go to `complete` only when every step is done; a task without steps may.
pub fn may_complete(steps: &[StepState]) -> Result<(), GuardError> {
    match steps.iter().filter(|s| !s.is_done()).count() {
        0 => Ok(()),
        open => Err(GuardError::StepsOpen { open, total: steps.len() }),
    }
}
