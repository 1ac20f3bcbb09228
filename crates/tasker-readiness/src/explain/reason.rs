//! The reasons and what would change each, as values. Their sentences are in [`super::sentence`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tasker_model::{FailureKind, StepId, StepState, TaskState, WorkerId};

/// Why a step is not running, or by whom it is. Written as JSON, a reason is what `tasker.explain_steps`
/// says: an object whose `reason` is its word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The step did not exist yet at the instant asked about.
    NotCreated {
        /// When it was created.
        created_at: DateTime<Utc>,
    },
    /// The log no longer reaches back to the instant asked about: there is no answer.
    Pruned {
        /// Where the log of the step begins; `None` where all of it is gone.
        logged_from: Option<DateTime<Utc>>,
    },
    /// It is being run.
    InProgress {
        /// When it was claimed.
        since: DateTime<Utc>,
        /// The incarnation that runs it.
        worker_id: WorkerId,
        /// That incarnation's name; `None` where its row was pruned.
        worker: Option<String>,
        /// This attempt, counted from 1.
        attempt: i32,
        /// How many there may be.
        retry_limit: i32,
        /// Until when the lease holds. `None` for a past instant after which it was renewed: it held then,
        /// but until when, as it stood then, is not kept.
        lease_until: Option<DateTime<Utc>>,
        /// Whether it has run out, so that the next claim of any worker takes the step back.
        lease_ran_out: bool,
    },
    /// It is done.
    Complete {
        /// When it was done.
        since: DateTime<Utc>,
    },
    /// It was declared done.
    ResolvedManually {
        /// When it was.
        since: DateTime<Utc>,
        /// By whom.
        actor: Option<String>,
        /// Why.
        because: Option<String>,
    },
    /// It was cancelled.
    Cancelled {
        /// When it was.
        since: DateTime<Utc>,
        /// By whom.
        actor: Option<String>,
        /// Why.
        because: Option<String>,
    },
    /// Its last failure was permanent.
    Permanent {
        /// When it failed.
        since: DateTime<Utc>,
        /// What the attempt said.
        error: Option<String>,
    },
    /// No attempt is left.
    Exhausted {
        /// Since when.
        since: DateTime<Utc>,
        /// The attempts made.
        attempts: i32,
        /// How many there may be; 0 means that it never runs.
        retry_limit: i32,
        /// How the last one failed.
        failure_kind: Option<FailureKind>,
        /// What it said.
        error: Option<String>,
    },
    /// It failed and is not to be tried again.
    NotRetryable {
        /// When it failed.
        since: DateTime<Utc>,
        /// How.
        failure_kind: Option<FailureKind>,
        /// What the attempt said.
        error: Option<String>,
    },
    /// Parents of it are not done.
    WaitingForParents {
        /// Since when the step is in its state.
        since: DateTime<Utc>,
        /// How many parents are done.
        done: i32,
        /// How many it has.
        total: i32,
        /// Those that are not, by id.
        parents: Vec<OpenParent>,
    },
    /// Fail-fast holds it.
    Held {
        /// Since when.
        since: DateTime<Utc>,
        /// The dead steps of the task, for which it is held.
        dead: Vec<DeadStep>,
    },
    /// It, its task or its queue is paused.
    Paused {
        /// Since when.
        since: DateTime<Utc>,
        /// Which of them.
        #[serde(flatten)]
        what: Paused,
    },
    /// Its task takes no more steps.
    TaskFinished {
        /// Since when.
        since: DateTime<Utc>,
        /// What the task came to.
        state: TaskState,
    },
    /// Its next attempt is not due yet.
    WaitingForRetry {
        /// When the last attempt ended.
        since: DateTime<Utc>,
        /// When the next is due.
        due_at: DateTime<Utc>,
        /// The next attempt, counted from 1.
        attempt: i32,
        /// How many there may be.
        retry_limit: i32,
        /// How the last one failed.
        failure_kind: Option<FailureKind>,
        /// What it said.
        error: Option<String>,
    },
    /// Its first attempt is not due yet.
    Scheduled {
        /// Since when the step is in its state.
        since: DateTime<Utc>,
        /// When it is due.
        due_at: DateTime<Utc>,
    },
    /// It may be claimed, but no live worker serves its queue.
    NoWorker {
        /// Since when there has been none for it.
        since: DateTime<Utc>,
        /// The namespace of the queue.
        namespace: String,
        /// The handler that a worker needs.
        handler: String,
    },
}

/// A parent that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OpenParent {
    /// The step.
    pub step_id: StepId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: StepState,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Attempts of its generation.
    pub attempts: i32,
    /// How many there may be.
    pub retry_limit: i32,
    /// When it is tried again, if it waits for that.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Whether nothing but a person brings it on.
    pub dead: bool,
}

/// A step that nothing but a person brings on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadStep {
    /// The step.
    pub step_id: StepId,
    /// Its name.
    pub name: String,
}

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Paused {
    /// The step alone.
    Step,
    /// Its task.
    Task,
    /// Its queue.
    Queue {
        /// The namespace.
        namespace: String,
        /// The handler.
        handler: String,
    },
}

/// What would take a reason away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// Nothing needs to: the step counts as done.
    Nothing,
    /// Time alone.
    Time {
        /// When.
        at: DateTime<Utc>,
    },
    /// The answer of its handler, its timeout, or the end of the lease.
    Report,
    /// The next claim of any worker, which takes the step back.
    Reclaim,
    /// All parents done. Dead ones need a person.
    Parents {
        /// Names of those that only a person brings on.
        dead: Vec<String>,
    },
    /// A retry by a person.
    Retry,
    /// A retry by a person, or declaring the step done.
    RetryOrResolve,
    /// A higher retry limit, or declaring the step done.
    LimitOrResolve,
    /// Retrying or resolving each of these dead steps.
    LiftHold {
        /// Their names.
        dead: Vec<String>,
    },
    /// Resuming what is paused.
    Resume {
        /// What is.
        #[serde(flatten)]
        what: Paused,
    },
    /// Retrying or resolving a failed or cancelled step of the task, which opens it again.
    ReopenTask,
    /// A worker that serves the queue.
    StartWorker {
        /// The namespace that it must serve.
        namespace: String,
        /// The handler that it must have.
        handler: String,
    },
    /// Nothing brings the log back.
    Unknown,
}

impl Reason {
    /// The word for it, the same as in its JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotCreated { .. } => "not_created",
            Self::Pruned { .. } => "pruned",
            Self::InProgress { .. } => "in_progress",
            Self::Complete { .. } => "complete",
            Self::ResolvedManually { .. } => "resolved_manually",
            Self::Cancelled { .. } => "cancelled",
            Self::Permanent { .. } => "permanent",
            Self::Exhausted { .. } => "exhausted",
            Self::NotRetryable { .. } => "not_retryable",
            Self::WaitingForParents { .. } => "waiting_for_parents",
            Self::Held { .. } => "held",
            Self::Paused { .. } => "paused",
            Self::TaskFinished { .. } => "task_finished",
            Self::WaitingForRetry { .. } => "waiting_for_retry",
            Self::Scheduled { .. } => "scheduled",
            Self::NoWorker { .. } => "no_worker",
        }
    }

    /// Whether it keeps the step from being claimed. What does not is advice: the step is claimable, and
    /// yet nobody takes it.
    pub const fn is_blocking(&self) -> bool {
        !matches!(self, Self::NoWorker { .. })
    }

    /// Whether the step is dead by it: nothing but a person brings it on.
    pub const fn is_dead(&self) -> bool {
        matches!(
            self,
            Self::Permanent { .. }
                | Self::Exhausted { .. }
                | Self::NotRetryable { .. }
                | Self::Cancelled { .. }
        )
    }

    /// Since when it holds; `None` where there was no step or is no log.
    pub const fn since(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::NotCreated { .. } | Self::Pruned { .. } => None,
            Self::InProgress { since, .. }
            | Self::Complete { since }
            | Self::ResolvedManually { since, .. }
            | Self::Cancelled { since, .. }
            | Self::Permanent { since, .. }
            | Self::Exhausted { since, .. }
            | Self::NotRetryable { since, .. }
            | Self::WaitingForParents { since, .. }
            | Self::Held { since, .. }
            | Self::Paused { since, .. }
            | Self::TaskFinished { since, .. }
            | Self::WaitingForRetry { since, .. }
            | Self::Scheduled { since, .. }
            | Self::NoWorker { since, .. } => Some(*since),
        }
    }

    /// What would take it away.
    pub fn change(&self) -> Change {
        match self {
            Self::NotCreated { created_at } => Change::Time { at: *created_at },
            Self::Pruned { .. } => Change::Unknown,
            Self::InProgress { lease_ran_out: true, .. } => Change::Reclaim,
            Self::InProgress { .. } => Change::Report,
            Self::Complete { .. } | Self::ResolvedManually { .. } => Change::Nothing,
            Self::Cancelled { .. } => Change::Retry,
            Self::Permanent { .. } | Self::NotRetryable { .. } => Change::RetryOrResolve,
            // What has not failed is not retried; what it lacks is attempts.
            Self::Exhausted { failure_kind: None, .. } => Change::LimitOrResolve,
            Self::Exhausted { .. } => Change::RetryOrResolve,
            Self::WaitingForParents { parents, .. } => {
                Change::Parents { dead: parents.iter().filter(|p| p.dead).map(|p| p.name.clone()).collect() }
            }
            Self::Held { dead, .. } => {
                Change::LiftHold { dead: dead.iter().map(|d| d.name.clone()).collect() }
            }
            Self::Paused { what, .. } => Change::Resume { what: what.clone() },
            Self::TaskFinished { .. } => Change::ReopenTask,
            Self::WaitingForRetry { due_at, .. } | Self::Scheduled { due_at, .. } => {
                Change::Time { at: *due_at }
            }
            Self::NoWorker { namespace, handler, .. } => {
                Change::StartWorker { namespace: namespace.clone(), handler: handler.clone() }
            }
        }
    }
}
