//! Which transition of a task or a step is legal: the tables as data, and typed refusals.
//!
//! Nothing else in Rust decides legality. The database holds the same tables
//! (`tasker.step_transition_is_legal`, `tasker.task_transition_is_legal`) and a test walks every pair on
//! both sides. Applying a transition is the business of the SQL functions; this crate says what they may do.
//!
//! ```
//! use tasker_model::StepState::{Complete, Error, InProgress, Pending};
//! use tasker_state_machine::{Cause, step};
//!
//! assert_eq!(step::check(Pending, InProgress, Cause::Engine), Ok(()));
//! let refusal = step::check(Pending, Complete, Cause::Engine).unwrap_err();
//! assert_eq!(refusal.to_string(), "a pending step cannot become complete; it can become in_progress");
//! // Only an operator reopens what is done.
//! let refusal = step::check(Complete, Pending, Cause::Engine).unwrap_err();
//! assert_eq!(
//!     refusal.to_string(),
//!     "a complete step cannot become pending unless an operator asks for it; nothing else leads on from there"
//! );
//! assert!(step::check(Complete, Pending, Cause::Operator).is_ok());
//! # assert!(step::check(Error, InProgress, Cause::Engine).is_ok());
//! ```

#![forbid(unsafe_code)]

pub mod guard;
pub mod operation;
pub mod step;
pub mod task;

use std::fmt;

pub use operation::{Operation, Verdict};

/// Who brings a transition about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The engine in its ordinary course: claims, reports, recovery, settling.
    Engine,
    /// A person or program that asked for it by name: cancel, retry, resolve, reset.
    Operator,
}

/// One legal transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition<S> {
    /// Before.
    pub from: S,
    /// After.
    pub to: S,
    /// Who may bring it about; an operator may also do whatever the engine does.
    pub cause: Cause,
    /// What it is called.
    pub event: &'static str,
}

/// A transition that is not legal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<S> {
    /// `task` or `step`.
    pub subject: &'static str,
    /// Before.
    pub from: S,
    /// What was asked for.
    pub to: S,
    /// What would have been legal for the same cause.
    pub legal: Vec<S>,
    /// Whether an operator could do what the engine was refused.
    pub needs_operator: bool,
}

impl<S: fmt::Display> fmt::Display for Refusal<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} {} cannot become {}", self.from, self.subject, self.to)?;
        if self.needs_operator {
            f.write_str(" unless an operator asks for it")?;
        }
        if self.legal.is_empty() {
            return f.write_str("; nothing else leads on from there");
        }
        let legal: Vec<_> = self.legal.iter().map(ToString::to_string).collect();
        write!(f, "; it can become {}", legal.join(", "))
    }
}

impl<S: fmt::Display + fmt::Debug> std::error::Error for Refusal<S> {}

fn check<S: Copy + PartialEq>(
    table: &[Transition<S>],
    subject: &'static str,
    from: S,
    to: S,
    cause: Cause,
) -> Result<(), Refusal<S>> {
    let allowed = |t: &&Transition<S>| cause == Cause::Operator || t.cause == Cause::Engine;
    let pair = table.iter().find(|t| t.from == from && t.to == to);
    if pair.filter(allowed).is_some() {
        return Ok(());
    }
    let mut legal: Vec<S> = vec![];
    for t in table.iter().filter(|t| t.from == from).filter(allowed) {
        if !legal.contains(&t.to) {
            legal.push(t.to);
        }
    }
    Err(Refusal { subject, from, to, legal, needs_operator: pair.is_some() })
}
