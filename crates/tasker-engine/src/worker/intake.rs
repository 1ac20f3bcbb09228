//! Submissions by way of a worker: where it is at rest, the commit that creates tasks also claims for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::incarnation::Input;
use crate::{
    commands::NewTasks,
    submit::{SubmitError, Submitted},
};

/// A submission on its way to the worker's loop. Who drops it unanswered has written nothing.
pub(super) struct Submission {
    pub(super) tasks: Arc<NewTasks>,
    pub(super) answer: oneshot::Sender<Result<Vec<Submitted>, SubmitError>>,
}

/// Where submissions go while an incarnation runs. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Intake(Arc<Mutex<Option<mpsc::Sender<Input>>>>);

impl Intake {
    /// Offers tasks to the incarnation that runs; `None` where none does or it has other things to do.
    pub(super) async fn offer(&self, tasks: Arc<NewTasks>) -> Option<Result<Vec<Submitted>, SubmitError>> {
        let sender = self.current().clone()?;
        let (answer, answered) = oneshot::channel();
        sender.send(Input::Submission(Submission { tasks, answer })).await.ok()?;
        answered.await.ok()
    }

    /// Leads submissions to an incarnation until the guard is dropped.
    pub(super) fn lead_to(&self, sender: mpsc::Sender<Input>) -> Open {
        *self.current() = Some(sender.clone());
        Open { intake: self.clone(), sender }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Input>>> {
        // What it guards is whole at every instant.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the intake when it is dropped, unless another incarnation has taken it over.
pub(super) struct Open {
    intake: Intake,
    sender: mpsc::Sender<Input>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.intake.current().take_if(|current| current.same_channel(&self.sender));
    }
}
