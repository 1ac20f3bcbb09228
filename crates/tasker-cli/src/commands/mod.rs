//! One module for each command: its arguments and what it does.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod database;
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
pub(crate) mod token;
pub(crate) mod worker;

use tasker_config::Config;

use crate::{
    cli::{Cli, Command, Common},
    database::DatabaseArgs,
    exit::Outcome,
    output::Output,
};

/// Runs the command that was asked for. Those that work with a database read the configuration first.
pub(crate) fn run(cli: &Cli, out: &Output) -> Outcome {
    let Common { config, database, .. } = &cli.common;
    let with = |run: &dyn Fn(&Config, &DatabaseArgs) -> Outcome| {
        let config = config.load()?;
        run(&config, &database.or(&config)?)
    };
    match &cli.command {
        Command::Migrate(args) => with(&|_, database| migrate::run(args, database, out)),
        Command::Run(args) => with(&|config, database| run::run(args, config, database, out)),
        Command::Submit(args) => with(&|config, database| submit::run(args, config, database, out)),
        Command::Worker(args) => with(&|config, database| worker::run(args, config, database, out)),
        Command::Task(action) => with(&|_, database| task::run(action, database, out)),
        Command::Token(action) => with(&|_, database| token::run(action, database, out)),
        Command::Queue(action) => with(&|_, database| queue::run(action, database, out)),
        Command::Step(action) => with(&|_, database| step::run(action, database, out)),
        Command::Explain(args) => with(&|_, database| explain::run(args, database, out)),
        Command::Prune(args) => with(&|_, database| prune::run(args, database, out)),
        Command::Graph(args) => with(&|config, database| graph::run(args, config, database, out)),
        Command::Check(args) => check::run(args, out),
        Command::Database(action) => database::run(action, &config.load()?, database, out),
        Command::Config(action) => config::run(action, config, database, out),
        Command::Generate(what) => generate::run(what, &config.load()?, out),
        Command::Pg(action) => pg::run(action, out),
        Command::Completions(args) => completions::run(args, out),
    }
}
