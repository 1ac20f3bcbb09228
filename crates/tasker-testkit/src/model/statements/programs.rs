//! The commands as the statements that PostgreSQL runs, one after the other.

use tasker_engine::finalize::settle;
use tasker_model::{
    FailureKind,
    StepState::{self, Cancelled, Complete, Error, InProgress, Pending},
    TaskState,
};

use super::{
    Slip,
    rows::{Got, Lock, Row, Rows, Statement},
};
use crate::model::{Step, Store, Task};

/// What a session runs, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Program {
    /// A report that a step is complete, with its token.
    Complete(usize, i32),
    /// A report that a step has failed for good, with its token.
    Fail(usize, i32),
    /// An incarnation claims a step.
    Claim(usize),
    /// Steps of this incarnation, whose lease ran out, are taken back.
    Expire(usize),
    /// An incarnation signs off.
    EndWorker(usize),
    /// An operator cancels the task.
    Cancel,
}

/// A session in the middle of its program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Session {
    pub(super) program: Program,
    /// Which statement is next; `None` after the commit.
    pub(super) stage: Option<u8>,
    statement: Statement,
    /// What the statements so far found.
    found: Vec<Row>,
    /// What earlier ones found, where that is still needed.
    kept: Vec<Row>,
    delta: i32,
    pub(super) waits: bool,
}

/// The statement that commits.
const COMMIT: u8 = 100;
/// Where every command that changes what is live goes on: `tasker.adjust_tasks`.
const ADJUST: u8 = 50;

impl Session {
    pub(super) fn new(program: Program) -> Self {
        let statement = Statement::default();
        Self { program, stage: Some(0), statement, found: vec![], kept: vec![], delta: 0, waits: false }
    }

    /// Gets one step further.
    pub(super) fn advance(&mut self, id: usize, rows: &mut Rows, slip: Option<Slip>) {
        let Some(stage) = self.stage else { return };
        match stage {
            COMMIT => {
                rows.commit(id);
                self.stage = None;
            }
            ADJUST.. => self.adjust(stage, id, rows, slip),
            _ => match self.program {
                Program::Complete(step, token) => self.complete(stage, id, rows, slip, (step, token)),
                Program::Fail(step, token) => self.fail(id, rows, slip, (step, token)),
                Program::Claim(worker) => self.claim(stage, id, rows, slip, worker),
                Program::Expire(worker) => self.expire(stage, id, rows, worker),
                Program::EndWorker(worker) => self.end_worker(stage, id, rows, slip, worker),
                Program::Cancel => self.cancel(stage, id, rows, slip),
            },
        }
    }

    /// Begins again after a deadlock.
    pub(super) fn roll_back(&mut self, id: usize, rows: &mut Rows) {
        rows.roll_back(id);
        *self = Self::new(self.program);
    }

    /// Whether the statement has all its locks; what it got is in `found` then.
    fn lock(&mut self, id: usize, rows: &mut Rows, how: Lock, wanted: impl Fn(&Store) -> Vec<Row>) -> bool {
        let got = rows.lock(id, &mut self.statement, how, wanted);
        self.waits = got == Got::Waits;
        if got == Got::All {
            self.found = std::mem::take(&mut self.statement.got);
        }
        got == Got::All
    }

    fn lock_report(&mut self, id: usize, rows: &mut Rows, slip: Option<Slip>, report: (usize, i32)) -> bool {
        let seen = self.statement.snapshot.clone();
        let valid = |store: &Store| store.tasks[0].steps[report.0].is_held_by(report.1);
        self.lock(id, rows, Lock::Update, |store| match (slip, &seen) {
            // The state is not looked at again under the lock.
            (Some(Slip::ReportNotRechecked), Some(seen)) if valid(seen) => vec![Row::Step(report.0)],
            _ if valid(store) => vec![Row::Step(report.0)],
            _ => vec![],
        })
    }

    fn complete(&mut self, stage: u8, id: usize, rows: &mut Rows, slip: Option<Slip>, report: (usize, i32)) {
        if stage == 0 {
            if self.lock_report(id, rows, slip, report) {
                self.stage = Some(if self.found.is_empty() { COMMIT } else { 1 });
                self.end_attempt(rows, report.0, Complete, None);
            }
            return;
        }
        let children: Vec<usize> = rows.latest.tasks[0].workflow.children(report.0).collect();
        let seen = self.statement.snapshot.clone();
        let wanted = |_: &Store| children.iter().map(|c| Row::Step(*c)).collect();
        if !self.lock(id, rows, Lock::Update, wanted) {
            return;
        }
        let task = &mut rows.latest.tasks[0];
        for child in children {
            if let (Some(Slip::StaleDecrement), Some(seen)) = (slip, &seen) {
                task.steps[child].pending_parents = seen.tasks[0].steps[child].pending_parents;
            }
            task.steps[child].pending_parents -= 1;
            task.offer(child, 0);
            self.delta += i32::from(task.steps[child].is_offered());
        }
        self.stage = Some(if self.delta == 0 { COMMIT } else { ADJUST });
    }

    fn fail(&mut self, id: usize, rows: &mut Rows, slip: Option<Slip>, report: (usize, i32)) {
        if self.lock_report(id, rows, slip, report) {
            self.stage = Some(if self.found.is_empty() { COMMIT } else { ADJUST });
            self.end_attempt(rows, report.0, Error, Some(FailureKind::Permanent));
        }
    }

    fn end_attempt(&mut self, rows: &mut Rows, step: usize, to: StepState, kind: Option<FailureKind>) {
        if self.found.is_empty() {
            return;
        }
        let row = &mut rows.latest.tasks[0].steps[step];
        row.completions += i32::from(to == Complete);
        (row.state, row.kind, row.worker, row.seq) = (to, kind, None, row.seq + 1);
        rows.latest.tasks[0].offer(step, 0);
        let again = rows.latest.tasks[0].steps[step].is_offered();
        self.delta -= i32::from(!again);
    }

    fn claim(&mut self, stage: u8, id: usize, rows: &mut Rows, slip: Option<Slip>, worker: usize) {
        let alive = |store: &Store| !store.workers[worker].ended;
        match stage {
            0 if slip == Some(Slip::ClaimWithoutItsWorker) => {
                self.stage = Some(if alive(&rows.snapshot(id)) { 1 } else { COMMIT });
            }
            0 => {
                let wanted = |store: &Store| if alive(store) { vec![Row::Worker(worker)] } else { vec![] };
                if self.lock(id, rows, Lock::KeyShare, wanted) {
                    self.stage = Some(if self.found.is_empty() { COMMIT } else { 1 });
                }
            }
            1 => {
                let offered = |store: &Store| steps_where(&store.tasks[0], Step::is_offered);
                if self.lock(id, rows, Lock::UpdateSkipLocked, offered) {
                    self.stage = Some(if self.found.is_empty() { COMMIT } else { 2 });
                    for step in self.steps() {
                        take(&mut rows.latest.tasks[0], step, worker);
                    }
                }
            }
            _ => {
                let pending = |store: &Store| match store.tasks[0].state {
                    TaskState::Pending => vec![Row::Task],
                    _ => vec![],
                };
                if self.lock(id, rows, Lock::Update, pending) {
                    if !self.found.is_empty() {
                        rows.latest.tasks[0].state = TaskState::InProgress;
                    }
                    self.stage = Some(COMMIT);
                }
            }
        }
    }

    fn steps(&self) -> Vec<usize> {
        let step = |row: &Row| if let Row::Step(step) = row { Some(*step) } else { None };
        self.found.iter().filter_map(step).collect()
    }

    fn expire(&mut self, stage: u8, id: usize, rows: &mut Rows, worker: usize) {
        match stage {
            0 => {
                let dead = |store: &Store| match store.workers[worker].reaped {
                    true => vec![],
                    false => vec![Row::Worker(worker)],
                };
                if self.lock(id, rows, Lock::UpdateSkipLocked, dead) {
                    self.stage = Some(if self.found.is_empty() { COMMIT } else { 1 });
                    if !self.found.is_empty() {
                        rows.latest.workers[worker].ended = true;
                    }
                }
            }
            _ => {
                let theirs = |store: &Store| steps_where(&store.tasks[0], |s| s.worker == Some(worker));
                if self.lock(id, rows, Lock::UpdateSkipLocked, theirs) {
                    for step in self.steps() {
                        self.end_attempt(rows, step, Error, Some(FailureKind::LostLease));
                    }
                    self.stage = Some(if self.delta == 0 { ADJUST + 2 } else { ADJUST });
                }
            }
        }
    }

    fn end_worker(&mut self, stage: u8, id: usize, rows: &mut Rows, slip: Option<Slip>, worker: usize) {
        let seen_before = self.statement.snapshot.clone();
        if stage == 0 {
            let wanted = |_: &Store| vec![Row::Worker(worker)];
            if !self.lock(id, rows, Lock::Update, wanted) {
                return;
            }
            self.stage = Some(1);
            if slip != Some(Slip::EndsInOneStatement) {
                return;
            }
        }
        let seen = match (slip, seen_before) {
            (Some(Slip::EndsInOneStatement), Some(seen)) => seen,
            _ => rows.snapshot(id),
        };
        let row = &mut rows.latest.workers[worker];
        if !row.ended {
            row.ended = true;
            row.reaped = steps_where(&seen.tasks[0], |s| s.worker == Some(worker)).is_empty();
        }
        self.stage = Some(COMMIT);
    }

    fn cancel(&mut self, stage: u8, id: usize, rows: &mut Rows, slip: Option<Slip>) {
        let once = slip == Some(Slip::CancelLooksOnce);
        match stage {
            0 => {
                let running = |store: &Store| steps_where(&store.tasks[0], |s| s.state == InProgress);
                if self.lock(id, rows, Lock::Update, running) {
                    self.kept.append(&mut self.found);
                    self.stage = Some(1);
                }
            }
            1 | 3 => {
                let wanted = |s: &Step| matches!(s.state, Pending | Error) || s.state == InProgress && !once;
                if self.lock(id, rows, Lock::Update, |store| steps_where(&store.tasks[0], wanted)) {
                    self.kept.extend(self.found.iter().copied());
                    self.stage = Some(2);
                    if stage == 3 {
                        self.cancel_all(rows);
                    }
                }
            }
            _ => {
                if self.lock(id, rows, Lock::Update, |_| vec![Row::Task]) {
                    let state = rows.latest.tasks[0].state;
                    let over = matches!(state, TaskState::Complete | TaskState::Cancelled);
                    self.stage = Some(if over { COMMIT } else { 3 });
                    if once && !over {
                        self.found.clone_from(&self.kept);
                        self.cancel_all(rows);
                    }
                }
            }
        }
    }

    fn cancel_all(&mut self, rows: &mut Rows) {
        let steps = self.steps();
        let task = &mut rows.latest.tasks[0];
        for step in steps {
            let row = &mut task.steps[step];
            (row.state, row.worker, row.available_at, row.seq) = (Cancelled, None, None, row.seq + 1);
        }
        (task.state, task.live) = (TaskState::Cancelled, 0);
        self.stage = Some(COMMIT);
    }

    fn adjust(&mut self, stage: u8, id: usize, rows: &mut Rows, slip: Option<Slip>) {
        let seen = self.statement.snapshot.clone();
        match stage {
            ADJUST => {
                if !self.lock(id, rows, Lock::Update, |_| vec![Row::Task]) {
                    return;
                }
                let task = &mut rows.latest.tasks[0];
                if let (Some(Slip::StaleLive), Some(seen)) = (slip, &seen) {
                    task.live = seen.tasks[0].live;
                }
                task.live += self.delta;
                self.stage = Some(ADJUST + 1);
                if let (Some(Slip::SettlesInOneStatement), Some(seen)) = (slip, seen) {
                    self.settle(rows, &seen);
                }
            }
            _ if stage == ADJUST + 1 => {
                let seen = rows.snapshot(id);
                self.settle(rows, &seen);
            }
            _ => {
                if let Program::Expire(worker) = self.program {
                    let left = steps_where(&rows.snapshot(id).tasks[0], |s| s.worker == Some(worker));
                    rows.latest.workers[worker].reaped = left.is_empty();
                }
                self.stage = Some(COMMIT);
            }
        }
    }

    fn settle(&mut self, rows: &mut Rows, seen: &Store) {
        let task = &mut rows.latest.tasks[0];
        if task.live == 0 && task.state.is_open() {
            task.state = settle(seen.tasks[0].steps.iter().map(|s| s.state));
        }
        self.stage = Some(ADJUST + 2);
    }
}

fn steps_where(task: &Task, which: impl Fn(&Step) -> bool) -> Vec<Row> {
    let found = task.steps.iter().enumerate().filter(|(_, s)| which(s));
    found.map(|(n, _)| Row::Step(n)).collect()
}

fn take(task: &mut Task, step: usize, worker: usize) {
    let row = &mut task.steps[step];
    (row.state, row.worker, row.available_at) = (InProgress, Some(worker), None);
    row.attempts += 1;
    row.claims += 1;
    row.seq += 1;
}
