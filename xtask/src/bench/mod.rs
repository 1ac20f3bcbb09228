//! `cargo xtask bench`: functions, equal views and a baseline side by side on the same data.
//!
//! [`subjects`] says what is timed, [`scale`] times it at each size, [`crowd`] under what must not matter;
//! docs/benchmarks.md shows the latest figures and says how they were taken.

mod crowd;
pub(crate) mod engine;
mod flame;
mod measure;
mod peers;
mod plot;
mod report;
mod scale;
mod server;
mod subjects;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use report::Report;
use scale::Effort;
use server::{Server, load};
use subjects::Baseline;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// The sizes: numbers of tasks.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 500, 5_000, 50_000], value_name = "N[,N…]")]
    tasks: Vec<usize>,
    /// Writes everything that was measured as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes one line a statement and size.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draws time against size, one SVG a question.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// A script that brings another system to measure beside ours; see docs/benchmarks.md.
    #[arg(long, value_name = "FILE.sql")]
    baseline: Option<PathBuf>,
    /// How often each statement is run.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// How many random tasks are asked about one at a time.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..))]
    samples: u16,
    /// Under how many finished tasks 10,000 open ones are looked at; 0 leaves that part out.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    history: usize,
    /// How many rows that are due later, or paused, stand in front of the ready ones.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    front: usize,
    /// The same seed makes the same data and asks about the same tasks.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The server on which scratch databases are made; else TASKER_DATABASE_URL, DATABASE_URL, or a private
    /// cluster for this run, with full durability.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

#[derive(Subcommand)]
enum What {
    /// Measures how many steps a second a worker drives, and how long one task takes.
    Engine(engine::Options),
    /// Measures what a transaction costs that stays open and keeps dead rows in place.
    Held(engine::held::Options),
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.what {
        Some(What::Engine(options)) => return engine::run(options),
        Some(What::Held(options)) => return engine::held::run(options),
        None => {}
    }
    let baseline = options.baseline.as_deref().map(Baseline::read).transpose()?;
    let server = Server::new(options.database_url.clone())?;
    let conditions = server.conditions()?;
    let effort = Effort { runs: options.runs.into(), samples: options.samples.into(), seed: options.seed };
    let mut cells = vec![];
    for tasks in &options.tasks {
        eprintln!("{tasks} tasks");
        cells.extend(scale::measure(&server, *tasks, baseline.as_ref(), effort)?);
    }
    let circumstances = if options.history > 0 {
        eprintln!("10,000 open tasks in a crowd");
        crowd::measure(&server, options.history, options.front, effort)?
    } else {
        vec![]
    };
    let report = Report {
        command: command(),
        conditions,
        load_at_end: load().unwrap_or_default(),
        cells,
        circumstances,
    };
    report.print();
    report.write(options.json.as_deref(), options.csv.as_deref())?;
    if let Some(folder) = &options.plots {
        plot::draw(&report, folder)?;
    }
    Ok(())
}

/// The command that gives these figures again, without what names this machine's files.
fn command() -> String {
    let mut words = std::env::args().skip(1);
    let mut kept = vec!["cargo xtask".to_owned()];
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" | "--csv" | "--plots" | "--baseline" | "--database-url" => drop(words.next()),
            _ => kept.push(word),
        }
    }
    kept.join(" ")
}
