//! What became of an operation, as values: the words of the SQL functions and why they refuse.

use std::fmt;

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    pg::{Pg, PgValue},
    prelude::*,
    sql_types::Text,
};
use serde::{Serialize, Serializer};
use tasker_model::{StepId, StepState, TaskId, TaskState};

/// What an outcome comes down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Something changed.
    Changed,
    /// What was asked for was so already; nothing changed.
    Already,
    /// The state forbids it; nothing changed.
    Refused,
    /// There is no such task or step.
    NotFound,
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $effect:ident;)*) => {
        /// What became of one task, step or queue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromSqlRow)]
        #[non_exhaustive]
        pub enum Outcome { $($(#[$doc])* $variant,)* }

        impl Outcome {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word that the SQL functions return.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// What it comes down to.
            pub const fn effect(self) -> Effect {
                match self { $(Self::$variant => Effect::$effect),* }
            }
        }
    };
}

outcomes! {
    /// Cancelled now.
    Cancelled = "cancelled", Changed;
    /// Was cancelled before.
    AlreadyCancelled = "already_cancelled", Already;
    /// Has a new generation.
    Retried = "retried", Changed;
    /// A task in which nothing has failed.
    AlreadyOpen = "already_open", Already;
    /// Runs anew.
    Reset = "reset", Changed;
    /// Is pending as it is.
    AlreadyPending = "already_pending", Already;
    /// Its next attempt is due now.
    Due = "due", Changed;
    /// Its next attempt was due before.
    AlreadyDue = "already_due", Already;
    /// Declared done.
    Resolved = "resolved", Changed;
    /// Was declared done before.
    AlreadyResolved = "already_resolved", Already;
    /// Left out.
    Skipped = "skipped", Changed;
    /// Has another retry limit.
    Limited = "limited", Changed;
    /// Has another priority.
    Prioritized = "prioritized", Changed;
    /// Had that limit or priority.
    Unchanged = "unchanged", Already;
    /// Paused now.
    Paused = "paused", Changed;
    /// Was paused before.
    AlreadyPaused = "already_paused", Already;
    /// Goes on.
    Resumed = "resumed", Changed;
    /// Was not paused.
    NotPaused = "not_paused", Already;
    /// Of a row about a task that an operation on its steps brought to another state.
    Task = "task", Changed;
    /// The state forbids it.
    Refused = "refused", Refused;
    /// There is no such task or step.
    NotFound = "not_found", NotFound;
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PartialEq<&str> for Outcome {
    fn eq(&self, word: &&str) -> bool {
        self.as_str() == *word
    }
}

impl FromSql<Text, Pg> for Outcome {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let word = <String as FromSql<Text, Pg>>::from_sql(value)?;
        let known = Self::ALL.iter().copied().find(|o| o.as_str() == word);
        known.ok_or_else(|| format!("`{word}` is no outcome of an operation that this version knows").into())
    }
}

/// Why an operation was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The step's state.
    Step(StepState),
    /// The task's state.
    Task(TaskState),
    /// Its task is paused, and the step with it.
    TaskPaused,
    /// Its definition does not let it be left out.
    NotSkippable,
    /// It has had more attempts than the limit would allow.
    Attempts(i32),
    /// Children of it have run on its result.
    ChildrenRan,
    /// It does not wait for an attempt: it is dead, or waits for its parents.
    NotClaimable,
    /// A word of a newer database.
    Other(String),
}

impl Refusal {
    fn of_step(word: &str) -> Self {
        let state = || word.strip_prefix("task ").and_then(|s| s.parse().ok()).map(Self::Task);
        match word {
            "task paused" => Self::TaskPaused,
            "not skippable" => Self::NotSkippable,
            "children ran" => Self::ChildrenRan,
            "not claimable" => Self::NotClaimable,
            word => (word.parse().ok().map(Self::Step))
                .or_else(state)
                .or_else(|| word.strip_prefix("attempts ").and_then(|n| n.parse().ok()).map(Self::Attempts))
                .unwrap_or_else(|| Self::Other(word.into())),
        }
    }
}

/// A fragment that follows the name of what was refused: `step pay of task 3`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(state) => write!(f, "is {state}, which does not allow it"),
            Self::Task(state) => write!(f, "belongs to a task that is {state}, which does not allow it"),
            Self::TaskPaused => f.write_str("is paused with its task; resume the task"),
            Self::NotSkippable => f.write_str("is not marked skippable; it can be resolved"),
            Self::Attempts(n) => write!(f, "has had {n} attempts, which is more than the limit asked for"),
            Self::ChildrenRan => {
                f.write_str("has children that ran on its result; retry from it to run them anew too")
            }
            Self::NotClaimable => {
                f.write_str("does not wait for an attempt: it is dead or waits for its parents")
            }
            Self::Other(word) => write!(f, "is {word}, which does not allow it"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What became of one task of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable)]
pub struct TaskOutcome {
    /// The task.
    pub task_id: TaskId,
    /// What became of it.
    pub outcome: Outcome,
    /// The task's state now, or the one that forbids the operation; `None` where there is no such task.
    pub state: Option<String>,
}

impl TaskOutcome {
    /// Why it was refused; `None` where it was not.
    pub fn refusal(&self) -> Option<Refusal> {
        let state = self.state.as_deref().filter(|_| self.outcome == Outcome::Refused)?;
        Some(state.parse().map_or_else(|_| Refusal::Other(state.into()), Refusal::Task))
    }
}

/// What became of one step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable)]
pub struct StepOutcome {
    /// What became of it; [`Outcome::Task`] for a task whose state changed by it.
    pub outcome: Outcome,
    /// The task.
    pub task_id: TaskId,
    /// The step; `None` in a row about the task.
    pub step_id: Option<StepId>,
    /// The state now, or what forbids the operation; `None` where there is no such step.
    pub state: Option<String>,
}

impl StepOutcome {
    /// Why it was refused; `None` where it was not.
    pub fn refusal(&self) -> Option<Refusal> {
        let state = self.state.as_deref().filter(|_| self.outcome == Outcome::Refused)?;
        Some(Refusal::of_step(state))
    }
}

/// What became of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable)]
pub struct QueueOutcome {
    /// Identity.
    pub queue_id: i32,
    /// The namespace.
    pub namespace: String,
    /// The handler.
    pub handler: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Its steps that a claim would find, now or later, if it were open.
    pub steps: i64,
}
