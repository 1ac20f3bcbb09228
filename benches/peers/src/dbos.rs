//! DBOS Transact, in-process and through its queue.

use std::time::Duration;

use ::dbos::{
    Config, DBOS, Enqueue, QueueConflict, QueueOptions, Result as Durable, StartOptions, WorkflowRef, step,
};
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde_json::{Value, json};

use crate::{
    observe::Observer,
    workload::{Peer, Tally, WIDTH, Workload, measure},
};

/// Who runs a workflow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    InProcess,
    Queue,
}

const IN_FLIGHT: usize = 64;
const CONNECTIONS: u32 = 10;
const POLL: Duration = Duration::from_millis(10);
const QUEUE: &str = "peers";
const DONE: &str = "select count(*) from dbos.workflow_status where status = 'SUCCESS'";

struct Dbos {
    workflow: WorkflowRef<u64, u64>,
    mode: Mode,
    steps: usize,
    tally: Tally,
}

pub async fn run(url: &str, workload: Workload, tasks: usize, mode: Mode) -> Result<Value> {
    let dbos = DBOS::new(Config {
        app_version: Some("1".into()),
        max_connections: CONNECTIONS,
        ..Config::new("peers", url)
    });
    let tally = Tally::new(workload);
    let workflow = register(&dbos, workload, &tally)?;
    dbos.launch().await?;
    if mode == Mode::Queue {
        let options = QueueOptions {
            worker_concurrency: Some(i32::try_from(IN_FLIGHT)?),
            polling_interval: POLL,
            ..QueueOptions::default()
        };
        dbos.register_queue(QUEUE, options, QueueConflict::AlwaysUpdate).await?;
    }
    let mut observer = Observer::connect(url).await?;
    let steps = workload.steps(1).iter().sum();
    let mut peer = Dbos { workflow, mode, steps, tally: tally.clone() };
    let mut figures = measure(&mut peer, workload, tasks, &tally, &mut observer).await?;
    figures["settings"] = settings(mode);
    dbos.shutdown().await;
    Ok(figures)
}

fn settings(mode: Mode) -> Value {
    match mode {
        Mode::InProcess => json!({"in_flight": IN_FLIGHT, "connections": CONNECTIONS}),
        Mode::Queue => json!({
            "worker_concurrency": IN_FLIGHT, "connections": CONNECTIONS, "queue_poll_ms": POLL.as_millis() as u64
        }),
    }
}

fn register(dbos: &DBOS, workload: Workload, tally: &Tally) -> Result<WorkflowRef<u64, u64>> {
    let (tally, steps) = (tally.clone(), workload.steps(1).len());
    let workflow = if workload == Workload::W3 {
        dbos.register_workflow("fan", move |input| fan(input, tally.clone()))
    } else {
        dbos.register_workflow("chain", move |input| chain(input, steps, tally.clone()))
    };
    Ok(workflow?)
}

async fn chain(input: u64, steps: usize, tally: Tally) -> Durable<u64> {
    for place in 0..steps {
        nothing("step", place, input, &tally).await?;
    }
    Ok(input)
}

async fn fan(input: u64, tally: Tally) -> Durable<u64> {
    nothing("first", 0, input, &tally).await?;
    try_join_all((0..WIDTH).map(|_| nothing("middle", 1, input, &tally))).await?;
    nothing("last", 2, input, &tally).await
}

fn nothing<'a>(
    name: &str,
    place: usize,
    input: u64,
    tally: &'a Tally,
) -> impl Future<Output = Durable<u64>> + 'a {
    step(name, move || async move {
        tally.ran(place);
        Ok(input)
    })
}

impl Dbos {
    async fn submit(&self, input: usize) -> Result<()> {
        let input = u64::try_from(input)?;
        match self.mode {
            // It returns when the outcome is committed.
            Mode::InProcess => drop(self.workflow.run(input).await?),
            Mode::Queue => {
                let options = StartOptions { queue: Some(Enqueue::new(QUEUE)), ..StartOptions::default() };
                drop(self.workflow.start_with(input, options).await?);
            }
        }
        Ok(())
    }
}

impl Peer for Dbos {
    async fn bulk(&mut self, tasks: usize, observer: &mut Observer) -> Result<()> {
        let this = &*self;
        stream::iter(1..=tasks)
            .map(|n| this.submit(n))
            .buffer_unordered(IN_FLIGHT)
            .try_for_each(|()| async { Ok(()) })
            .await?;
        self.tally.last_step_ran(tasks).await?;
        observer.until(DONE, tasks, Duration::from_millis(1)).await
    }

    async fn one(&mut self, number: usize, observer: &mut Observer) -> Result<()> {
        self.submit(number).await?;
        self.tally.last_step_ran(number).await?;
        observer.until(DONE, number, Duration::ZERO).await
    }

    async fn verify(&mut self, workflows: usize, observer: &mut Observer) -> Result<()> {
        observer.expect("select count(*) from dbos.workflow_status", workflows).await?;
        observer.expect(DONE, workflows).await?;
        observer
            .expect(
                "select count(*) from dbos.operation_outputs where output is not null and error is null",
                workflows * self.steps,
            )
            .await
            .context("a step left no checkpoint")
    }
}
