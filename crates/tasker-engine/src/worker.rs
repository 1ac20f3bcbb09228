//! The executor: one process that claims steps in batches, runs them concurrently and reports in batches.
//!
//! Three loops share an incarnation: *claim* takes as many steps as there are free slots, *report* commits
//! what has ended since its last commit, *renew* keeps the lease and learns of lost claims. An incarnation
//! whose lease ran out never renews: its handlers are told to stop and the process registers anew.

mod incarnation;
mod reporter;

use std::time::Duration;

use tasker_model::WorkerId;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    commands,
    db::{Db, DbError},
    event::{Event, EventSink},
    handler::HandlerRegistry,
    runner::Runner,
};

use incarnation::{End, Incarnation};

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
    /// The longest such pause. Default 500 ms.
    pub poll_max: Duration,
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
            poll_max: Duration::from_millis(500),
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

/// Claims, runs and reports until it is told to stop.
#[derive(Debug, Clone)]
pub struct Worker {
    runner: Runner,
    options: WorkerOptions,
}

impl Worker {
    /// A worker for the handlers of the registry.
    pub fn new(db: Db, registry: HandlerRegistry, options: WorkerOptions) -> Self {
        Self { runner: Runner::new(db, registry, options.clock.clone()), options }
    }

    /// Works until `shutdown` is cancelled (or, with `until_idle`, until there is nothing left), then drains
    /// and gives back what has not ended. Database trouble is waited out and logged; an error is returned
    /// only where waiting cannot help.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<WorkerReport, DbError> {
        let mut total = WorkerReport::default();
        loop {
            let Some(worker_id) = self.register(&shutdown).await? else { return Ok(total) };
            total.incarnations += 1;
            self.options.events.emit(&Event::WorkerStarted { worker_id });
            tracing::info!(worker = %worker_id, name = self.options.name, "worker started");
            match Incarnation::new(self, worker_id).run(&shutdown, &mut total).await? {
                End::Stopped => return Ok(total),
                End::Expired => {
                    tracing::warn!(worker = %worker_id, "the lease ran out; registering anew");
                    self.options.events.emit(&Event::WorkerExpired { worker_id });
                }
            }
        }
    }

    /// Registers an incarnation; `None` if the shutdown comes first.
    async fn register(&self, shutdown: &CancellationToken) -> Result<Option<WorkerId>, DbError> {
        let handlers = self.runner.registry().names();
        let lease_ms = i32::try_from(self.options.lease.as_millis().max(100)).unwrap_or(i32::MAX);
        let mut wait = self.runner.db.patience("registering");
        loop {
            let (name, namespaces, handlers) =
                (self.options.name.clone(), self.options.namespaces.clone(), handlers.clone());
            let now = self.runner.clock.now();
            let registered = self.runner.db.query(move |conn| {
                commands::register(conn, &name, namespaces.as_deref(), &handlers, lease_ms, now)
            });
            match registered.await {
                Ok((id, _)) => return Ok(Some(id)),
                Err(e) if e.is_transient() => wait.after(&e, shutdown).await,
                Err(e) => return Err(e),
            }
            if shutdown.is_cancelled() {
                return Ok(None);
            }
        }
    }
}
