//! Worker processes: real ones, that can be killed.

use std::{
    env,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use tasker_engine::{
    db::Db,
    worker::{Worker, WorkerOptions},
};
use tokio_util::sync::CancellationToken;

use super::effects;
use crate::runtime;

/// The longest pause between two looks of a worker that finds nothing.
pub(crate) const POLL: Duration = Duration::from_millis(250);

/// Connections of a worker process.
const CONNECTIONS: u32 = 8;

/// What a worker process is told.
#[derive(Args, Debug, Clone)]
pub(crate) struct WorkerProcess {
    /// The worker's name.
    #[arg(long)]
    name: String,
    /// The file of its calls.
    #[arg(long)]
    ledger: PathBuf,
    /// For how long its lease holds, in milliseconds.
    #[arg(long)]
    lease_ms: u64,
    /// How many steps it runs at once.
    #[arg(long)]
    in_flight: usize,
}

/// Works until its standard input ends, which it does with the parent, however that ends. The database's URL
/// comes by the environment, since arguments are public.
pub(crate) fn work(process: WorkerProcess) -> Result<()> {
    let url = env::var("TASKER_DATABASE_URL").context("TASKER_DATABASE_URL is not set")?;
    let registry = effects::registry(&process.ledger)?;
    let options = WorkerOptions {
        name: process.name,
        lease: Duration::from_millis(process.lease_ms),
        max_in_flight: process.in_flight,
        poll_max: POLL,
        ..WorkerOptions::default()
    };
    let shutdown = CancellationToken::new();
    let at_end = shutdown.clone();
    std::thread::spawn(move || {
        let _end_of_file = std::io::stdin().read_to_end(&mut Vec::new());
        at_end.cancel();
    });
    let db = Db::connect(&url, CONNECTIONS)?;
    runtime()?.block_on(Worker::new(db, registry, options).run(shutdown))?;
    Ok(())
}

/// How workers of one database are started.
#[derive(Debug, Clone)]
pub(crate) struct Workers<'a> {
    pub(crate) url: &'a str,
    /// Where each keeps the file of its calls.
    pub(crate) ledgers: &'a Path,
    pub(crate) lease: Duration,
    pub(crate) in_flight: usize,
}

impl Workers<'_> {
    /// Starts one.
    pub(crate) fn start(&self, name: &str) -> Result<Process> {
        let child = Command::new(env::current_exe()?)
            .args(["battery-worker", "--name", name])
            .arg("--ledger")
            .arg(self.ledgers.join(name))
            .args(["--lease-ms", &self.lease.as_millis().to_string()])
            .args(["--in-flight", &self.in_flight.to_string()])
            .env("TASKER_DATABASE_URL", self.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("A worker process cannot be started")?;
        Ok(Process { name: name.into(), child })
    }
}

/// A worker process that runs. It is killed with the value.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    child: Child,
}

impl Process {
    /// Kills it with SIGKILL: it can do nothing about it. Returns once it is gone.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it drain, and waits for its end; whether that was a good one.
    pub(crate) fn stop(mut self) -> Result<bool> {
        drop(self.child.stdin.take());
        Ok(self.child.wait()?.success())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}
