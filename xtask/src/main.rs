//! Development commands of the workspace: `cargo xtask <command>`. Start at [`Command`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

mod battery;
mod bench;
mod chaos;
mod codegen;
mod crash;
mod data;
mod database;
mod demo;
mod first_run;
mod fuzz;
mod migrate;
mod mutants;
mod orders;
mod prove;
mod reliability;
mod sim;
mod soak;
mod suite;
mod tidy;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use orders::{Catalogue, Faults, OrderService};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development commands of the Tasker workspace")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a few hundred orders through a durable workflow while a worker is killed.
    Demo(demo::Options),
    /// Runs every test: unit, property, database, doc and README.
    Test(suite::Options),
    /// Checks formatting, lints, documentation and licences, then runs every test.
    Ci(suite::Options),
    /// Shows or changes the schema of a database.
    Migrate(migrate::Options),
    /// Starts the order service of the demo by itself, until Ctrl-C.
    OrderService(ServiceOptions),
    /// Proves the rule of readiness against the functions, for every small task and many random ones.
    Prove(prove::Options),
    /// Walks every order of commands on small tasks, simulates workers, and looks for seeded faults.
    Sim(sim::Options),
    /// Puts small faults into the SQL of the commands, and says which no test finds.
    Mutants(mutants::Options),
    /// Answers for recorded task states, one JSON case a line.
    Readiness(prove::CaseFile),
    /// Writes what is generated: the migration of the functions, and the Rust schema.
    Codegen {
        /// Writes nothing, and fails where something is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Writes a handler, subscriber, authenticator or coordinator for a program that uses Tasker.
    #[command(subcommand)]
    Generate(tasker_generate::Generate),
    /// Tries hostile input on templates, definitions, contexts and requests.
    Fuzz(fuzz::Options),
    /// Does in a fresh clone what the README shows.
    FirstRun(first_run::Options),
    /// Checks that the documentation names only what is there.
    Tidy,
    /// Makes the page of all evidence, docs/reliability.md, from its files
    Reliability,
    /// Fills a database with tasks of known shapes in known states.
    Data(data::Options),
    /// Measures the functions against equal views and at every size.
    Bench(bench::Options),
    /// Kills worker processes while they work, and judges what is left.
    Crash(crash::Options),
    /// Works for an hour at half of the peak, and says what grew.
    Soak(soak::Options),
    /// Puts the database into every kind of trouble while workers run, and counts every effect.
    Chaos(chaos::Options),
    /// One worker process of a battery.
    #[command(hide = true)]
    BatteryWorker(battery::process::WorkerProcess),
    /// One submitting process of a battery.
    #[command(hide = true)]
    BatterySubmit(battery::process::SubmitProcess),
    /// One pruning process of a battery.
    #[command(hide = true)]
    BatteryPrune,
    /// One worker process of the demo.
    #[command(hide = true)]
    DemoWorker(demo::WorkerProcess),
    /// One worker process of the engine's benchmark.
    #[command(hide = true)]
    BenchWorker(bench::engine::WorkerProcess),
}

/// Where the orders come from.
#[derive(Args, Clone)]
struct Data {
    /// A JSON file {"carts": […]}; without it a seeded catalogue is generated.
    #[arg(long, requires = "products")]
    carts: Option<PathBuf>,
    /// A JSON file {"products": […]}.
    #[arg(long, requires = "carts")]
    products: Option<PathBuf>,
    /// The seed of the generated catalogue and of the faults.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// How many carts to generate.
    #[arg(long, default_value_t = 300)]
    orders: usize,
}

impl Data {
    fn catalogue(&self) -> Result<Arc<Catalogue>> {
        let catalogue = match (&self.carts, &self.products) {
            (Some(carts), Some(products)) => Catalogue::load(carts, products)?,
            _ => Catalogue::generate(self.seed, self.orders),
        };
        Ok(Arc::new(catalogue))
    }
}

#[derive(Args)]
struct ServiceOptions {
    #[command(flatten)]
    data: Data,
    /// The port on 127.0.0.1; 0 takes any that is free.
    #[arg(long, default_value_t = 7171)]
    port: u16,
    /// The seed of the faults, or `off`.
    #[arg(long, default_value = "42")]
    faults: Faults,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::DemoWorker(process) => demo::work(process).map(|()| ExitCode::SUCCESS),
        Command::Chaos(options) => chaos::run(&options),
        Command::Crash(options) => crash::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::BatteryWorker(process) => battery::process::work(process).map(|()| ExitCode::SUCCESS),
        Command::BatterySubmit(process) => battery::process::submit(&process).map(|()| ExitCode::SUCCESS),
        Command::BatteryPrune => battery::process::prune().map(|()| ExitCode::SUCCESS),
        Command::BenchWorker(process) => bench::engine::work(&process).map(|()| ExitCode::SUCCESS),
        Command::Test(options) => suite::test(&options),
        Command::Ci(options) => suite::ci(&options),
        Command::Migrate(options) => migrate::run(&options).map(|()| ExitCode::SUCCESS),
        Command::OrderService(options) => serve(&options).map(|()| ExitCode::SUCCESS),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::FirstRun(options) => first_run::run(&options),
        Command::Tidy => tidy::run(),
        Command::Reliability => reliability::run(),
        Command::Data(options) => data::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Bench(options) => bench::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Prove(options) => prove::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Mutants(options) => mutants::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::Readiness(file) => prove::answer_file(&file).map(|()| ExitCode::SUCCESS),
        Command::Generate(what) => generate(&what),
        Command::Codegen { check } => codegen::run(check).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn generate(what: &tasker_generate::Generate) -> Result<ExitCode> {
    println!("{}", what.run(&std::env::current_dir()?)?);
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("The async runtime cannot start")
}

fn serve(options: &ServiceOptions) -> Result<()> {
    let catalogue = options.data.catalogue()?;
    runtime()?.block_on(async {
        let service = OrderService::start(catalogue, options.faults, options.port).await?;
        println!("export ORDER_SERVICE_URL={}", service.url());
        eprintln!("The order service listens; Ctrl-C ends it.");
        tokio::signal::ctrl_c().await?;
        let stats = service.stats();
        service.stop().await;
        eprintln!("{} requests, {} events, faults {:?}", stats.requests, stats.events, stats.faults);
        Ok(())
    })
}
