//! `cargo xtask bench engine`: how many steps a second one worker process drives, and how long one task takes,
//! beside the commit rate of the same server in the same run. Build it with `--release`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Double};
use serde_json::{Value, json};
use tasker_engine::{
    db::{Db, connect},
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts},
    event::{Event, EventSink},
    handler::{HandlerRegistry, StepContext},
    identity::Identity,
    submit::{TaskRequest, submit},
    worker::{Worker, WorkerOptions},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::server::{Database, Server};
use crate::runtime;

#[derive(Args)]
pub(crate) struct Options {
    /// How many workflows of four steps one run of the bulk workloads drives.
    #[arg(long, default_value_t = 5_000)]
    tasks: usize,
    /// How often each workload is run; medians are shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// How many steps the worker runs at once in the bulk workloads.
    #[arg(long, default_value_t = 1_000)]
    in_flight: usize,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// The server on which scratch databases are made; else a private cluster with full durability.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let server = Server::new(options.database_url.clone())?;
    let runtime = runtime()?;
    let mut medians = Medians::default();
    for run in 0..options.runs {
        eprintln!("run {} of {}", run + 1, options.runs);
        let database = server.database(&format!("engine{run}"))?;
        medians.add("commits_c1", commit_rate(&database, 1)?);
        medians.add("commits_c16", commit_rate(&database, 16)?);
        for (name, shape) in [("linear", linear(4)), ("diamond", diamond())] {
            let (submitted, drained) = runtime.block_on(bulk(&database, &shape, options))?;
            let steps = (options.tasks * shape.steps().len()) as f64;
            medians.add(&format!("w1_{name}_steps_per_s"), steps / (submitted + drained));
            medians.add(&format!("w1_{name}_drain_steps_per_s"), steps / drained);
            if name == "linear" {
                medians.add("w4_tasks_per_s", options.tasks as f64 / submitted);
            }
        }
        for (name, shape) in [("w2_one_ms", linear(1)), ("w2_four_ms", linear(4)), ("w3_ms", fan(100))] {
            medians.add(name, runtime.block_on(latency(&database, &shape))?);
        }
    }
    medians.show(options.json);
    Ok(())
}

/// Figures of several runs by name, in the order of their first appearance.
#[derive(Default)]
struct Medians(Vec<(String, Vec<f64>)>);

impl Medians {
    fn add(&mut self, name: &str, value: f64) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, values)) => values.push(value),
            None => self.0.push((name.into(), vec![value])),
        }
    }

    fn show(&mut self, as_json: bool) {
        for (_, values) in &mut self.0 {
            values.sort_by(f64::total_cmp);
        }
        if as_json {
            let object: serde_json::Map<String, Value> =
                self.0.iter().map(|(n, v)| (n.clone(), json!(v[v.len() / 2]))).collect();
            println!("{}", Value::Object(object));
            return;
        }
        for (name, values) in &self.0 {
            println!(
                "{name:28} {:>10.1}  ({:.1} to {:.1})",
                values[values.len() / 2],
                values[0],
                values[values.len() - 1]
            );
        }
    }
}

fn workflow(name: &str, steps: &[(String, Vec<String>)]) -> WorkflowDefinition {
    let mut parts = WorkflowParts::new(name);
    for (step, parents) in steps {
        let mut definition = StepDefinition::new(step, "nothing");
        definition.depends_on = parents.clone();
        parts.steps.push(definition);
    }
    WorkflowDefinition::new(parts).expect("the shapes of the benchmark are workflows")
}

fn linear(length: usize) -> WorkflowDefinition {
    let steps: Vec<_> = (0..length)
        .map(|n| (format!("s{n}"), (n > 0).then(|| format!("s{}", n - 1)).into_iter().collect()))
        .collect();
    workflow(&format!("linear{length}"), &steps)
}

fn diamond() -> WorkflowDefinition {
    let step =
        |name: &str, parents: &[&str]| (name.to_owned(), parents.iter().map(|p| (*p).to_owned()).collect());
    workflow("diamond", &[step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b", "c"])])
}

fn fan(width: usize) -> WorkflowDefinition {
    let mut steps = vec![("first".to_owned(), vec![])];
    let middle: Vec<String> = (0..width).map(|n| format!("m{n}")).collect();
    steps.extend(middle.iter().map(|m| (m.clone(), vec!["first".to_owned()])));
    steps.push(("last".to_owned(), middle));
    workflow("fan", &steps)
}

/// A worker of handlers that do nothing, and what counts the tasks that it settles.
struct Running {
    settled: Arc<AtomicUsize>,
    changed: Arc<Notify>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(database: &Database, in_flight: usize) -> Result<Self> {
        let (settled, changed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, notify) = (settled.clone(), changed.clone());
        let events = EventSink::new(move |event| {
            if matches!(event, Event::TaskSettled { .. }) {
                count.fetch_add(1, Ordering::Relaxed);
                notify.notify_one();
            }
        });
        let mut registry = HandlerRegistry::new();
        registry.register("nothing", |_: StepContext| async { Ok(Value::Null) });
        let options = WorkerOptions {
            max_in_flight: in_flight,
            poll_min: Duration::from_millis(1),
            events,
            ..WorkerOptions::default()
        };
        let worker = Worker::new(Db::connect(database.url(), 6)?, registry, options);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = worker.run(stopped).await {
                eprintln!("the worker ended: {error}");
            }
        });
        Ok(Self { settled, changed, stop, task })
    }

    async fn until(&self, tasks: usize) {
        while self.settled.load(Ordering::Relaxed) < tasks {
            self.changed.notified().await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        let _ended = self.task.await;
    }
}

/// Submits everything, then drives it: seconds of each.
async fn bulk(database: &Database, shape: &WorkflowDefinition, options: &Options) -> Result<(f64, f64)> {
    let requests = vec![TaskRequest::new(json!({})); options.tasks];
    let started = Instant::now();
    submit(&mut database.connect()?, shape, &requests, &Identity::Random, None)?;
    let submitted = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let running = Running::start(database, options.in_flight)?;
    running.until(options.tasks).await;
    let drained = started.elapsed().as_secs_f64();
    running.end().await;
    Ok((submitted, drained))
}

/// One task at a time on an idle worker, from before its submission to its end: median milliseconds of 30.
async fn latency(database: &Database, shape: &WorkflowDefinition) -> Result<f64> {
    let running = Running::start(database, 200)?;
    let mut conn = database.connect()?;
    let mut taken = vec![];
    for n in 1..=35 {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let started = Instant::now();
        submit(&mut conn, shape, &[TaskRequest::new(json!({}))], &Identity::Random, None)?;
        running.until(n).await;
        taken.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    running.end().await;
    let mut warm = taken.split_off(5);
    warm.sort_by(f64::total_cmp);
    Ok(warm[warm.len() / 2])
}

/// Single-row updates that commit one by one, a second long, on so many connections: commits a second.
fn commit_rate(database: &Database, clients: usize) -> Result<f64> {
    database.connect()?.batch_execute(
        "create table if not exists yardstick (id integer primary key, n bigint not null) with (fillfactor = 50);
         insert into yardstick select id, 0 from generate_series(0, 63) id on conflict do nothing",
    )?;
    #[derive(QueryableByName)]
    struct Updated {
        #[diesel(sql_type = Double)]
        #[expect(dead_code, reason = "it has to arrive, not to be read")]
        n: f64,
    }
    let url = database.url().to_owned();
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            let url = url.clone();
            thread::spawn(move || -> Result<u64> {
                let mut conn = connect(&url)?;
                let (started, mut commits) = (Instant::now(), 0);
                let statement =
                    format!("update yardstick set n = n + 1 where id = {client} returning n::float8 as n");
                while started.elapsed() < Duration::from_secs(1) {
                    let _row: Updated =
                        tasker_readiness::Cached(sql_query(statement.as_str())).get_result(&mut conn)?;
                    commits += 1;
                }
                Ok(commits)
            })
        })
        .collect();
    let mut commits = 0;
    for thread in threads {
        commits += thread.join().map_err(|_| anyhow::anyhow!("a client of the yardstick panicked"))??;
    }
    Ok(commits as f64)
}
