//! A worker in this process, and the two ways to load it: everything at once, or one task at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tasker_engine::{
    db::Db,
    definition::WorkflowDefinition,
    event::{Event, EventSink},
    handler::{HandlerRegistry, StepContext},
    identity::Identity,
    submit::{TaskRequest, submit},
    worker::{Worker, WorkerOptions},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::shapes::{NOTHING, WEIGHTY};
use crate::bench::server::Database;

/// How many tasks one submitting transaction creates in the bulk workloads.
pub(super) const CHUNK: usize = 1_000;

/// The handlers of the benchmark.
pub(super) fn registry() -> HandlerRegistry {
    let mut registry = HandlerRegistry::new();
    registry.register(NOTHING, |_: StepContext| async { Ok(Value::Null) });
    let weight: Arc<str> = "x".repeat(16 * 1024).into();
    registry.register(WEIGHTY, move |_: StepContext| {
        let weight = weight.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(json!({ "weight": &*weight }))
        }
    });
    registry
}

/// A worker, and what counts the tasks that it settles.
pub(super) struct Running {
    worker: Worker,
    settled: Arc<AtomicUsize>,
    changed: Arc<Notify>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(super) fn start(url: &str, in_flight: usize) -> Result<Self> {
        let (settled, changed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, notify) = (settled.clone(), changed.clone());
        let events = EventSink::new(move |event| {
            if matches!(event, Event::TaskSettled { .. }) {
                count.fetch_add(1, Ordering::Relaxed);
                notify.notify_one();
            }
        });
        let options = WorkerOptions { max_in_flight: in_flight, events, ..WorkerOptions::default() };
        let worker = Worker::new(Db::connect(url, 6)?, registry(), options);
        let stop = CancellationToken::new();
        let (stopped, runs) = (stop.clone(), worker.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = runs.run(stopped).await {
                eprintln!("the worker ended: {error}");
            }
        });
        Ok(Self { worker, settled, changed, stop, task })
    }

    pub(super) async fn until(&self, tasks: usize) {
        while self.settled.load(Ordering::Relaxed) < tasks {
            self.changed.notified().await;
        }
    }

    pub(super) fn settled(&self) -> usize {
        self.settled.load(Ordering::Relaxed)
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        let _ended = self.task.await;
    }
}

/// Submits tasks in transactions of [`CHUNK`]; seconds that it took.
pub(super) fn submit_all(database: &Database, shape: &WorkflowDefinition, tasks: usize) -> Result<f64> {
    let mut conn = database.connect()?;
    let requests = vec![TaskRequest::new(json!({})); tasks.min(CHUNK)];
    let (started, mut left) = (Instant::now(), tasks);
    while left > 0 {
        let now = left.min(CHUNK);
        submit(&mut conn, shape, &requests[..now], &Identity::Random, None)?;
        left -= now;
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Submits to an idle worker and waits for the last task: seconds from the first submit to then.
pub(super) async fn bulk(
    database: &Arc<Database>,
    shape: &WorkflowDefinition,
    tasks: usize,
    in_flight: usize,
) -> Result<f64> {
    let running = Running::start(database.url(), in_flight)?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (database, shape) = (database.clone(), shape.clone());
    let started = Instant::now();
    let submitting = tokio::task::spawn_blocking(move || submit_all(&database, &shape, tasks));
    running.until(tasks).await;
    let took = started.elapsed().as_secs_f64();
    submitting.await.context("submitting panicked")??;
    running.end().await;
    Ok(took)
}

/// Who submits a task whose latency is taken.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Submitter {
    /// Somebody on a connection of their own; the worker hears of it by a notification.
    Anybody,
    /// The process of the worker, through it.
    Worker,
}

/// Milliseconds of tasks that are submitted one at a time to an idle worker, sorted: from before the
/// submission to the moment at which the worker knows that the end is committed.
pub(super) async fn latencies(
    database: &Database,
    shape: &WorkflowDefinition,
    submitter: Submitter,
    count: usize,
) -> Result<Vec<f64>> {
    const WARM: usize = 10;
    let running = Running::start(database.url(), 200)?;
    let mut conn = database.connect()?;
    let request = [TaskRequest::new(json!({}))];
    let mut taken = vec![];
    for n in 1..=count + WARM {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let started = Instant::now();
        match submitter {
            Submitter::Anybody => submit(&mut conn, shape, &request, &Identity::Random, None)?,
            Submitter::Worker => running.worker.submit(shape, &request, &Identity::Random).await?,
        };
        running.until(n).await;
        taken.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    running.end().await;
    let mut warm = taken.split_off(WARM);
    warm.sort_by(f64::total_cmp);
    Ok(warm)
}
