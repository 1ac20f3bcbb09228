//! `tasker worker`: serves the built-in handlers until it is told to stop.

use std::time::Duration;

use serde_json::json;
use tasker_config::Config;
use tasker_engine::{
    event::{Event, EventSink},
    worker::{Worker, WorkerOptions, WorkerReport},
};
use tasker_multidb::{Databases, Workers};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Failure, Outcome},
    logging::{self, LogFormat},
    output::Output,
    signals, time, workflow,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A namespace to serve; may be repeated. All if not given
    #[arg(long)]
    namespace: Vec<String>,
    /// For how long a claim holds without renewal: a dead worker's steps run again after it
    /// [default: execution.lease_seconds, or 30s]
    #[arg(long, value_name = "TIME", value_parser = lease)]
    lease: Option<Duration>,
    /// How long running steps may take to end when the worker is told to stop
    /// [default: execution.drain_seconds, or 30s]
    #[arg(long, value_name = "TIME", value_parser = time::parse_span)]
    drain: Option<Duration>,
    /// How many steps run at once
    /// [default: execution.max_concurrent_steps_limit, or 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    max_in_flight: Option<u16>,
    /// Also run programs for steps of the handler `command`, with this user's rights
    #[arg(long)]
    allow_command: bool,
    /// What people know the worker by; host and process if not given
    #[arg(long, value_parser = short)]
    name: Option<String>,
    /// Stop when nothing is left to do
    #[arg(long)]
    until_idle: bool,
    /// How the log is written to stderr; RUST_LOG or telemetry.log_level says how much
    /// [default: telemetry.log_format, or text]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// Bring the schema of a named database up to date first; a private one is always
    #[arg(long)]
    migrate: bool,
}

/// What the database takes as a lease.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = time::parse_span(text)?;
    let fits = (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&lease);
    if fits { Ok(lease) } else { Err("a lease is between 100ms and 24h long".into()) }
}

/// What the database takes as a worker's name.
fn short(name: &str) -> Result<String, String> {
    let fits = (1..=256).contains(&name.chars().count());
    if fits { Ok(name.into()) } else { Err("a name has 1 to 256 characters".into()) }
}

pub(crate) fn run(args: &Args, config: &Config, database: &DatabaseArgs, out: &Output) -> Outcome {
    logging::start(config, args.log_format, "info")?;
    let report = match database.all() {
        Some(databases) => serve(args, config, databases)?,
        None => {
            let database = Database::ready(database, args.migrate)?;
            runtime()?.block_on(work(args, config, &database))?
        }
    };
    let document = json!({
        "completed": report.completed, "failed": report.failed, "released": report.released,
        "lease_lost": report.lease_lost, "incarnations": report.incarnations,
    });
    out.either(&document, || {
        let WorkerReport { completed, failed, released, .. } = report;
        out.line(format_args!(
            "{completed} attempts completed, {failed} failed, {released} steps given back"
        ));
    });
    Ok(Exit::Ok)
}

async fn work(args: &Args, config: &Config, database: &Database) -> Outcome<WorkerReport> {
    let shutdown = CancellationToken::new();
    signals::listen(shutdown.clone(), |said| tracing::info!("{said}"))?;
    let options = options(args, config);
    let db = database.pool(connections(options.max_in_flight))?;
    Ok(Worker::new(db, workflow::registry(args.allow_command), options).run(shutdown).await?)
}

/// Serves every configured database that holds Tasker's tables; the sum of what was done.
fn serve(args: &Args, config: &Config, databases: &Databases) -> Outcome<WorkerReport> {
    if args.migrate {
        databases.migrate()?;
    }
    databases.check()?;
    let registry = workflow::registry(args.allow_command);
    let workers = Workers::new(databases.clone(), registry, options(args, config));
    let served = runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        signals::listen(shutdown.clone(), |said| tracing::info!("{said}"))?;
        Outcome::Ok(workers.run(shutdown).await)
    })?;
    let mut total = WorkerReport::default();
    for (name, report) in served {
        let report = report.map_err(|e| Failure::of_database(&name, e))?;
        total.completed += report.completed;
        total.failed += report.failed;
        total.released += report.released;
        total.lease_lost += report.lease_lost;
        total.incarnations += report.incarnations;
    }
    Ok(total)
}

/// What the flags say, else the configuration.
fn options(args: &Args, config: &Config) -> WorkerOptions {
    let configured = config.execution().worker_options();
    WorkerOptions {
        name: args.name.clone().unwrap_or_else(name),
        namespaces: (!args.namespace.is_empty()).then(|| args.namespace.clone()),
        lease: args.lease.unwrap_or(configured.lease),
        drain: args.drain.unwrap_or(configured.drain),
        max_in_flight: args.max_in_flight.map_or(configured.max_in_flight, usize::from),
        until_idle: args.until_idle,
        events: EventSink::new(log),
        ..configured
    }
}

/// The connections of a worker: claims, reports and renewals, and a few for handlers that write.
pub(crate) fn connections(max_in_flight: usize) -> u32 {
    4 + u32::try_from(max_in_flight.min(8)).unwrap_or(8)
}

pub(crate) fn runtime() -> Outcome<Runtime> {
    Runtime::new().map_err(|e| Failure::new(Exit::Unexpected, format!("no threads could be started: {e}")))
}

/// Host and process, for people only.
pub(crate) fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.as_deref().map_or("unknown host", str::trim);
    format!("{host} {}", std::process::id())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the engine logs the rest itself")]
fn log(event: &Event) {
    match event {
        Event::StepFailed { task_id, step_name, attempt, kind, message, retry_in, .. } => {
            let retry_in = retry_in.map_or_else(|| "never".into(), time::span);
            tracing::warn!(task = %task_id, step = step_name, attempt, %kind, retry_in, "{message}");
        }
        Event::TaskSettled { task_id, state } => tracing::info!(task = %task_id, %state, "task settled"),
        Event::LeaseLost { task_id, step_id } => {
            tracing::warn!(task = %task_id, step = %step_id, "the claim was lost, its report refused");
        }
        Event::StepCompleted { task_id, step_name, .. } => {
            tracing::debug!(task = %task_id, step = step_name, "step completed");
        }
        Event::StepReleased { task_id, step_id } => {
            tracing::info!(task = %task_id, step = %step_id, "step given back");
        }
        _ => {}
    }
}
