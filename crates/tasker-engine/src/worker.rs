//! The executor: one process that claims steps in batches, runs them concurrently and reports in batches.
//!
//! An incarnation does what its [`core`] decides: a *turn* reports what has ended since the last one, goes on
//! with the children and claims as many steps as there are free slots, in one round trip; a *renewal* keeps
//! the lease and learns of lost claims. An incarnation whose lease ran out never renews: its handlers are
//! told to stop and the process registers anew.

pub mod core;
mod heads;
mod incarnation;
mod intake;
mod listen;
mod telling;
mod turn;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tasker_model::WorkerId;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    commands,
    db::{Db, DbError},
    definition::WorkflowDefinition,
    event::{Event, EventSink},
    handler::HandlerRegistry,
    identity::Identity,
    runner::Runner,
    submit::{self, SubmitError, Submitted, TaskRequest},
};

use self::core::End;
use incarnation::Incarnation;
use intake::Intake;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// For people; host and process are a good choice.
    pub name: String,
    /// The namespaces to serve; `None` serves all.
    pub namespaces: Option<Vec<String>>,
    /// For how long a lease holds without renewal; it is renewed three times as often. Default 30 s, at
    /// least 100 ms. A dead worker's steps run again after it and one poll.
    pub lease: Duration,
    /// How many steps run at once. Default 64.
    pub max_in_flight: usize,
    /// The shortest pause between two looks that found nothing. Default 10 ms; it doubles up to `poll_max`.
    pub poll_min: Duration,
    /// The longest such pause while no notifications arrive. Default 1 s.
    pub poll_max: Duration,
    /// The longest such pause while notifications arrive: how late a worker may be whose notification was
    /// lost. Default 30 s, and never below `poll_max`.
    pub poll_notified: Duration,
    /// Whether to listen for notifications of new work, on one more connection. Default true; without the
    /// feature `notify` none arrive.
    pub notifications: bool,
    /// How long running steps may take to end once the worker is asked to stop; then they are told to stop
    /// and given back. Default 30 s.
    pub drain: Duration,
    /// Ends the worker as soon as nothing is running and nothing is or will become claimable. Default false.
    pub until_idle: bool,
    /// Where time comes from.
    pub clock: Clock,
    /// Who listens.
    pub events: EventSink,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: format!("process {}", std::process::id()),
            namespaces: None,
            lease: Duration::from_secs(30),
            max_in_flight: 64,
            poll_min: Duration::from_millis(10),
            poll_max: Duration::from_secs(1),
            poll_notified: Duration::from_secs(30),
            notifications: true,
            drain: Duration::from_secs(30),
            until_idle: false,
            clock: Clock::database(),
            events: EventSink::default(),
        }
    }
}

/// What a worker did in its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerReport {
    /// Attempts that succeeded.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Steps given back unrun.
    pub released: u64,
    /// Reports that were refused because the claim was no longer held.
    pub lease_lost: u64,
    /// Incarnations, one unless leases ran out.
    pub incarnations: u64,
}

/// Of more requests than that the worker claims nothing in the commit that creates them: it would wait for it.
const ALONG: usize = 8;

/// Claims, runs and reports until it is told to stop. Clones are one worker: run one of them.
#[derive(Debug, Clone)]
pub struct Worker {
    runner: Runner,
    options: WorkerOptions,
    intake: Intake,
}

impl Worker {
    /// A worker for the handlers of the registry.
    pub fn new(db: Db, registry: HandlerRegistry, options: WorkerOptions) -> Self {
        Self { runner: Runner::new(db, registry, options.clock.clone()), options, intake: Intake::default() }
    }

    /// Submits tasks like [`submit`](submit::submit), in a transaction of its own on a connection of the worker's.
    ///
    /// Where the worker runs, has places free and no turn under way, the same statement and commit claim for it, so
    /// that the first steps begin without a notification. Else, and for more than eight requests, it is an ordinary
    /// submission, and so it is in a process whose worker does not run.
    ///
    /// Returns one answer a request, in order. An error means that nothing was written, except where the answer was
    /// lost; a submission whose future is dropped may have been written too. With an identity that is not random, the
    /// same requests may then be sent again. SQL functions `tasker.submit_and_exchange` and `tasker.submit_tasks`.
    pub async fn submit(
        &self,
        definition: &WorkflowDefinition,
        requests: &[TaskRequest],
        identity: &Identity,
    ) -> Result<Vec<Submitted>, SubmitError> {
        let tasks = Arc::new(submit::check(definition, requests, identity)?);
        if requests.len() <= ALONG
            && let Some(answer) = self.intake.offer(tasks.clone()).await
        {
            return answer;
        }
        let now = self.runner.clock.now();
        Ok(self.runner.db.query(move |conn| submit::write(conn, &tasks, now)).await?)
    }

    /// Works until `shutdown` is cancelled (or, with `until_idle`, until there is nothing left), then drains
    /// and gives back what has not ended. Database trouble is waited out and logged; an error is returned
    /// only where waiting cannot help.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<WorkerReport, DbError> {
        let mut total = WorkerReport::default();
        loop {
            let Some((worker_id, started)) = self.register(&shutdown).await? else { return Ok(total) };
            total.incarnations += 1;
            self.options.events.emit(&Event::WorkerStarted { worker_id });
            tracing::info!(worker = %worker_id, name = self.options.name, "worker started");
            match Incarnation::new(self, worker_id, started).run(&shutdown, &mut total).await? {
                End::Stopped => return Ok(total),
                End::Expired => {
                    tracing::warn!(worker = %worker_id, "the lease ran out; registering anew");
                    self.options.events.emit(&Event::WorkerExpired { worker_id });
                }
            }
        }
    }

    /// Registers an incarnation. Returns it and an instant before the beginning of its lease; `None` if the
    /// shutdown comes first.
    async fn register(&self, shutdown: &CancellationToken) -> Result<Option<(WorkerId, Instant)>, DbError> {
        let handlers = self.runner.registry().names();
        let lease_ms = i32::try_from(self.options.lease.as_millis().max(100)).unwrap_or(i32::MAX);
        let mut wait = self.runner.db.patience("registering");
        loop {
            let (name, namespaces, handlers) =
                (self.options.name.clone(), self.options.namespaces.clone(), handlers.clone());
            let (now, started) = (self.runner.clock.now(), Instant::now());
            let registered = self.runner.db.query(move |conn| {
                commands::register(conn, &name, namespaces.as_deref(), &handlers, lease_ms, now)
            });
            match registered.await {
                Ok((id, _)) => return Ok(Some((id, started))),
                Err(e) if e.is_transient() => wait.after(&e, shutdown).await,
                Err(e) => return Err(e),
            }
            if shutdown.is_cancelled() {
                return Ok(None);
            }
        }
    }
}
