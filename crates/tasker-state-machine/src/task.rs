//! The legal transitions of a task.

use tasker_model::TaskState::{self, Cancelled, Complete, Error, InProgress, Pending, ResolvedManually};

use crate::{
    Cause::{self, Engine, Operator},
    Refusal, Transition,
};

const fn t(from: TaskState, to: TaskState, cause: Cause, event: &'static str) -> Transition<TaskState> {
    Transition { from, to, cause, event }
}

/// Every legal transition.
pub const TRANSITIONS: &[Transition<TaskState>] = &[
    t(Pending, InProgress, Engine, "start"),
    t(Pending, Complete, Engine, "settle"),
    t(Pending, Error, Engine, "settle"),
    t(Pending, Cancelled, Operator, "cancel"),
    t(InProgress, Complete, Engine, "settle"),
    t(InProgress, Error, Engine, "settle"),
    t(InProgress, Cancelled, Operator, "cancel"),
    t(Error, Pending, Operator, "retry"),
    t(Error, Cancelled, Operator, "cancel"),
    t(Error, ResolvedManually, Operator, "resolve"),
    t(Complete, Pending, Operator, "reset"),
    t(ResolvedManually, Pending, Operator, "reset"),
    t(Cancelled, Pending, Operator, "retry"),
];

/// Says whether the transition is legal for the one who asks.
pub fn check(from: TaskState, to: TaskState, cause: Cause) -> Result<(), Refusal<TaskState>> {
    crate::check(TRANSITIONS, "task", from, to, cause)
}
