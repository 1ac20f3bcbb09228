//! Which operation a state allows. What an operation moves along the tables of [`step`] and [`task`] is read from
//! them; the SQL functions ask theirs, and a test walks every operation through every state on both sides.

use tasker_model::{
    StepState::{self, InProgress, Pending, ResolvedManually},
    TaskState,
};

use crate::{step, task};

/// What a person or program may ask for, by name and with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Never to run.
    Cancel,
    /// New attempts for what failed or was cancelled.
    Retry,
    /// The next attempt at once; nothing else changes.
    RetryNow,
    /// To run anew; refused where a child has run on the result.
    Reset,
    /// To run anew with everything that waits for it.
    RetryFrom,
    /// Declared done.
    Resolve,
    /// Left out; where the definition allows it.
    Skip,
    /// Another number of attempts.
    RetryLimit,
    /// Another place in the order of claiming.
    Priority,
    /// Not to be claimed until resumed.
    Pause,
    /// To be claimed again.
    Resume,
}

/// What the state says of an operation. Other things may still forbid it, as `docs/operations.md` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It changes something.
    Allowed,
    /// What it asks for is so already: nothing changes, and that is no error.
    Already,
    /// It is refused.
    Refused,
}

impl Operation {
    /// All of them, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::Cancel,
        Self::Retry,
        Self::RetryNow,
        Self::Reset,
        Self::RetryFrom,
        Self::Resolve,
        Self::Skip,
        Self::RetryLimit,
        Self::Priority,
        Self::Pause,
        Self::Resume,
    ];

    /// Its word, the same as that of the command.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::RetryNow => "retry-now",
            Self::Reset => "reset",
            Self::RetryFrom => "retry-from",
            Self::Resolve => "resolve",
            Self::Skip => "skip",
            Self::RetryLimit => "limit",
            Self::Priority => "priority",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// What a step of this state says of it, in a task that allows it.
    pub fn of_step(self, state: StepState) -> Verdict {
        let leads_to = |to| step::TRANSITIONS.iter().any(|t| t.from == state && t.to == to);
        let (allowed, already) = match self {
            Self::Cancel => (leads_to(StepState::Cancelled), state == StepState::Cancelled),
            Self::Retry => (by_event(step::TRANSITIONS, state, "retry"), state == Pending),
            Self::Reset | Self::RetryFrom => (leads_to(Pending), state == Pending),
            Self::Resolve | Self::Skip => (leads_to(ResolvedManually), state == ResolvedManually),
            Self::RetryNow => (leads_to(InProgress), false),
            Self::RetryLimit | Self::Priority | Self::Pause => (!state.is_terminal(), false),
            Self::Resume => (true, false),
        };
        verdict(allowed, already)
    }

    /// Whether it may be done to steps of a task of this state.
    pub fn in_task(self, state: TaskState) -> bool {
        match self {
            Self::Retry => state.is_open() || by_event(task::TRANSITIONS, state, "retry"),
            Self::Reset | Self::RetryFrom | Self::Resume => true,
            Self::Cancel
            | Self::RetryNow
            | Self::Resolve
            | Self::Skip
            | Self::RetryLimit
            | Self::Priority
            | Self::Pause => by_event(task::TRANSITIONS, state, "cancel"),
        }
    }

    /// What a task of this state says of it; `None` where it is done to steps alone. To retry now, to limit and to
    /// prioritize a task is to do so to each of its steps.
    pub fn of_task(self, state: TaskState) -> Option<Verdict> {
        let (allowed, already) = match self {
            Self::Cancel => (by_event(task::TRANSITIONS, state, "cancel"), state == TaskState::Cancelled),
            Self::Retry => (by_event(task::TRANSITIONS, state, "retry"), state.is_open()),
            Self::Resolve => {
                (by_event(task::TRANSITIONS, state, "resolve"), state == TaskState::ResolvedManually)
            }
            Self::RetryNow | Self::RetryLimit | Self::Priority | Self::Pause | Self::Resume => {
                (self.in_task(state), false)
            }
            Self::Reset | Self::RetryFrom | Self::Skip => return None,
        };
        Some(verdict(allowed, already))
    }
}

fn by_event<S: Copy + PartialEq>(table: &[crate::Transition<S>], state: S, event: &str) -> bool {
    table.iter().any(|t| t.from == state && t.event == event)
}

const fn verdict(allowed: bool, already: bool) -> Verdict {
    match (allowed, already) {
        (true, _) => Verdict::Allowed,
        (false, true) => Verdict::Already,
        (false, false) => Verdict::Refused,
    }
}
