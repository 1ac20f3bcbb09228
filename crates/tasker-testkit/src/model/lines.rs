//! A store as lines of text, so that a difference can be read.

use std::fmt;

use super::{At, Logged, Millis, Step, Store};

/// A number, or a dash for none.
fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.step)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seq={} attempts={}/{} generation={} parents={} available={} held={} paused={} worker={} kind={} priority={}",
            self.state,
            self.seq,
            self.attempts,
            self.retry_limit,
            self.generation,
            self.pending_parents,
            or_dash(self.available_at),
            self.held,
            self.paused,
            or_dash(self.worker),
            or_dash(self.kind),
            self.priority
        )
    }
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task { task, at, seq, from, to } => {
                write!(f, "log task {task} #{seq} at {at}: {from} -> {to}")
            }
            Self::Step { step, at, from, row, worker, by_operator } => write!(
                f,
                "log step {step} #{} at {at}: {from} -> {} attempt={}/{} generation={} available={} worker={} kind={} operator={by_operator}",
                row.seq,
                row.state,
                row.attempts,
                row.retry_limit,
                row.generation,
                or_dash(row.available_at),
                or_dash(*worker),
                or_dash(row.kind.filter(|_| row.state == tasker_model::StepState::Error)),
            ),
        }
    }
}

impl Store {
    /// The rows of the tasks from this one on, and of all workers, a line each.
    pub fn lines(&self, first: usize) -> Vec<String> {
        let mut lines = vec![];
        for (n, task) in self.tasks.iter().enumerate().skip(first) {
            lines.push(format!("task {n}: {} seq={} live={}", task.state, task.seq, task.live));
            let step = |(s, row): (usize, &Step)| format!("step {n}.{s}: {row}");
            lines.extend(task.steps.iter().enumerate().map(step));
        }
        for (n, w) in self.workers.iter().enumerate() {
            let until: Millis = w.lease_until;
            lines.push(format!("worker {n}: until={until} ended={} reaped={}", w.ended, w.reaped));
        }
        lines
    }
}
