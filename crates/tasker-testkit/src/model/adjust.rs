//! Where every command ends: live steps are added up and what has none left settles. SQL: `tasker.adjust_tasks`.

use std::collections::BTreeMap;

use tasker_engine::finalize::settle;
use tasker_model::{StepState, TaskState};

use super::{Bug, Logged, Millis, Store, Task};

impl Task {
    fn all_done(&self) -> bool {
        self.steps.iter().all(|s| s.state.is_done())
    }

    /// Whether a finished task opens again.
    fn reopens(&self, live: i32) -> bool {
        !self.state.is_open()
            && (live > 0
                || self.state == TaskState::Error && self.all_done()
                || self.state == TaskState::Cancelled
                    && self.steps.iter().all(|s| s.state != StepState::Cancelled))
    }

    fn sinks_are_done(&self) -> bool {
        let is_sink = |n: usize| self.workflow.children(n).next().is_none();
        self.steps.iter().enumerate().all(|(n, s)| !is_sink(n) || s.state.is_done())
    }
}

impl Store {
    /// Adds the changes and settles; entries of one task are added up. Returns the tasks whose state changed.
    pub(super) fn adjust(&mut self, deltas: &[(usize, i32)], now: Millis) -> Vec<(usize, TaskState)> {
        let mut by_task = BTreeMap::<usize, i32>::new();
        for (task, delta) in deltas {
            *by_task.entry(*task).or_default() += delta;
        }
        by_task.into_iter().filter_map(|(task, delta)| self.adjust_one(task, delta, now)).collect()
    }

    fn adjust_one(&mut self, place: usize, delta: i32, now: Millis) -> Option<(usize, TaskState)> {
        let task = &mut self.tasks[place];
        let (before, live) = (task.state, task.live + delta);
        task.live = live;
        if task.reopens(live) {
            self.task_goes(place, TaskState::Pending, now);
        }
        let task = &self.tasks[place];
        let over = live <= 0 || self.has(Bug::FinalizerCountsSinks) && task.sinks_are_done();
        if over && task.state.is_open() {
            let to = settle(task.steps.iter().map(|s| s.state));
            self.task_goes(place, to, now);
        }
        let after = self.tasks[place].state;
        (after != before).then_some((place, after))
    }

    /// Changes a task's state and logs it.
    pub(super) fn task_goes(&mut self, place: usize, to: TaskState, now: Millis) {
        let task = &mut self.tasks[place];
        let from = std::mem::replace(&mut task.state, to);
        task.seq += 1;
        self.log.push(Logged::Task { task: place, at: now, seq: task.seq, from, to });
    }
}
