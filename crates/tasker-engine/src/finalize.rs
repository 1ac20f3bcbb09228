//! The finalizer: what a task becomes when nothing of it is live any more. Pure; `tasker.adjust_tasks`
//! applies the same rule, and a test holds the two equal.

use tasker_model::{StepState, TaskState};

/// What a task settles to when no step is available or in progress: complete if every step is complete or
/// resolved_manually (also without steps), else error.
pub fn settle(steps: impl IntoIterator<Item = StepState>) -> TaskState {
    if steps.into_iter().all(StepState::is_done) { TaskState::Complete } else { TaskState::Error }
}
