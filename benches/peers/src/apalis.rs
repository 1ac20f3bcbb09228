//! apalis on PostgreSQL: its stepped flow, and its graph flow for the fan.

use std::time::Duration;

use ::apalis::{
    layers::WorkerBuilderExt,
    prelude::{BackendExt, BoxDynError, TaskSink, WorkerBuilder},
};
use anyhow::{Result, anyhow};
use apalis_postgres::{Config, PgPool, PostgresStorage};
use apalis_workflow::{GraphFlow, SteppedFlow};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    observe::Observer,
    workload::{Peer, Tally, WIDTH, Workload, measure},
};

const BATCH: usize = 100;
const QUEUE: &str = "peers";
const DONE: &str = "select count(*) from apalis.jobs where status = 'Done'";
const ALL: &str = "select count(*) from apalis.jobs";

struct Apalis {
    storage: PostgresStorage<u64>,
    tally: Tally,
    /// How many rows one workflow leaves.
    rows: usize,
}

pub async fn run(url: &str, workload: Workload, tasks: usize) -> Result<Value> {
    let pool = PgPool::connect(url).await?;
    PostgresStorage::setup(&pool).await?;
    let tally = Tally::new(workload);
    let worker = work(&pool, workload, &tally);
    let mut observer = Observer::connect(url).await?;
    let mut peer = Apalis { storage: storage(&pool), tally: tally.clone(), rows: rows(workload) };
    let measured = measure(&mut peer, workload, tasks, &tally, &mut observer).await;
    worker.abort();
    let mut figures = measured?;
    figures["settings"] = settings(workload);
    Ok(figures)
}

fn settings(workload: Workload) -> Value {
    json!({
        "batch_size": BATCH, "concurrency": concurrency(workload), "wake": "pubsub",
        "poll_ms": poll(workload).as_millis() as u64
    })
}

/// A step of a flow is a row; a graph enqueues its last step once for each that it waits for.
fn rows(workload: Workload) -> usize {
    match workload {
        Workload::W3 => 1 + WIDTH + WIDTH,
        _ => workload.steps(1).len(),
    }
}

/// Many steps at once for throughput; a fan is slower with more than a few.
fn concurrency(workload: Workload) -> usize {
    if workload == Workload::W1 { 64 } else { 16 }
}

/// How often the worker looks without being woken. Nothing wakes it when the steps that a fan's last one waits for
/// have ended, and it writes down their ends only when it looks.
fn poll(workload: Workload) -> Duration {
    Duration::from_millis(if workload == Workload::W3 { 2 } else { 1_000 })
}

fn storage<Args>(pool: &PgPool) -> PostgresStorage<Args> {
    PostgresStorage::new(pool).with_config(Config::default().queue(QUEUE).batch_size(BATCH))
}

/// Starts the worker of the workload.
fn work(pool: &PgPool, workload: Workload, tally: &Tally) -> JoinHandle<()> {
    // Not a function: a flow's type says all of its steps, and a graph reads its tasks undecoded.
    macro_rules! start {
        ($flow:expr, $args:ty) => {{
            let backend = storage::<$args>(pool).with_pubsub().poll_with_interval(poll(workload));
            let builder = WorkerBuilder::new("peers").backend(backend).concurrency(concurrency(workload));
            tokio::spawn(ended(builder.build($flow).run()))
        }};
    }
    let step = |place: usize| {
        let tally = tally.clone();
        move |input: u64| {
            tally.ran(place);
            async move { Ok::<_, BoxDynError>(input) }
        }
    };
    match workload {
        Workload::W2One => {
            start!(SteppedFlow::new("one").and_then(step(0)), u64)
        }
        Workload::W1 | Workload::W2Four => {
            let flow = SteppedFlow::new("four")
                .and_then(step(0))
                .and_then(step(1))
                .and_then(step(2))
                .and_then(step(3));
            start!(flow, u64)
        }
        Workload::W3 => {
            let graph = GraphFlow::new("fan");
            let first = graph.add_task(step(0));
            let middle: Vec<_> = (0..WIDTH).map(|_| graph.add_task(step(1)).depends_on(&first)).collect();
            let tally = tally.clone();
            let last = move |inputs: Vec<u64>| {
                tally.ran(2);
                async move { Ok::<_, BoxDynError>(inputs.len() as u64) }
            };
            graph.add_task(last).depends_on(middle.iter().collect::<Vec<_>>());
            start!(graph, Vec<u8>)
        }
    }
}

async fn ended<E: std::fmt::Display>(worker: impl Future<Output = Result<(), E>>) {
    if let Err(error) = worker.await {
        eprintln!("the worker of apalis ended: {error}");
    }
}

impl Peer for Apalis {
    async fn bulk(&mut self, tasks: usize, observer: &mut Observer) -> Result<()> {
        let inputs: Vec<u64> = (1..=tasks as u64).collect();
        for batch in inputs.chunks(BATCH) {
            self.storage.push_bulk(batch.to_vec()).await.map_err(|error| anyhow!("{error}"))?;
        }
        self.tally.last_step_ran(tasks).await?;
        observer.until(DONE, tasks * self.rows, Duration::from_millis(1)).await
    }

    async fn one(&mut self, number: usize, observer: &mut Observer) -> Result<()> {
        self.storage.push(number as u64).await.map_err(|error| anyhow!("{error}"))?;
        self.tally.last_step_ran(number).await?;
        observer.until(DONE, number * self.rows, Duration::ZERO).await
    }

    async fn verify(&mut self, workflows: usize, observer: &mut Observer) -> Result<()> {
        observer.expect(DONE, workflows * self.rows).await?;
        observer.expect(ALL, workflows * self.rows).await
    }
}
