//! One incarnation of a worker: its lease, its running steps, and the loop that claims more.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tasker_model::{StepId, WorkerId};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Worker, WorkerReport,
    reporter::{Ended, Reporter, settled},
};
use crate::{
    commands::{self, Claim, ClaimedStep},
    db::DbError,
    event::Event,
    report::Report,
    runner::{Look, RunEnd},
};

/// How an incarnation ended.
pub(super) enum End {
    /// It was asked to, or there was nothing left.
    Stopped,
    /// Its lease ran out.
    Expired,
}

/// The steps that run now, by id.
type Running = Arc<Mutex<HashMap<StepId, (Claim, CancellationToken)>>>;

#[derive(Clone)]
pub(super) struct Incarnation {
    worker: Worker,
    worker_id: WorkerId,
    running: Running,
    slots: Arc<Semaphore>,
    wake: Arc<Notify>,
    /// Cancelled when the lease is lost: nothing that runs may report any more.
    expired: CancellationToken,
    /// Transactional attempts that committed their own report, and those whose claim was gone.
    committed: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl Incarnation {
    pub(super) fn new(worker: &Worker, worker_id: WorkerId) -> Self {
        Self {
            worker: worker.clone(),
            worker_id,
            running: Running::default(),
            slots: Arc::new(Semaphore::new(worker.options.max_in_flight.max(1))),
            wake: Arc::new(Notify::new()),
            expired: CancellationToken::new(),
            committed: Arc::default(),
            lost: Arc::default(),
        }
    }

    /// Works until the shutdown or the end of the lease.
    pub(super) async fn run(
        self,
        shutdown: &CancellationToken,
        total: &mut WorkerReport,
    ) -> Result<End, DbError> {
        let (sender, receiver) = mpsc::channel(self.worker.options.max_in_flight.max(1));
        let reporter = Reporter {
            db: self.worker.runner.db.clone(),
            clock: self.worker.runner.clock.clone(),
            events: self.worker.options.events.clone(),
            wake: self.wake.clone(),
            totals: WorkerReport::default(),
        };
        let reporting = tokio::spawn(reporter.run(receiver, self.expired.clone()));
        let renewing = tokio::spawn(self.clone().renew());
        let mut steps = JoinSet::new();
        let claimed = self.claim_loop(shutdown, &sender, &mut steps).await;
        drop(sender);
        self.drain(&mut steps).await;
        let reported = reporting.await.map_err(|_| DbError::Panicked)?;
        renewing.abort();
        let totals = reported?;
        total.completed += totals.completed + self.committed.load(Ordering::Relaxed);
        total.failed += totals.failed;
        total.released += totals.released;
        total.lease_lost += totals.lease_lost + self.lost.load(Ordering::Relaxed);
        claimed?;
        if self.expired.is_cancelled() {
            return Ok(if shutdown.is_cancelled() { End::Stopped } else { End::Expired });
        }
        self.sign_off().await;
        Ok(End::Stopped)
    }

    async fn claim_loop(
        &self,
        shutdown: &CancellationToken,
        ended: &mpsc::Sender<Ended>,
        steps: &mut JoinSet<()>,
    ) -> Result<(), DbError> {
        let options = &self.worker.options;
        let (mut pause, mut patience) = (options.poll_min, self.worker.runner.db.patience("claiming"));
        // Without a reporter, of which the error is told at the end, nothing that is claimed could end.
        while !shutdown.is_cancelled() && !self.expired.is_cancelled() && !ended.is_closed() {
            while steps.try_join_next().is_some() {}
            let free = self.slots.available_permits();
            if free == 0 {
                self.rest(options.poll_max, shutdown).await;
                continue;
            }
            let look = match self.look(free).await {
                Ok(look) => look,
                Err(e) if e.is_transient() => {
                    patience.after(&e, shutdown).await;
                    continue;
                }
                Err(e) => return Err(e),
            };
            patience.reset();
            if look.steps.is_empty() {
                if options.until_idle
                    && look.due_in.is_none()
                    && self.is_idle()
                    && self.nothing_left().await?
                {
                    return Ok(());
                }
                // What is due already but was not claimed is being claimed by somebody else: no hurry.
                let due_in = look.due_in.filter(|due| !due.is_zero());
                self.rest(due_in.map_or(pause, |due| due.min(pause).max(Duration::from_millis(1))), shutdown)
                    .await;
                pause = (pause * 2).min(options.poll_max);
                continue;
            }
            pause = options.poll_min;
            self.start(look, ended, steps).await;
        }
        Ok(())
    }

    /// Sleeps until woken, until the time is up or until the end. A wake-up that came before is not lost.
    async fn rest(&self, time: Duration, shutdown: &CancellationToken) {
        tokio::select! {
            () = self.wake.notified() => {}
            () = tokio::time::sleep(time) => {}
            () = shutdown.cancelled() => {}
            () = self.expired.cancelled() => {}
        }
    }

    fn is_idle(&self) -> bool {
        self.slots.available_permits() == self.worker.options.max_in_flight.max(1)
    }

    /// Whether no step of this worker's queues is in progress anywhere: somebody else's may come back.
    /// Where the database does not say for now, it is asked again.
    async fn nothing_left(&self) -> Result<bool, DbError> {
        let worker_id = self.worker_id;
        match self.worker.runner.db.query(move |conn| commands::is_drained(conn, worker_id)).await {
            Err(e) if e.is_transient() => Ok(false),
            answer => answer,
        }
    }

    async fn look(&self, free: usize) -> Result<Look, DbError> {
        let (runner, worker_id) = (self.worker.runner.clone(), self.worker_id);
        let limit = i32::try_from(free).unwrap_or(i32::MAX);
        self.worker.runner.db.query(move |conn| runner.look(conn, worker_id, limit)).await
    }

    async fn start(&self, mut look: Look, ended: &mpsc::Sender<Ended>, steps: &mut JoinSet<()>) {
        for step in look.steps {
            let results = look.ancestors.remove(&step.step_id).unwrap_or_else(|| step.parent_results.clone());
            let Ok(slot) = self.slots.clone().acquire_owned().await else { return };
            let (incarnation, ended) = (self.clone(), ended.clone());
            self.worker.options.events.emit(&Event::StepClaimed {
                task_id: step.task_id,
                step_id: step.step_id,
                step_name: step.step_name.clone(),
                attempt: step.attempt,
            });
            steps.spawn(async move {
                let report = incarnation.attempt(&step, results).await;
                // The slot is free before the report is queued: a full queue must not keep a slot.
                drop(slot);
                incarnation.wake.notify_one();
                if let Some(report) = report {
                    let _closed =
                        ended.send(Ended { report, step_name: step.step_name, attempt: step.attempt }).await;
                }
            });
        }
    }

    /// Runs one attempt; `None` where there is nothing to report.
    async fn attempt(&self, step: &ClaimedStep, results: Value) -> Option<Report> {
        let cancellation = self.expired.child_token();
        self.lock().insert(step.step_id, (step.claim(), cancellation.clone()));
        let ended = self.worker.runner.attempt(step, results, cancellation).await;
        let mut running = self.lock();
        // After a retry this incarnation may have claimed the step once more: that claim stays known.
        if running.get(&step.step_id).is_some_and(|(claim, _)| *claim == step.claim()) {
            running.remove(&step.step_id);
        }
        drop(running);
        self.conclude(step, ended)
    }

    /// Tells of what is durable already; the rest is to be reported.
    fn conclude(&self, step: &ClaimedStep, ended: RunEnd) -> Option<Report> {
        let events = &self.worker.options.events;
        let (task_id, step_id) = (step.task_id, step.step_id);
        match ended {
            RunEnd::Report(report) => return Some(report),
            RunEnd::Committed(changes) => {
                self.committed.fetch_add(1, Ordering::Relaxed);
                events.emit(&Event::StepCompleted { task_id, step_id, step_name: step.step_name.clone() });
                settled(events, &changes);
            }
            RunEnd::LeaseLost => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                events.emit(&Event::LeaseLost { task_id, step_id });
            }
        }
        None
    }

    /// Lets running steps end for the drain time, then tells them to stop; they are given back.
    async fn drain(&self, steps: &mut JoinSet<()>) {
        let all = async { while steps.join_next().await.is_some() {} };
        if tokio::time::timeout(self.worker.options.drain, all).await.is_err() {
            for (_, token) in self.lock().values() {
                token.cancel();
            }
            while steps.join_next().await.is_some() {}
        }
    }

    async fn sign_off(&self) {
        let (worker_id, now) = (self.worker_id, self.worker.runner.clock.now());
        if let Err(error) =
            self.worker.runner.db.query(move |conn| commands::end_worker(conn, worker_id, now)).await
        {
            tracing::warn!(%error, "the worker could not sign off; its lease will run out");
        }
    }

    /// Renews the lease three times in its length, and tells handlers whose claim is gone to stop.
    async fn renew(self) {
        let lease = self.worker.options.lease;
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(lease / 3).await;
            let asked = Instant::now();
            match self.renew_once().await {
                Ok(true) => renewed = asked,
                Ok(false) => return self.expired.cancel(),
                Err(error) if renewed.elapsed() >= lease => {
                    tracing::warn!(%error, "the lease could not be renewed in time");
                    return self.expired.cancel();
                }
                Err(error) => tracing::debug!(%error, "the lease could not be renewed yet"),
            }
        }
    }

    async fn renew_once(&self) -> Result<bool, DbError> {
        let claims: Vec<Claim> = self.lock().values().map(|(claim, _)| *claim).collect();
        let (worker_id, now) = (self.worker_id, self.worker.runner.clock.now());
        let (lease, lost) = self
            .worker
            .runner
            .db
            .query(move |conn| Ok((commands::renew(conn, worker_id, now)?, commands::lost(conn, &claims)?)))
            .await?;
        let running = self.lock();
        for (_, token) in lost.iter().filter_map(|step| running.get(step)) {
            token.cancel();
        }
        Ok(lease.is_some())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<StepId, (Claim, CancellationToken)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
