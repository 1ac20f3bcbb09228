//! underway: a job whose steps are rows of its queue.

use std::time::Duration;

use ::underway::{Job, To, run_migrations};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use sqlx_of_underway::{PgPool, postgres::PgPoolOptions};

use crate::{
    observe::Observer,
    workload::{Peer, Tally, Workload, measure},
};

const CONCURRENCY: usize = 16;
/// A step holds one connection, its heartbeat and the next look at the queue one more each.
const CONNECTIONS: u32 = 40;
const QUEUE: &str = "peers";
const DONE: &str = "select count(*) from underway.task where state = 'succeeded'";

struct Underway {
    /// A job of its own: one that shares its handle with a worker starts new work at the step that the worker
    /// has last moved on to.
    submitter: Job<u64, ()>,
    pool: PgPool,
    tally: Tally,
    steps: usize,
}

pub async fn run(url: &str, workload: Workload, tasks: usize) -> Result<Value> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await?;
    run_migrations(&pool).await?;
    let tally = Tally::new(workload);
    let mut worker = job(workload, &pool, &tally).await?.worker();
    worker.set_concurrency_limit(CONCURRENCY);
    let working = tokio::spawn(async move {
        if let Err(error) = worker.run().await {
            eprintln!("the worker of underway ended: {error}");
        }
    });
    let mut observer = Observer::connect(url).await?;
    let submitter = job(workload, &pool, &tally).await?;
    let mut peer = Underway { submitter, pool, tally: tally.clone(), steps: workload.steps(1).len() };
    let measured = measure(&mut peer, workload, tasks, &tally, &mut observer).await;
    working.abort();
    let mut figures = measured?;
    figures["settings"] = json!({"concurrency": CONCURRENCY, "connections": CONNECTIONS, "wake": "notify"});
    Ok(figures)
}

async fn job(workload: Workload, pool: &PgPool, tally: &Tally) -> Result<Job<u64, ()>> {
    // One closure for each step, as each step has a type of its own.
    macro_rules! go_on {
        ($place:literal) => {{
            let tally = tally.clone();
            move |_, input: u64| {
                tally.ran($place);
                async move { To::next(input) }
            }
        }};
    }
    let end = tally.clone();
    let last = workload.steps(1).len() - 1;
    let done = move |_, _: u64| {
        end.ran(last);
        async { To::done() }
    };
    let job = match workload {
        Workload::W2One => Job::builder().step(done).name(QUEUE).pool(pool.clone()).build().await,
        Workload::W1 | Workload::W2Four => {
            let steps = Job::builder().step(go_on!(0)).step(go_on!(1)).step(go_on!(2)).step(done);
            steps.name(QUEUE).pool(pool.clone()).build().await
        }
        Workload::W3 => bail!("the steps of an underway job follow one another, so a fan cannot be written"),
    };
    Ok(job?)
}

impl Peer for Underway {
    async fn bulk(&mut self, tasks: usize, observer: &mut Observer) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        for input in 1..=tasks as u64 {
            self.submitter.enqueue_using(&mut *transaction, &input).await?;
        }
        transaction.commit().await?;
        self.tally.last_step_ran(tasks).await?;
        observer.until(DONE, tasks * self.steps, Duration::from_millis(1)).await
    }

    async fn one(&mut self, number: usize, observer: &mut Observer) -> Result<()> {
        self.submitter.enqueue(&(number as u64)).await?;
        self.tally.last_step_ran(number).await?;
        observer.until(DONE, number * self.steps, Duration::ZERO).await
    }

    async fn verify(&mut self, workflows: usize, observer: &mut Observer) -> Result<()> {
        observer.expect(DONE, workflows * self.steps).await?;
        observer.expect("select count(*) from underway.task", workflows * self.steps).await?;
        observer
            .expect(
                "select count(*) from underway.task_attempt where state = 'succeeded'",
                workflows * self.steps,
            )
            .await
    }
}
