//! Tasker in memory: the rules of the SQL commands once more, as plain Rust on plain values. No clock, no session;
//! an instant is a number of milliseconds that the caller passes in.
//!
//! [`Store`] is what the tables hold, its methods are the commands. A test applies the same random commands to a
//! store and to PostgreSQL and holds the rows equal; [`explore`] walks every order of commands on a store, and
//! seeded faults ([`Bug`]) show that the walk finds what it looks for.

mod adjust;
mod bug;
mod claims;
mod exchange;
pub mod explore;
mod invariants;
mod lines;
mod operations;
mod order;
pub mod statements;

pub use bug::Bug;
pub use exchange::{Ask, Turn};
pub use operations::{StepAnswer, TaskAnswer};

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use tasker_model::{FailureKind, StepState, TaskState};

use crate::cases::is_dead;

/// An instant or a length of time, milliseconds.
pub type Millis = i64;

/// A step: the place of its task in the store, its own place in the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    /// The task.
    pub task: usize,
    /// The step.
    pub step: usize,
}

/// What names one claim in a report: the step and its fencing token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    /// The step.
    pub at: At,
    /// Its `seq` right after the claim.
    pub token: i32,
}

/// What a step is before anything happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Places of its parents, all before it.
    pub parents: Vec<usize>,
    /// The total number of attempts.
    pub retry_limit: i32,
    /// Whether a failed attempt may be followed by another.
    pub retryable: bool,
    /// Whether the task may leave it out.
    pub skippable: bool,
    /// 1 is claimed first.
    pub priority: i16,
    /// From which queue it is claimed.
    pub queue: usize,
}

impl Plan {
    /// A step below these, with three attempts, of queue 0.
    pub fn below(parents: &[usize]) -> Self {
        Self {
            parents: parents.to_vec(),
            retry_limit: 3,
            retryable: true,
            skippable: false,
            priority: 3,
            queue: 0,
        }
    }
}

/// A workflow. Cheap to clone: all tasks of it share one.
#[derive(Debug, Clone)]
pub struct Workflow(Arc<(Vec<Plan>, bool)>);

impl Workflow {
    /// Steps, parents before children, and whether the first dead one holds the others.
    pub fn new(steps: Vec<Plan>, fail_fast: bool) -> Self {
        Self(Arc::new((steps, fail_fast)))
    }

    /// The steps.
    pub fn steps(&self) -> &[Plan] {
        &self.0.0
    }

    /// Whether the first dead step holds the others.
    pub fn is_fail_fast(&self) -> bool {
        self.0.1
    }

    /// The steps that wait for this one.
    pub fn children(&self, parent: usize) -> impl Iterator<Item = usize> {
        self.steps().iter().enumerate().filter(move |(_, s)| s.parents.contains(&parent)).map(|(n, _)| n)
    }
}

// A workflow never changes, and a task never changes its workflow: two states of one store differ elsewhere.
impl PartialEq for Workflow {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}
impl Eq for Workflow {}
impl Hash for Workflow {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// The row of a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// Durable state.
    pub state: StepState,
    /// Attempts of this generation.
    pub attempts: i32,
    /// How many there may be.
    pub retry_limit: i32,
    /// Raised by an operator's retry.
    pub generation: i32,
    /// The number of transitions, and so the token of every report.
    pub seq: i32,
    /// Parents that are not done.
    pub pending_parents: i32,
    /// From when it may be claimed; `None` unless claimable.
    pub available_at: Option<Millis>,
    /// Whether fail-fast keeps it.
    pub held: bool,
    /// Whether a person keeps it.
    pub paused: bool,
    /// The incarnation that runs it.
    pub worker: Option<usize>,
    /// How the last attempt failed.
    pub kind: Option<FailureKind>,
    /// 1 is claimed first.
    pub priority: i16,
    /// Not stored by the tables: claims of this generation that were not given back.
    pub claims: i32,
    /// Not stored by the tables: completions of this generation.
    pub completions: i32,
}

impl Step {
    fn new(plan: &Plan) -> Self {
        Self {
            state: StepState::Pending,
            attempts: 0,
            retry_limit: plan.retry_limit,
            generation: 1,
            seq: 0,
            pending_parents: plan.parents.len() as i32,
            available_at: None,
            held: false,
            paused: false,
            worker: None,
            kind: None,
            priority: plan.priority,
            claims: 0,
            completions: 0,
        }
    }

    /// Whether its task waits for it: available, now or later, and not held; or in progress.
    pub fn is_live(&self) -> bool {
        self.state == StepState::InProgress || self.is_offered()
    }

    /// Whether it is available and not held.
    pub fn is_offered(&self) -> bool {
        self.available_at.is_some() && !self.held
    }

    /// Whether this report still holds its claim.
    pub fn is_held_by(&self, token: i32) -> bool {
        self.state == StepState::InProgress && self.seq == token
    }
}

/// The row of a task with its steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Task {
    /// Of what it is a run.
    pub workflow: Workflow,
    /// Durable state.
    pub state: TaskState,
    /// The number of transitions.
    pub seq: i32,
    /// How many steps are live.
    pub live: i32,
    /// Its steps.
    pub steps: Vec<Step>,
}

impl Task {
    /// Whether nothing but a person brings the step on.
    pub fn is_dead(&self, step: usize) -> bool {
        let (s, plan) = (&self.steps[step], &self.workflow.steps()[step]);
        let permanent = s.kind == Some(FailureKind::Permanent);
        is_dead(s.state, s.attempts, s.retry_limit, plan.retryable, permanent)
    }

    /// Whether the step may be attempted as soon as its time has come.
    pub fn is_claimable(&self, step: usize) -> bool {
        let s = &self.steps[step];
        matches!(s.state, StepState::Pending | StepState::Error)
            && s.pending_parents == 0
            && !self.is_dead(step)
    }

    /// Makes the step available from an instant on if it is claimable, and unavailable if not.
    fn offer(&mut self, step: usize, at: Millis) {
        self.steps[step].available_at = self.is_claimable(step).then_some(at);
    }
}

/// An incarnation of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Worker {
    /// The queues that it serves.
    pub queues: Arc<[usize]>,
    /// How long each renewal holds.
    pub lease: Millis,
    /// Until when it is taken for alive.
    pub lease_until: Millis,
    /// Whether it signed off or was given up.
    pub ended: bool,
    /// Whether all its steps were taken back.
    pub reaped: bool,
}

impl Worker {
    /// Whether it may claim and renew.
    pub fn is_alive(&self, now: Millis) -> bool {
        !self.ended && self.lease_until > now
    }
}

/// A line of the logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Logged {
    /// Of `workflow_step_transitions`.
    Step {
        /// The step.
        step: At,
        /// When.
        at: Millis,
        /// Before.
        from: StepState,
        /// The row after it.
        row: Step,
        /// The incarnation that took it or gave it back.
        worker: Option<usize>,
        /// Whether a person asked for it.
        by_operator: bool,
    },
    /// Of `task_transitions`.
    Task {
        /// The task.
        task: usize,
        /// When.
        at: Millis,
        /// Counted from 1.
        seq: i32,
        /// Before.
        from: TaskState,
        /// After.
        to: TaskState,
    },
}

/// What a report or a release changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Steps whose report was accepted.
    pub accepted: Vec<At>,
    /// Of those, the failed ones that no attempt will follow.
    pub dead: Vec<At>,
    /// Of those, the failed ones that another attempt would follow if fail-fast did not hold them.
    pub held: Vec<At>,
    /// Children that became available.
    pub ready: Vec<At>,
    /// Tasks that changed, with the state that they came to.
    pub settled: Vec<(usize, TaskState)>,
}

/// What goes with a change of state.
#[derive(Debug, Clone, Copy, Default)]
struct Go {
    /// Who runs it from now on.
    worker: Option<usize>,
    /// From when it may be claimed, if it may; at once if not said.
    due: Option<Millis>,
    by_operator: bool,
}

impl Go {
    const BY_OPERATOR: Self = Self { worker: None, due: None, by_operator: true };
}

/// What the tables hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Store {
    /// The tasks, in the order of submission.
    pub tasks: Vec<Task>,
    /// The incarnations, in the order of registration.
    pub workers: Vec<Worker>,
    /// What the commands logged since somebody last took it away.
    pub log: Vec<Logged>,
    /// The seeded fault, if any.
    pub bug: Option<Bug>,
}

impl Store {
    /// A step.
    pub fn step(&self, at: At) -> &Step {
        &self.tasks[at.task].steps[at.step]
    }

    fn step_mut(&mut self, at: At) -> &mut Step {
        &mut self.tasks[at.task].steps[at.step]
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Every step of every task, by id.
    pub fn steps(&self) -> impl Iterator<Item = (At, &Step)> {
        let of_task = |(task, t): (usize, &'_ Task)| (0..t.steps.len()).map(move |step| At { task, step });
        self.tasks.iter().enumerate().flat_map(of_task).map(|at| (at, self.step(at)))
    }

    /// Changes a step's state, offers it from `due` on if it is claimable then, and logs it.
    fn go(&mut self, step: At, to: StepState, now: Millis, how: Go) {
        let task = &mut self.tasks[step.task];
        let row = &mut task.steps[step.step];
        let (from, before) = (row.state, row.worker);
        (row.state, row.worker) = (to, how.worker);
        row.seq += 1;
        task.offer(step.step, how.due.unwrap_or(now));
        let (row, worker) = (self.step(step).clone(), how.worker.or(before));
        self.log.push(Logged::Step { step, at: now, from, row, worker, by_operator: how.by_operator });
    }

    /// Registers an incarnation. SQL: `tasker.register_worker`.
    pub fn register(&mut self, queues: &[usize], lease: Millis, now: Millis) -> usize {
        let queues = queues.into();
        self.workers.push(Worker { queues, lease, lease_until: now + lease, ended: false, reaped: false });
        self.workers.len() - 1
    }

    /// Submits a task, leaving out the steps named. SQL: `tasker.submit_tasks`.
    pub fn submit(&mut self, workflow: &Workflow, bypass: &[usize], now: Millis) -> usize {
        let steps: Vec<Step> = workflow.steps().iter().map(Step::new).collect();
        let mut task = Task { workflow: workflow.clone(), state: TaskState::Pending, seq: 0, live: 0, steps };
        (0..task.steps.len()).for_each(|n| task.offer(n, now));
        task.live = task.steps.iter().filter(|s| s.is_live()).count() as i32;
        let (place, live) = (self.tasks.len(), task.live);
        self.tasks.push(task);
        if !bypass.is_empty() {
            let skipped: Vec<At> = bypass.iter().map(|step| At { task: place, step: *step }).collect();
            self.resolve(&skipped, now);
        }
        let never = |p: &Plan| p.retry_limit == 0;
        if workflow.is_fail_fast() && workflow.steps().iter().any(never) {
            self.recount(&[place], now);
        } else if live == 0 {
            self.adjust(&[(place, 0)], now);
        }
        place
    }
}
