//! `tasker run`: submits tasks and works in this process until all of them have settled.

mod summary;
mod watch;

use std::{sync::Arc, time::Instant};

use tasker_config::Config;
use tasker_engine::{
    db::Db,
    definition::WorkflowDefinition,
    event::EventSink,
    handler::HandlerRegistry,
    worker::{Worker, WorkerOptions},
};
use tasker_model::TaskId;
use tokio_util::sync::CancellationToken;

use self::{summary::Summary, watch::Watch};
use super::{
    submit::TaskArgs,
    worker::{connections, name, runtime},
};
use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Outcome},
    logging,
    output::{Output, note},
    queries, signals,
    workflow::{self, check_runnable},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    tasks: TaskArgs,
    /// Run programs for steps of the handler `command`, with this user's rights
    #[arg(long)]
    allow_command: bool,
    /// How many steps run at once
    /// [default: execution.max_concurrent_steps_limit, or 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    workers: Option<u16>,
    /// Serve the workflow's handlers in every namespace, not only in its own
    #[arg(long, alias = "namespace-less")]
    all_namespaces: bool,
}

pub(crate) fn run(args: &Args, config: &Config, database: &DatabaseArgs, out: &Output) -> Outcome {
    logging::start(config, None, "error,tasker_engine=warn")?;
    let workflow = args.tasks.workflow.load(config)?;
    let definition = &workflow.definition;
    let registry = workflow::registry(args.allow_command);
    check_runnable(definition, &registry)?;
    let requests = args.tasks.requests()?;
    let identity = args.tasks.identity(config)?;
    let database = Database::ready(&database.of_namespace(definition.namespace()), args.tasks.migrate)?;
    let started = Instant::now();
    let conn = &mut database.connect()?;
    let submitted = args.tasks.submit(conn, &workflow, &requests, &identity)?;
    let mut ids: Vec<TaskId> = submitted.iter().map(|s| s.task_id).collect();
    ids.sort();
    ids.dedup();
    let created = submitted.iter().filter(|s| s.created).count();
    let registry = needed(conn, &ids, definition, &registry)?;
    let interrupted =
        runtime()?.block_on(work(options(args, config, definition), &database, registry, &ids))?;
    let summary = Summary::load(conn, definition, &ids, created, started.elapsed())?;
    summary.print(interrupted, out);
    Ok(if interrupted { Exit::Interrupted } else { summary.exit() })
}

/// The handlers that the tasks need and no others: a worker of other handlers would take other people's
/// steps. Tasks that existed before may keep an older definition, so the database is asked.
fn needed(
    conn: &mut diesel::PgConnection,
    ids: &[TaskId],
    definition: &WorkflowDefinition,
    all: &HandlerRegistry,
) -> Outcome<HandlerRegistry> {
    let queues = queries::queues_of(conn, ids)?;
    for (namespace, handler) in queues.iter().filter(|(_, handler)| all.get(handler).is_none()) {
        note(format_args!(
            "waiting for another worker to serve handler `{handler}` in namespace `{namespace}`"
        ));
    }
    let of_definition = |name: &str| definition.steps().iter().any(|s| s.handler == name);
    Ok(workflow::only(all, |name| of_definition(name) || queues.iter().any(|(_, h)| h == name)))
}

/// Works until the tasks have settled; whether it was interrupted before.
async fn work(
    options: WorkerOptions,
    database: &Database,
    registry: HandlerRegistry,
    ids: &[TaskId],
) -> Outcome<bool> {
    let db = database.pool(connections(options.max_in_flight))?;
    let (interrupted, stop) = (CancellationToken::new(), CancellationToken::new());
    signals::listen(interrupted.clone(), |said| note(said))?;
    let watch = Arc::new(Watch::new(ids));
    let events = watch.clone();
    let options = WorkerOptions { events: EventSink::new(move |event| events.on(event)), ..options };
    let worker = Worker::new(db.clone(), registry, options);
    let working = worker.run(stop.clone());
    tokio::pin!(working);
    let ended = tokio::select! {
        // The worker ends by itself only where waiting cannot help.
        ended = &mut working => Err(ended),
        settled = until_settled(&watch, &db, &interrupted) => Ok(settled),
    };
    watch.finish();
    match ended {
        Err(ended) => ended?,
        Ok(settled) => {
            stop.cancel();
            let report = working.await?;
            settled?;
            report
        }
    };
    Ok(interrupted.is_cancelled() && !watch.is_done())
}

async fn until_settled(watch: &Watch, db: &Db, interrupted: &CancellationToken) -> Outcome<()> {
    tokio::select! {
        done = watch.wait(db) => done,
        () = interrupted.cancelled() => Ok(()),
    }
}

fn options(args: &Args, config: &Config, definition: &WorkflowDefinition) -> WorkerOptions {
    let configured = config.execution().worker_options();
    WorkerOptions {
        name: format!("{} (tasker run)", name()),
        namespaces: (!args.all_namespaces).then(|| vec![definition.namespace().to_owned()]),
        max_in_flight: args.workers.map_or(configured.max_in_flight, usize::from),
        ..configured
    }
}
