//! Which of the submitted tasks are still open, as people see it on a progress bar.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tasker_engine::{db::Db, event::Event};
use tasker_model::TaskId;
use tokio::sync::Notify;

use crate::{exit::Outcome, queries, time::span};

/// What ends sooner needs no progress bar.
const BLINK: Duration = Duration::from_millis(400);
/// How often the database is asked while no event comes: another worker may settle our tasks.
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Watch {
    open: Mutex<HashSet<TaskId>>,
    settled: Notify,
    failed_attempts: AtomicU64,
    bar: ProgressBar,
    started: Instant,
}

impl Watch {
    pub(super) fn new(ids: &[TaskId]) -> Self {
        let bar = ProgressBar::with_draw_target(Some(ids.len() as u64), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} tasks  {elapsed}  {msg}") {
            bar.set_style(style);
        }
        Self {
            open: Mutex::new(ids.iter().copied().collect()),
            settled: Notify::new(),
            failed_attempts: AtomicU64::new(0),
            bar,
            started: Instant::now(),
        }
    }

    /// Called by the worker with each event.
    pub(super) fn on(&self, event: &Event) {
        if let Event::TaskSettled { task_id, .. } = event {
            self.settle(&[*task_id]);
        }
        if let Event::StepFailed { task_id, step_name, retry_in, .. } = event
            && self.open().contains(task_id)
        {
            let failed = self.failed_attempts.fetch_add(1, Ordering::Relaxed) + 1;
            let next = retry_in.map(|wait| format!(", next in {}", span(wait))).unwrap_or_default();
            self.bar.set_message(format!("{failed} failed attempts, last of {step_name}{next}"));
        }
    }

    fn settle(&self, tasks: &[TaskId]) {
        let mut open = self.open();
        let settled = tasks.iter().filter(|task| open.remove(task)).count();
        self.bar.inc(settled as u64);
        if open.is_empty() {
            self.settled.notify_one();
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.open().is_empty()
    }

    /// Returns when every task has settled.
    pub(super) async fn wait(&self, db: &Db) -> Outcome<()> {
        let mut before = usize::MAX;
        // What existed already may have settled long ago.
        self.look(db).await?;
        loop {
            let left = self.open().len();
            if left == 0 {
                return Ok(());
            }
            self.show();
            let pause = if self.started.elapsed() < BLINK { BLINK } else { POLL };
            let quiet = tokio::time::timeout(pause, self.settled.notified()).await.is_err();
            if quiet && left == before {
                self.look(db).await?;
            }
            before = left;
        }
    }

    /// Asks the database which of the open tasks have settled; trouble that may pass is waited out.
    async fn look(&self, db: &Db) -> Outcome<()> {
        let ids: Vec<TaskId> = self.open().iter().copied().collect();
        match db.query(move |conn| queries::states(conn, &ids)).await {
            Ok(states) => {
                let settled = states.iter().filter(|(_, state)| !state.is_open()).map(|(id, _)| *id);
                self.settle(&settled.collect::<Vec<_>>());
                Ok(())
            }
            Err(e) if e.is_transient() => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn show(&self) {
        if self.bar.is_hidden() && self.started.elapsed() >= BLINK {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    /// Takes the bar away again.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn open(&self) -> MutexGuard<'_, HashSet<TaskId>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
