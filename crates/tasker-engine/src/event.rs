//! What a worker tells whoever listens: once for each transition that it brought about, after the commit.

use std::{fmt, sync::Arc, time::Duration};

use tasker_model::{FailureKind, StepId, TaskId, TaskState, WorkerId};

/// Something that happened and is durable.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An incarnation registered.
    WorkerStarted {
        /// Its id.
        worker_id: WorkerId,
    },
    /// A step was claimed.
    StepClaimed {
        /// The task.
        task_id: TaskId,
        /// The step.
        step_id: StepId,
        /// Its name.
        step_name: String,
        /// The attempt, counted from 1.
        attempt: i32,
    },
    /// A step completed.
    StepCompleted {
        /// The task.
        task_id: TaskId,
        /// The step.
        step_id: StepId,
        /// Its name.
        step_name: String,
    },
    /// An attempt failed.
    StepFailed {
        /// The task.
        task_id: TaskId,
        /// The step.
        step_id: StepId,
        /// Its name.
        step_name: String,
        /// The attempt, counted from 1.
        attempt: i32,
        /// How.
        kind: FailureKind,
        /// What it said.
        message: String,
        /// The wait before the next attempt; `None` if none follows.
        retry_in: Option<Duration>,
    },
    /// A claimed step was given back unrun.
    StepReleased {
        /// The task.
        task_id: TaskId,
        /// The step.
        step_id: StepId,
    },
    /// A task settled.
    TaskSettled {
        /// The task.
        task_id: TaskId,
        /// What it came to.
        state: TaskState,
    },
    /// A report was refused because its claim was no longer held; nothing changed.
    LeaseLost {
        /// The task.
        task_id: TaskId,
        /// The step.
        step_id: StepId,
    },
    /// The incarnation's lease ran out; the process registers anew.
    WorkerExpired {
        /// Its id.
        worker_id: WorkerId,
    },
}

/// Where events go. Called on the worker's own task: it must return quickly.
#[derive(Clone, Default)]
pub struct EventSink(Option<Arc<dyn Fn(&Event) + Send + Sync>>);

impl EventSink {
    /// Calls the function with each event.
    pub fn new(f: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(f)))
    }

    /// Passes an event on.
    pub fn emit(&self, event: &Event) {
        if let Some(f) = &self.0 {
            f(event);
        }
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "EventSink(..)" } else { "EventSink(none)" })
    }
}
