//! The command line: which commands there are and the flags that all of them take.

use clap::{Parser, Subcommand};

use crate::{
    commands::{completions, explain, graph, migrate, pg, prune, run, step, submit, task, worker},
    database::DatabaseArgs,
};

/// Durable workflows on PostgreSQL: run, submit, watch and repair them
#[derive(Debug, Parser)]
#[command(name = "tasker", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// Write JSON to stdout, one value a line
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Say what caused an error, too
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install, remove or check the schema
    Migrate(migrate::Args),
    /// Submit tasks of a YAML workflow and run them to their end
    Run(run::Args),
    /// Submit tasks of a YAML workflow
    Submit(submit::Args),
    /// Run steps of built-in handlers until told to stop
    Worker(worker::Args),
    /// List, show, cancel and retry tasks
    #[command(subcommand)]
    Task(task::Action),
    /// Resolve or retry one step
    #[command(subcommand)]
    Step(step::Action),
    /// Say why steps are not running, since when, and what would change it
    Explain(explain::Args),
    /// Delete finished tasks that are older than a policy, batch by batch
    Prune(prune::Args),
    /// Draw a workflow
    Graph(graph::Args),
    /// Look after the private PostgreSQL cluster
    #[command(subcommand)]
    Pg(pg::Action),
    /// Print a completion script for a shell
    Completions(completions::Args),
}
