//! `cargo xtask bench engine`: how many steps a second one worker drives, and how long one task takes, beside
//! the commit rate of the same server in the same run. Build it with `--release`.

mod cost;
mod drive;
pub(crate) mod held;
mod processes;
mod profile;
mod shapes;
mod yardstick;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    peers,
    server::{Conditions, Database, Server, load},
};
use crate::runtime;
use cost::Meter;
use drive::Submitter;
pub(crate) use processes::{WorkerProcess, work};
use shapes::{NOTHING, diamond, fan, linear};

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
    /// How many tasks one run of the latency workloads submits one at a time.
    #[arg(long, default_value_t = 100)]
    samples: usize,
    /// Only these workloads, separated by commas: w1, w2, w3, w4, weighty.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = ["w1", "w2", "w3", "w4", "weighty"])]
    only: Vec<String>,
    /// Instead of figures, says where the time of W1 goes: writes a flame graph of the worker (by `perf`) and a
    /// table of the database's statements into the folder.
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
    /// Writes the medians as one JSON object.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The server on which scratch databases are made; else a private cluster with full durability.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    #[command(flatten)]
    peers: peers::Options,
}

impl Options {
    fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == workload)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(folder) = &options.profile {
        return profile::run(options, folder);
    }
    cost::count_queries()?;
    let server = Server::new(options.database_url.clone())?;
    let conditions = server.conditions()?;
    let runtime = runtime()?;
    let mut medians = Medians::default();
    for run in 0..options.runs {
        eprintln!("run {} of {}", run + 1, options.runs);
        let database = Arc::new(server.database(&format!("engine{run}"))?);
        medians.add("yardstick.commits_c1", yardstick::commit_rate(&database, 1)?);
        medians.add("yardstick.commits_c16", yardstick::commit_rate(&database, 16)?);
        runtime.block_on(one_run(&database, options, &mut medians))?;
        for processes in [1, 4].into_iter().filter(|_| options.wants("weighty")) {
            let rate = processes::weighty(&database, processes, options.tasks / 5)?;
            medians.add(&format!("w1.weighty.processes_{processes}"), rate);
        }
    }
    let mut document = medians.document(&conditions, options);
    medians.print();
    if options.peers.wanted() {
        let measured = peers::run(&server, &options.peers, options.runs)?;
        peers::print(&measured);
        document["peers"] = measured;
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&document)?)
            .context("The JSON cannot be written")?;
    }
    Ok(())
}

async fn one_run(database: &Arc<Database>, options: &Options, medians: &mut Medians) -> Result<()> {
    if options.wants("w4") {
        let submitted = drive::submit_all(database, &linear(4, "nobody"), options.tasks)?;
        medians.add("w4.tasks_per_s", options.tasks as f64 / submitted);
    }
    if options.wants("w1") {
        bulk(database, options, medians).await?;
    }
    if options.wants("w2") {
        for (prefix, submitter) in [("w2.", Submitter::Anybody), ("w2.through_worker.", Submitter::Worker)] {
            for (name, length) in [("one", 1), ("four", 4)] {
                let shape = linear(length, NOTHING);
                let taken = drive::latencies(database, &shape, submitter, options.samples).await?;
                percentiles(&format!("{prefix}{name}_"), &taken, medians);
            }
        }
    }
    if options.wants("w3") {
        let samples = options.samples.min(40);
        let taken = drive::latencies(database, &fan(100), Submitter::Anybody, samples).await?;
        percentiles("w3.", &taken, medians);
    }
    Ok(())
}

async fn bulk(database: &Arc<Database>, options: &Options, medians: &mut Medians) -> Result<()> {
    let (chain, steps) = (linear(4, NOTHING), (options.tasks * 4) as f64);
    let meter = Meter::start(database)?;
    let took = drive::bulk(database, &chain, options.tasks, options.in_flight).await?;
    let cost = meter.stop(database)?;
    medians.add("w1.linear.steps_per_s", steps / took);
    medians.add("per_step.round_trips", cost.round_trips / steps);
    medians.add("per_step.transactions", cost.transactions / steps);
    medians.add("per_step.wal_bytes", cost.wal_bytes / steps);
    if let Some(ms) = cost.pg_cpu_ms {
        medians.add("per_step.pg_cpu_ms", ms / steps);
    }
    let took = drive::bulk(database, &diamond(), options.tasks, options.in_flight).await?;
    medians.add("w1.diamond.steps_per_s", steps / took);
    let few = (options.tasks / 20).max(10);
    let took = drive::bulk(database, &chain, few, 1).await?;
    medians.add("w1.batches_of_one.steps_per_s", (few * 4) as f64 / took);
    Ok(())
}

fn percentiles(prefix: &str, sorted: &[f64], medians: &mut Medians) {
    for (percentile, share) in [("p50", 0.5), ("p99", 0.99)] {
        let place = ((sorted.len() - 1) as f64 * share).round() as usize;
        medians.add(&format!("{prefix}{percentile}_ms"), sorted[place]);
    }
}

/// Figures of several runs by dotted name, in the order of their first appearance.
#[derive(Default)]
struct Medians(Vec<(String, Vec<f64>)>);

impl Medians {
    fn add(&mut self, name: &str, value: f64) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, values)) => values.push(value),
            None => self.0.push((name.into(), vec![value])),
        }
    }

    /// The medians as nested objects, and with them what lies between the least and the greatest.
    fn document(&mut self, conditions: &Conditions, options: &Options) -> Value {
        let mut document = Map::new();
        let mut spread = Map::new();
        for (name, values) in &mut self.0 {
            values.sort_by(f64::total_cmp);
            put(&mut document, name, json!(values[values.len() / 2]));
            spread.insert(name.clone(), json!([values[0], values[values.len() - 1]]));
        }
        document.insert("spread".into(), Value::Object(spread));
        document.insert("conditions".into(), json!(conditions));
        document.insert(
            "settings".into(),
            json!({
                "runs": options.runs, "tasks": options.tasks, "in_flight": options.in_flight, "samples": options.samples,
                "submit_chunk": drive::CHUNK, "load_at_end": load(),
            }),
        );
        Value::Object(document)
    }

    fn print(&self) {
        for (name, values) in &self.0 {
            println!(
                "{name:32} {:>12.3}  ({:.3} to {:.3})",
                values[values.len() / 2],
                values[0],
                values[values.len() - 1]
            );
        }
    }
}

fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((head, rest)) => {
            let inner = object.entry(head).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
        None => drop(object.insert(name.into(), value)),
    }
}
