//! `cargo xtask demo`: real orders through a durable workflow, three worker processes, one of them killed.

mod checks;
mod screen;
mod watch;
mod workers;

use std::{process::ExitCode, sync::Arc, time::Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use diesel::{PgConnection, connection::SimpleConnection};
use tasker_engine::{
    db::connect,
    definition::{Template, WorkflowDefinition},
    identity::Identity,
    submit::{TaskRequest, submit},
};

use crate::{
    Data,
    database::Scratch,
    orders::{Catalogue, Faults, OrderService},
    runtime,
};
use checks::Outcome;
use screen::Screen;
use watch::Watch;
use workers::Workers;

pub(crate) use workers::{WorkerProcess, work};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    data: Data,
    /// How many worker processes to run; one of them is killed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=16))]
    workers: u32,
    /// The server on which a scratch database is made; else TASKER_DATABASE_URL, DATABASE_URL, or a
    /// private cluster for this run.
    #[arg(long)]
    database_url: Option<String>,
    /// Prints one JSON object and nothing else on standard output.
    #[arg(long)]
    json: bool,
}

/// The workflow, as anybody would write it.
const WORKFLOW: &str = include_str!("../../../examples/order.yaml");

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let screen = Screen::new(options.json);
    screen.title();
    let outcome = runtime()?.block_on(play(options, &screen))?;
    screen.end(&outcome);
    Ok(if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(options: &Options, screen: &Screen) -> Result<Outcome> {
    let started = Instant::now();
    let catalogue = options.data.catalogue()?;
    let scratch = Scratch::new(options.database_url.clone())?;
    screen.say(&format!("database    {}, migrated", scratch.describe()));
    let service = OrderService::start(catalogue.clone(), Faults::seeded(options.data.seed), 0).await?;
    screen.say(&format!("service     {}, which misbehaves on purpose", service.url()));

    let mut conn = connect(&scratch.url)?;
    let definition = prepare(&mut conn)?;
    let submitted = submit_all(&mut conn, &definition, &catalogue)?;
    screen.say(&format!("orders      {submitted} submitted in one transaction, one task each"));

    let mut workers = Workers::start(options.workers, &scratch.url, &service.url())?;
    screen.say(&format!("workers     {} processes, lease {:?}", options.workers, workers::LEASE));
    let killed = Watch::new(&mut conn, submitted, screen).until_settled(&mut workers)?;
    let stats = service.stats();
    workers.stop();
    service.stop().await;
    let mut outcome = checks::judge(&mut conn, &definition, &catalogue, submitted, &stats)?;
    outcome.workers_killed = killed;
    outcome.seconds = started.elapsed().as_secs_f64();
    Ok(outcome)
}

/// The definition, and the table that the workflow's owner has to have.
fn prepare(conn: &mut PgConnection) -> Result<WorkflowDefinition> {
    let template = Template::parse(WORKFLOW, "examples/order.yaml")?;
    if let Some(setup) = template.setup() {
        conn.batch_execute(setup).context("The setup of examples/order.yaml failed")?;
    }
    Ok(template.definition(None)?)
}

fn submit_all(
    conn: &mut PgConnection,
    definition: &WorkflowDefinition,
    catalogue: &Arc<Catalogue>,
) -> Result<usize> {
    let requests: Vec<_> = catalogue
        .carts
        .iter()
        .map(|cart| TaskRequest { source_system: "demo".into(), ..TaskRequest::new(cart.json.clone()) })
        .collect();
    let submitted =
        submit(conn, definition, &requests, &Identity::Random, None).map_err(|e| anyhow!("{e}"))?;
    Ok(submitted.len())
}
