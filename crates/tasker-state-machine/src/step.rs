//! The legal transitions of a step.

use tasker_model::StepState::{self, Cancelled, Complete, Error, InProgress, Pending, ResolvedManually};

use crate::{
    Cause::{self, Engine, Operator},
    Refusal, Transition,
};

const fn t(from: StepState, to: StepState, cause: Cause, event: &'static str) -> Transition<StepState> {
    Transition { from, to, cause, event }
}

/// Every legal transition.
pub const TRANSITIONS: &[Transition<StepState>] = &[
    t(Pending, InProgress, Engine, "claim"),
    t(Pending, Cancelled, Operator, "cancel"),
    t(Pending, ResolvedManually, Operator, "resolve"),
    t(InProgress, Complete, Engine, "complete"),
    t(InProgress, Error, Engine, "fail"),
    t(InProgress, Cancelled, Operator, "cancel"),
    t(InProgress, Pending, Engine, "release"),
    t(Error, InProgress, Engine, "claim"),
    t(Error, Pending, Operator, "retry"),
    t(Error, Cancelled, Operator, "cancel"),
    t(Error, ResolvedManually, Operator, "resolve"),
    t(Complete, Pending, Operator, "reset"),
    t(ResolvedManually, Pending, Operator, "reset"),
    t(Cancelled, Pending, Operator, "retry"),
];

/// Says whether the transition is legal for the one who asks.
pub fn check(from: StepState, to: StepState, cause: Cause) -> Result<(), Refusal<StepState>> {
    crate::check(TRANSITIONS, "step", from, to, cause)
}
