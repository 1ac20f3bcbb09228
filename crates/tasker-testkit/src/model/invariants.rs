//! What must hold after every command, said once more from states and edges alone by the rule of
//! [`cases`](crate::cases).

use tasker_model::{FailureKind, StepState, TaskState};

use super::{At, Logged, Store, Task};
use crate::cases::{StepCase, TaskCase};

impl Task {
    /// The task as the rule of readiness sees it: without counters.
    pub fn case(&self) -> TaskCase {
        let step = |(n, s): (usize, &super::Step)| {
            let plan = &self.workflow.steps()[n];
            StepCase {
                state: s.state,
                attempts: s.attempts,
                retry_limit: s.retry_limit,
                retryable: plan.retryable,
                permanent: s.kind == Some(FailureKind::Permanent),
                due: 0,
                held: s.held,
                paused: s.paused,
                parents: plan.parents.clone(),
            }
        };
        let steps = self.steps.iter().enumerate().map(step).collect();
        TaskCase { steps, state: self.state, paused: false, queue_paused: false }
    }
}

impl Store {
    /// The first thing that is wrong, as a sentence.
    ///
    /// # Errors
    /// That sentence.
    pub fn check(&self) -> Result<(), String> {
        for (n, task) in self.tasks.iter().enumerate() {
            let case = task.case();
            task_is_sound(task, &case).map_err(|e| format!("task {n}: {e}"))?;
            for step in 0..task.steps.len() {
                self.step_is_sound(At { task: n, step }, &case)
                    .map_err(|e| format!("task {n}, step {step}: {e}"))?;
            }
        }
        self.log.iter().try_for_each(is_legal)
    }

    fn step_is_sound(&self, at: At, case: &TaskCase) -> Result<(), String> {
        let (row, rule) = (self.step(at), &case.steps[at.step]);
        let pending = case.pending_parents(rule) as i32;
        ensure(row.pending_parents == pending, || {
            format!("pending_parents is {}, the edges say {pending}", row.pending_parents)
        })?;
        ensure(row.available_at.is_some() == case.is_claimable(rule), || {
            format!("available_at is {:?}, claimable is {}", row.available_at, case.is_claimable(rule))
        })?;
        let running = row.state == StepState::InProgress;
        ensure(row.worker.is_some() == running, || "a worker, or none, where there should be".into())?;
        ensure(!(running && pending > 0), || "it runs before its parents are done".into())?;
        ensure(row.worker.is_none_or(|w| !self.workers[w].reaped), || {
            "it is in progress for an incarnation of which nothing will be taken back any more".into()
        })?;
        ensure(row.attempts == row.claims, || {
            format!("{} attempts are counted, {} were claimed", row.attempts, row.claims)
        })?;
        ensure(row.attempts <= row.retry_limit, || "it was attempted beyond its limit".into())?;
        ensure(row.completions <= 1, || "it was completed twice in one generation".into())
    }
}

fn task_is_sound(task: &Task, case: &TaskCase) -> Result<(), String> {
    let live = |s: &StepCase| s.state == StepState::InProgress || (case.is_claimable(s) && !s.held);
    let live = case.steps.iter().filter(|s| live(s)).count() as i32;
    ensure(task.live == live, || format!("live_steps is {}, its steps say {live}", task.live))?;
    let done = case.steps.iter().all(|s| s.state.is_done());
    let settled = match task.state {
        TaskState::Pending | TaskState::InProgress => live > 0,
        TaskState::Complete => live == 0 && done,
        TaskState::Error => live == 0 && !done,
        TaskState::Cancelled | TaskState::ResolvedManually => live == 0,
    };
    ensure(settled, || format!("{} with {live} live steps, all done: {done}", task.state))
}

fn is_legal(logged: &Logged) -> Result<(), String> {
    match logged {
        Logged::Step { step, from, row, by_operator, .. } => {
            tasker_state_machine::step::check(*from, row.state, cause(*by_operator))
                .map_err(|e| format!("task {}, step {}: {e}", step.task, step.step))
        }
        Logged::Task { task, from, to, .. } => tasker_state_machine::task::check(*from, *to, cause(true))
            .map_err(|e| format!("task {task}: {e}")),
    }
}

fn cause(by_operator: bool) -> tasker_state_machine::Cause {
    match by_operator {
        true => tasker_state_machine::Cause::Operator,
        false => tasker_state_machine::Cause::Engine,
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
