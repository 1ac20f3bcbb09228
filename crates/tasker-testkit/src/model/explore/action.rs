//! What can happen next.

use std::fmt;

use tasker_model::FailureKind;

use crate::model::{At, Millis};

/// One thing that happens: a command, a death, or that time passes. Workers are processes, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A worker claims; what is taken is one of the steps on offer, or nothing but what was expired.
    Claim(usize, Option<At>),
    /// A worker claims whatever is on offer.
    ClaimAll(usize),
    /// A worker reports its claim at this place of its list as complete; whether the answer reaches it.
    Complete(usize, usize, bool),
    /// A worker reports all its claims as complete, in one batch.
    CompleteAll(usize),
    /// A worker reports a claim as failed, to be tried again after so long.
    Fail(usize, usize, FailureKind, Millis),
    /// A worker gives a claim back.
    Release(usize, usize),
    /// A worker renews its lease; where it is over, it registers anew and its handlers run on.
    Renew(usize),
    /// A process dies and comes back as a new incarnation, with nothing in hand.
    Die(usize),
    /// A worker signs off with its handlers still running, and registers anew.
    SignOff(usize),
    /// Somebody takes back a single step.
    Expire,
    /// Time passes.
    Tick,
    /// An operator cancels a task.
    Cancel(usize),
    /// An operator retries a task.
    RetryTask(usize),
    /// An operator retries a step.
    Retry(At),
    /// An operator resolves a step.
    Resolve(At),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(w, Some(at)) => write!(f, "worker {w} claims step {at}"),
            Self::Claim(w, None) => write!(f, "worker {w} claims and gets nothing"),
            Self::ClaimAll(w) => write!(f, "worker {w} claims all there is"),
            Self::Complete(w, n, true) => write!(f, "worker {w} reports its claim {n} as complete"),
            Self::Complete(w, n, false) => {
                write!(f, "worker {w} reports its claim {n} as complete, and the answer is lost")
            }
            Self::CompleteAll(w) => write!(f, "worker {w} reports all its claims as complete"),
            Self::Fail(w, n, kind, delay) => {
                write!(f, "worker {w} reports its claim {n} as failed ({kind}), the next attempt in {delay}")
            }
            Self::Release(w, n) => write!(f, "worker {w} gives its claim {n} back"),
            Self::Renew(w) => write!(f, "worker {w} renews its lease"),
            Self::Die(w) => write!(f, "worker {w} dies and comes back"),
            Self::SignOff(w) => write!(f, "worker {w} signs off while it works, and registers anew"),
            Self::Expire => f.write_str("one expired step is taken back"),
            Self::Tick => f.write_str("time passes"),
            Self::Cancel(task) => write!(f, "an operator cancels task {task}"),
            Self::RetryTask(task) => write!(f, "an operator retries task {task}"),
            Self::Retry(at) => write!(f, "an operator retries step {at}"),
            Self::Resolve(at) => write!(f, "an operator resolves step {at}"),
        }
    }
}
