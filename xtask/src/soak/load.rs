//! The load: what the worker can at most, a steady share of it, and retention beside it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use diesel::PgConnection;
use tasker_engine::{
    db::connect,
    definition::WorkflowDefinition,
    retention::{Pruning, RetentionPolicy},
};

use crate::battery::{effects, number};

/// Tasks that are open while the peak is measured, and for how long it is.
const OPEN: i64 = 600;
const WARM_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(15);

/// The time between two submissions of the steady load.
const TICK: Duration = Duration::from_millis(50);

/// The time between two looks for tasks to prune.
const PRUNE_EVERY: Duration = Duration::from_secs(5);

const OPEN_TASKS: &str = "select count(*) from tasker.tasks where finished_at is null";

/// Submits tasks of four steps that do nothing.
pub(super) struct Feeder {
    conn: PgConnection,
    workflow: WorkflowDefinition,
    pub(super) submitted: usize,
    /// When the steady load began, and what had been submitted by then.
    began: (Instant, usize),
}

impl Feeder {
    pub(super) fn new(conn: PgConnection) -> Self {
        Self { conn, workflow: effects::idle(), submitted: 0, began: (Instant::now(), 0) }
    }

    fn submit(&mut self, tasks: usize) -> Result<()> {
        effects::submit_empty(&mut self.conn, &self.workflow, tasks)?;
        self.submitted += tasks;
        Ok(())
    }

    fn open(&mut self) -> Result<i64> {
        number(&mut self.conn, OPEN_TASKS)
    }

    /// Tasks a second while so many are open as the worker likes.
    pub(super) fn peak(&mut self) -> Result<f64> {
        let (started, mut first) = (Instant::now(), None);
        loop {
            let open = self.open()?;
            let settled = self.submitted as f64 - open as f64;
            let (at, from) = match first {
                None if started.elapsed() >= WARM_UP => *first.insert((Instant::now(), settled)),
                first => first.unwrap_or((started, 0.0)),
            };
            if first.is_some() && at.elapsed() >= MEASURED {
                self.drain(Duration::from_secs(60))?;
                return Ok((settled - from) / at.elapsed().as_secs_f64());
            }
            self.submit(usize::try_from(OPEN - open).unwrap_or(0))?;
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// From now on, [`keep`](Self::keep) counts.
    pub(super) fn begin(&mut self) {
        self.began = (Instant::now(), self.submitted);
    }

    /// Submits what is due at so many tasks a second, and rests for a moment.
    pub(super) fn keep(&mut self, rate: f64) -> Result<()> {
        let (began, before) = self.began;
        let due = before + (began.elapsed().as_secs_f64() * rate) as usize;
        self.submit(due.saturating_sub(self.submitted))?;
        thread::sleep(TICK);
        Ok(())
    }

    /// Waits until nothing is open, or no longer than that.
    pub(super) fn drain(&mut self, longest: Duration) -> Result<()> {
        let started = Instant::now();
        while self.open()? > 0 && started.elapsed() < longest {
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// Deletes tasks so many seconds after their end, until the end. Returns how many.
pub(super) fn prune(url: &str, keep: u32, end: &AtomicBool) -> Result<u64> {
    let (mut conn, mut pruned) = (connect(url)?, 0);
    while !end.load(Ordering::Relaxed) {
        let before = Utc::now() - TimeDelta::seconds(keep.into());
        let mut pruning = Pruning::new(RetentionPolicy::before(before));
        while pruning.next(&mut conn)?.is_some() {}
        pruned += pruning.total().tasks;
        let rested = Instant::now();
        while rested.elapsed() < PRUNE_EVERY && !end.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(pruned)
}
