//! The commands of operators: cancel, retry, resolve; and the hold of fail-fast, which they lift.

use tasker_model::{
    StepState::{self, Cancelled, Error, InProgress, Pending, ResolvedManually},
    TaskState,
};

use super::{At, Bug, Go, Millis, Store, claims::without_zeros};

/// What became of one task of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskAnswer {
    /// The word of the SQL function.
    pub outcome: &'static str,
    /// The task's state now.
    pub state: TaskState,
}

/// What became of one step of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepAnswer {
    /// The step.
    pub at: At,
    /// The word of the SQL function.
    pub outcome: &'static str,
    /// The state now, or the one that forbids the operation.
    pub state: String,
}

/// Steps answered one by one, and the tasks that changed.
pub(super) type Answered = (Vec<StepAnswer>, Vec<(usize, TaskState)>);

fn is_unfinished(state: StepState) -> bool {
    matches!(state, Pending | InProgress | Error)
}

impl Store {
    /// Cancels a task with its unfinished steps. SQL: `tasker.cancel_tasks`.
    pub fn cancel(&mut self, task: usize, now: Millis) -> TaskAnswer {
        let state = self.tasks[task].state;
        let outcome = match state {
            TaskState::Pending | TaskState::InProgress | TaskState::Error => "cancelled",
            TaskState::Cancelled => "already_cancelled",
            TaskState::Complete | TaskState::ResolvedManually => "refused",
        };
        if outcome == "cancelled" {
            for step in 0..self.tasks[task].steps.len() {
                self.cancel_step(At { task, step }, now);
            }
            self.tasks[task].live = 0;
            self.task_goes(task, TaskState::Cancelled, now);
        }
        TaskAnswer { outcome, state: self.tasks[task].state }
    }

    fn cancel_step(&mut self, at: At, now: Millis) {
        let state = self.step(at).state;
        let forgotten = state == InProgress && self.has(Bug::CancelForgetsRunning);
        if is_unfinished(state) && !forgotten {
            self.step_mut(at).held = false;
            self.go(at, Cancelled, now, Go::BY_OPERATOR);
        }
    }

    /// Retries every failed and cancelled step of a task that is over. SQL: `tasker.retry_tasks`.
    pub fn retry_task(&mut self, task: usize, now: Millis) -> TaskAnswer {
        let over = matches!(self.tasks[task].state, TaskState::Error | TaskState::Cancelled);
        let all = (0..self.tasks[task].steps.len()).map(|step| At { task, step });
        let failed: Vec<At> =
            all.filter(|at| over && matches!(self.step(*at).state, Error | Cancelled)).collect();
        let nothing = self.tasks[task].steps.iter().all(|s| !matches!(s.state, Error | Cancelled));
        let outcome = match (failed.is_empty(), self.tasks[task].state.is_open() && nothing) {
            (false, _) => "retried",
            (true, true) => "already_open",
            (true, false) => "refused",
        };
        self.retry(&failed, now);
        TaskAnswer { outcome, state: self.tasks[task].state }
    }

    /// Gives failed and cancelled steps a new generation. SQL: `tasker.retry_steps`.
    pub fn retry(&mut self, steps: &[At], now: Millis) -> Answered {
        let mut answers = vec![];
        let mut tasks = vec![];
        for at in steps {
            let (step, task) = (self.step(*at).state, self.tasks[at.task].state);
            let open = !matches!(task, TaskState::Complete | TaskState::ResolvedManually);
            let answer = match step {
                Error | Cancelled if open => {
                    tasks.push(at.task);
                    ("retried", Pending.to_string())
                }
                Error | Cancelled => ("refused", format!("task {task}")),
                Pending => ("already_pending", step.to_string()),
                other => ("refused", other.to_string()),
            };
            answers.push(StepAnswer { at: *at, outcome: answer.0, state: answer.1 });
        }
        for answer in answers.iter().filter(|a| a.outcome == "retried") {
            self.retry_one(answer.at, now);
        }
        tasks.dedup();
        (answers, self.recount(&tasks, now))
    }

    /// Holds or frees what a dead step decides, counts live steps anew and settles. SQL: `tasker.recount_tasks`.
    pub(super) fn recount(&mut self, tasks: &[usize], now: Millis) -> Vec<(usize, TaskState)> {
        for place in tasks {
            let task = &self.tasks[*place];
            if task.workflow.is_fail_fast() && (0..task.steps.len()).any(|step| task.is_dead(step)) {
                self.hold_rest(*place);
            }
            self.lift_hold(*place);
        }
        let deltas: Vec<_> = tasks.iter().map(|task| (*task, self.missing(*task))).collect();
        self.adjust(&deltas, now)
    }

    fn retry_one(&mut self, at: At, now: Millis) {
        let step = self.step_mut(at);
        (step.generation, step.attempts, step.kind) = (step.generation + 1, 0, None);
        (step.claims, step.completions) = (0, 0);
        self.go(at, Pending, now, Go::BY_OPERATOR);
        if self.has(Bug::RetryForgetsParents) {
            self.step_mut(at).available_at = Some(now);
        }
    }

    /// How many live steps the task has beyond what it counts.
    fn missing(&self, task: usize) -> i32 {
        let task = &self.tasks[task];
        match self.has(Bug::RetryForgetsLive) {
            true => 0,
            false => task.steps.iter().filter(|s| s.is_live()).count() as i32 - task.live,
        }
    }

    /// Declares steps done. SQL: `tasker.resolve_steps`.
    pub fn resolve(&mut self, steps: &[At], now: Millis) -> Answered {
        let (mut answers, mut done, mut deltas) = (vec![], vec![], vec![]);
        for at in steps {
            let (step, task) = (self.step(*at).state, self.tasks[at.task].state);
            let open = matches!(task, TaskState::Pending | TaskState::InProgress | TaskState::Error);
            let answer = match step {
                Pending | Error if open => {
                    done.push(*at);
                    ("resolved", ResolvedManually.to_string())
                }
                Pending | Error => ("refused", format!("task {task}")),
                ResolvedManually => ("already_resolved", step.to_string()),
                other => ("refused", other.to_string()),
            };
            answers.push(StepAnswer { at: *at, outcome: answer.0, state: answer.1 });
        }
        for at in &done {
            deltas.push((at.task, -i32::from(self.step(*at).is_offered())));
            self.step_mut(*at).held = false;
            self.go(*at, ResolvedManually, now, Go::BY_OPERATOR);
        }
        deltas.extend(self.release_resolved(&done, now));
        if self.has(Bug::ResolveForgetsToSettle) {
            deltas = without_zeros(deltas);
        }
        (answers, self.adjust(&deltas, now))
    }

    fn release_resolved(&mut self, done: &[At], now: Millis) -> Vec<(usize, i32)> {
        let children =
            if self.has(Bug::ResolveForgetsChildren) { vec![] } else { self.release_children(done, now) };
        let mut deltas: Vec<_> =
            children.iter().filter(|at| self.counts(**at)).map(|at| (at.task, 1)).collect();
        let mut tasks: Vec<_> = done.iter().map(|at| at.task).collect();
        tasks.dedup();
        for task in tasks {
            deltas.push((task, self.lift_hold(task)));
        }
        deltas
    }

    /// Holds every unfinished step; returns how many live ones that takes away. SQL: `tasker.hold_rest`.
    pub(super) fn hold_rest(&mut self, task: usize) -> i32 {
        let forgets = self.has(Bug::HoldForgetsRetries);
        let mut taken = 0;
        for step in &mut self.tasks[task].steps {
            let forgotten = forgets && step.state == Error && step.available_at.is_some();
            if is_unfinished(step.state) && !step.held && !forgotten {
                step.held = true;
                taken += i32::from(step.available_at.is_some());
            }
        }
        taken
    }

    /// Lifts the hold if no dead step is left; returns how many steps became live. SQL: `tasker.lift_hold`.
    fn lift_hold(&mut self, task: usize) -> i32 {
        let task = &mut self.tasks[task];
        if (0..task.steps.len()).any(|step| task.is_dead(step)) {
            return 0;
        }
        let mut given = 0;
        for step in task.steps.iter_mut().filter(|s| s.held) {
            step.held = false;
            given += i32::from(step.available_at.is_some());
        }
        given
    }
}
