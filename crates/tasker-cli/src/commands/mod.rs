//! One module for each command: its arguments and what it does.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod graph;
pub(crate) mod migrate;
pub(crate) mod pg;
pub(crate) mod prune;
pub(crate) mod queue;
pub(crate) mod run;
pub(crate) mod step;
pub(crate) mod submit;
pub(crate) mod task;
pub(crate) mod worker;

use crate::{
    cli::{Cli, Command},
    exit::Outcome,
    output::Output,
};

/// Runs the command that was asked for.
pub(crate) fn run(cli: &Cli, out: &Output) -> Outcome {
    let database = &cli.common.database;
    let config = || cli.common.config.load();
    match &cli.command {
        Command::Migrate(args) => migrate::run(args, database, out),
        Command::Run(args) => run::run(args, &config()?, database, out),
        Command::Submit(args) => submit::run(args, &config()?, database, out),
        Command::Worker(args) => worker::run(args, &config()?, database, out),
        Command::Task(action) => task::run(action, database, out),
        Command::Queue(action) => queue::run(action, database, out),
        Command::Step(action) => step::run(action, database, out),
        Command::Explain(args) => explain::run(args, database, out),
        Command::Prune(args) => prune::run(args, database, out),
        Command::Check(args) => check::run(args, out),
        Command::Generate(what) => generate::run(what, out),
        Command::Graph(args) => graph::run(args, database, out),
        Command::Pg(action) => pg::run(action, out),
        Command::Config(action) => config::run(action, &cli.common.config, out),
        Command::Completions(args) => completions::run(args, out),
    }
}
