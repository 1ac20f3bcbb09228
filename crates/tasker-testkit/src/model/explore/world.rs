//! A store, the processes that work on it and what they believe; what may happen to them, and what must then hold.
//! It is always instant 0: time passes by moving everything that is to come nearer.

use tasker_model::{
    FailureKind::{self, Permanent, Retryable},
    StepState, TaskState,
};

use super::{Action, Scenario, scenario::Rare};
use crate::model::{At, Bug, Changes, Held, Logged, Millis, Step, Store};

/// The length of every lease: less than two of them pass unnoticed by nobody.
const LEASE: Millis = 2;

/// After so long everything is due, and every lease that nobody renews is over.
const AGES: Millis = 1_000;

/// A process: who it is now, and the claims that it has in hand, valid or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    incarnation: usize,
    held: Vec<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    store: Store,
    processes: Vec<Process>,
    rare: Rare,
}

impl World {
    pub(super) fn new(scenario: &Scenario, bug: Option<Bug>) -> Self {
        let mut store = Store { bug, ..Store::default() };
        for workflow in &scenario.workflows {
            store.submit(workflow, &[], 0);
        }
        let process = |_| Process { incarnation: store.register(&[0], LEASE, 0), held: vec![] };
        let processes = (0..scenario.workers).map(process).collect();
        store.log.clear();
        Self { store, processes, rare: scenario.rare }
    }

    /// Everything that may happen now.
    pub(super) fn actions(&self, scenario: &Scenario) -> Vec<Action> {
        let mut actions = vec![Action::Tick, Action::Expire];
        for (n, process) in self.processes.iter().enumerate() {
            self.claims(n, process, &mut actions);
            self.reports(n, process, &mut actions);
            if self.rare.incarnations > 0 {
                actions.extend([Action::Die(n), Action::SignOff(n)]);
            }
            if self.rare.incarnations > 0 || self.store.workers[process.incarnation].is_alive(0) {
                actions.push(Action::Renew(n));
            }
        }
        if self.rare.operations > 0 {
            for task in 0..scenario.workflows.len() {
                actions.extend([Action::Cancel(task), Action::RetryTask(task)]);
            }
            actions.extend(self.store.steps().flat_map(|(at, _)| [Action::Retry(at), Action::Resolve(at)]));
        }
        actions
    }

    fn claims(&self, n: usize, process: &Process, actions: &mut Vec<Action>) {
        let offered = self.store.clone().offered(process.incarnation, 0);
        if offered.len() > 1 {
            actions.push(Action::ClaimAll(n));
        }
        if offered.is_empty() {
            actions.push(Action::Claim(n, None));
        }
        actions.extend(offered.into_iter().map(|at| Action::Claim(n, Some(at))));
    }

    fn reports(&self, n: usize, process: &Process, actions: &mut Vec<Action>) {
        if process.held.len() > 1 {
            actions.push(Action::CompleteAll(n));
        }
        for c in 0..process.held.len() {
            actions.push(Action::Complete(n, c, true));
            actions.extend([Action::Fail(n, c, Retryable, 1), Action::Fail(n, c, Permanent, 0)]);
            if self.rare.detours > 0 {
                actions.extend([Action::Complete(n, c, false), Action::Release(n, c)]);
            }
        }
    }

    /// Lets it happen.
    ///
    /// # Errors
    /// What must not be, as a sentence.
    pub(super) fn perform(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Claim(n, at) => self.claim(n, at.into_iter().collect())?,
            Action::ClaimAll(n) => {
                let all = self.store.clone().offered(self.processes[n].incarnation, 0);
                self.claim(n, all)?;
            }
            Action::Complete(n, c, answered) => {
                let held = self.processes[n].held[c];
                if answered {
                    self.processes[n].held.remove(c);
                } else {
                    self.rare.detours -= 1;
                }
                self.report(&[held], |store| store.complete(&[held], 0))?;
            }
            Action::CompleteAll(n) => {
                let held = std::mem::take(&mut self.processes[n].held);
                self.report(&held, |store| store.complete(&held, 0))?;
            }
            Action::Fail(n, c, kind, delay) => self.fail(n, c, kind, delay)?,
            Action::Release(n, c) => {
                let held = self.processes[n].held.remove(c);
                self.rare.detours -= 1;
                self.report(&[held], |store| store.release(&[held], 0))?;
            }
            Action::Renew(n) => self.renew(n)?,
            Action::Die(n) => {
                self.processes[n].held.clear();
                self.come_back(n);
            }
            Action::SignOff(n) => {
                self.store.end_worker(self.processes[n].incarnation, 0);
                self.come_back(n);
            }
            Action::Expire => _ = self.store.expire(1, 0),
            Action::Tick => self.store.pass(1),
            Action::Cancel(task) => self.operate(|store| _ = store.cancel(task, 0)),
            Action::RetryTask(task) => self.operate(|store| _ = store.retry_task(task, 0)),
            Action::Retry(at) => self.operate(|store| _ = store.retry(&[at], 0)),
            Action::Resolve(at) => self.operate(|store| _ = store.resolve(&[at], 0)),
        }
        let sound = self.store.check();
        self.store.log.clear();
        sound
    }

    fn operate(&mut self, work: impl FnOnce(&mut Store)) {
        self.rare.operations -= 1;
        work(&mut self.store);
    }

    fn come_back(&mut self, n: usize) {
        self.rare.incarnations -= 1;
        self.processes[n].incarnation = self.store.register(&[0], LEASE, 0);
    }

    fn claim(&mut self, n: usize, steps: Vec<At>) -> Result<(), String> {
        let worker = self.processes[n].incarnation;
        self.store.offered(worker, 0);
        if !steps.is_empty() && !self.store.workers[worker].is_alive(0) {
            return Err(format!("incarnation {worker} claims though its lease ran out"));
        }
        let held = self.store.take(worker, &steps, 0);
        self.processes[n].held.extend(held);
        self.processes[n].held.sort_unstable();
        Ok(())
    }

    fn fail(&mut self, n: usize, c: usize, kind: FailureKind, delay: Millis) -> Result<(), String> {
        let held = self.processes[n].held.remove(c);
        self.report(&[held], |store| store.fail(&[(held, kind, delay)], 0))?;
        self.holds_the_rest(held.at)
    }

    /// A step that has just died holds every unfinished one of its task, if that fails fast.
    fn holds_the_rest(&self, at: At) -> Result<(), String> {
        let task = &self.store.tasks[at.task];
        let died = task.is_dead(at.step)
            && self.store.log.iter().any(|l| matches!(l, Logged::Step { step, .. } if *step == at));
        let free = |s: &Step| {
            !s.held && matches!(s.state, StepState::Pending | StepState::InProgress | StepState::Error)
        };
        if task.workflow.is_fail_fast() && died && task.steps.iter().any(free) {
            return Err(format!(
                "step {at} is dead and its task fails fast, but an unfinished step is not held"
            ));
        }
        Ok(())
    }

    /// A report is accepted exactly where its claim is still held, and changes nothing else.
    fn report(&mut self, reports: &[Held], work: impl FnOnce(&mut Store) -> Changes) -> Result<(), String> {
        let holds = |r: &&Held| self.store.step(r.at).is_held_by(r.token);
        let valid: Vec<At> = reports.iter().filter(holds).map(|r| r.at).collect();
        let changes = work(&mut self.store);
        if changes.accepted != valid {
            return Err(format!("accepted were {:?}, held were {valid:?}", changes.accepted));
        }
        if valid.is_empty() && !self.store.log.is_empty() {
            return Err("a report that held nothing changed something".into());
        }
        Ok(())
    }

    fn renew(&mut self, n: usize) -> Result<(), String> {
        let worker = self.processes[n].incarnation;
        let alive = self.store.workers[worker].is_alive(0);
        let renewed = self.store.renew(worker, 0);
        if renewed && !alive {
            return Err(format!("incarnation {worker} renewed a lease that had run out"));
        }
        if !renewed {
            self.come_back(n);
        }
        Ok(())
    }

    /// What decides whether the tasks come to an end, without what only tells states apart.
    pub(super) fn bones(&self) -> Store {
        let mut store = self.store.clone();
        let reaped: Vec<bool> = store.workers.iter().map(|w| w.reaped).collect();
        for step in store.tasks.iter_mut().flat_map(|t| &mut t.steps) {
            (step.seq, step.generation, step.completions, step.claims) = (0, 1, 0, 0);
            step.available_at = step.available_at.map(|_| 0);
            step.worker = step.worker.map(|w| usize::from(reaped[w]));
        }
        store.tasks.iter_mut().for_each(|t| t.seq = 0);
        store.workers.clear();
        store
    }

    /// If every process dies now, one that comes later brings all tasks to an end, and where that is not
    /// completion, an operator's retry or resolution leads there.
    pub(super) fn comes_to_an_end(&self) -> Result<(), String> {
        let mut store = self.store.clone();
        store.drive();
        if let Some(task) = store.tasks.iter().position(|t| t.state.is_open()) {
            return Err(format!("task {task} does not come to an end by itself"));
        }
        for task in 0..store.tasks.len() {
            store.retry_task(task, 0);
        }
        store.drive();
        for task in 0..store.tasks.len() {
            let steps = (0..store.tasks[task].steps.len()).map(|step| At { task, step });
            let left =
                steps.filter(|at| matches!(store.step(*at).state, StepState::Pending | StepState::Error));
            let left: Vec<At> = left.collect();
            store.resolve(&left, 0);
        }
        store.drive();
        match store.tasks.iter().position(|t| t.state != TaskState::Complete) {
            Some(task) => Err(format!("nothing completes task {task}")),
            None => Ok(()),
        }
    }
}

impl Store {
    /// Moves all that is to come nearer.
    fn pass(&mut self, time: Millis) {
        let nearer = |at: Millis| (at - time).max(0);
        for step in self.tasks.iter_mut().flat_map(|t| &mut t.steps) {
            step.available_at = step.available_at.map(nearer);
        }
        self.workers.iter_mut().for_each(|w| w.lease_until = nearer(w.lease_until));
    }

    /// Lets one worker complete whatever it gets until it gets nothing more. Everybody else is gone.
    fn drive(&mut self) {
        loop {
            self.pass(AGES);
            let worker = self.register(&[0], LEASE, 0);
            let held = self.claim(worker, usize::MAX, 0);
            self.log.clear();
            if held.is_empty() {
                return;
            }
            self.complete(&held, 0);
        }
    }
}
