//! One run of one workload on one library, in a database that is empty at first; prints one JSON object.
//!
//! A workload fails unless the library's own tables show all of its work. [`workload`] says what is run,
//! [`observe`] what another connection sees of it; each library has a module that says how it is set.

mod observe;
mod workload;

#[cfg(feature = "apalis")]
mod apalis;
#[cfg(feature = "dbos")]
mod dbos;
#[cfg(feature = "underway")]
mod underway;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use serde_json::Value;

use workload::Workload;

#[derive(Parser)]
struct Options {
    /// The library.
    #[arg(long)]
    peer: Name,
    /// An empty database on a server with default durability.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// What is run.
    #[arg(long)]
    workload: Workload,
    /// How many workflows.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,
}

/// A library, in the way that its users would run it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// In-process: the submitting process runs the workflow, and no other takes it over by lease.
    Dbos,
    /// Through a queue that any process may serve.
    DbosQueue,
    ApalisPostgres,
    Underway,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<Value> {
    let (url, workload, tasks) = (&options.database_url, options.workload, options.tasks as usize);
    match options.peer {
        #[cfg(feature = "dbos")]
        Name::Dbos => dbos::run(url, workload, tasks, dbos::Mode::InProcess).await,
        #[cfg(feature = "dbos")]
        Name::DbosQueue => dbos::run(url, workload, tasks, dbos::Mode::Queue).await,
        #[cfg(feature = "apalis")]
        Name::ApalisPostgres => apalis::run(url, workload, tasks).await,
        #[cfg(feature = "underway")]
        Name::Underway => underway::run(url, workload, tasks).await,
        #[allow(unreachable_patterns, reason = "reached where a library is left out of the build")]
        _ => bail!("this binary is built without that library"),
    }
}
