//! The load: tasks come at a steady rate, whatever the database says. A submission that failed is repeated
//! with the same identities, so that none is lost and none comes twice, whether its answer was lost or it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use diesel::PgConnection;
use serde_json::json;
use tasker_engine::{
    db::connect,
    identity::Identity,
    submit::{SubmitError, TaskRequest, submit},
};

use crate::battery::effects;

/// How often the submitter looks at the clock.
const TICK: Duration = Duration::from_millis(50);

pub(super) struct Load {
    submitted: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Load {
    /// Begins to submit `tasks` tasks at `rate` a second.
    pub(super) fn start(url: &str, tasks: u32, rate: u32) -> Self {
        let (submitted, stop) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
        let submitter =
            Submitter { url: url.into(), submitted: submitted.clone(), stop: stop.clone(), conn: None };
        let thread = Some(thread::spawn(move || submitter.run(tasks, rate)));
        Self { submitted, stop, thread }
    }

    /// Acknowledged so far.
    pub(super) fn submitted(&self) -> u32 {
        self.submitted.load(Ordering::Relaxed)
    }

    /// Ends when everything is submitted.
    pub(super) fn finish(mut self) -> Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => bail!("the submitter panicked"),
            Some(Ok(result)) => result,
            None => Ok(()),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Submitter {
    url: String,
    submitted: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    conn: Option<PgConnection>,
}

impl Submitter {
    fn run(mut self, tasks: u32, rate: u32) -> Result<()> {
        let (start, mut done) = (Instant::now(), 0);
        while done < tasks && !self.stop.load(Ordering::Relaxed) {
            let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u32;
            let next = due.min(tasks).min(done + 100);
            if next > done && self.submit(done, next)? {
                done = next;
                self.submitted.store(done, Ordering::Relaxed);
            } else {
                thread::sleep(TICK);
            }
        }
        Ok(())
    }

    /// Whether these tasks are there now.
    fn submit(&mut self, from: u32, to: u32) -> Result<bool> {
        if self.conn.is_none() {
            self.conn = connect(&self.url).ok();
        }
        let Some(conn) = &mut self.conn else { return Ok(false) };
        for (i, workflow) in effects::workflows().iter().enumerate() {
            let requests: Vec<_> = (from..to)
                .filter(|n| *n as usize % 2 == i)
                .map(|n| TaskRequest::new(json!({"work_ms": [1, 10], "number": n})))
                .collect();
            match submit(conn, workflow, &requests, &Identity::Hash, None) {
                Ok(_) => {}
                Err(SubmitError::Database(e)) if tasker_engine::db::is_transient(&e) => {
                    self.conn = None;
                    return Ok(false);
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }
}
