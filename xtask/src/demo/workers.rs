//! The worker processes: real ones, that can be killed.

use std::{
    env,
    io::Read,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use tasker_engine::{
    db::Db,
    handler::HandlerRegistry,
    handlers::{self, DeclarativeOptions, Variables},
    worker::{Worker, WorkerOptions},
};
use tokio_util::sync::CancellationToken;

use crate::runtime;

/// How long a lease holds: a killed worker's steps run again after it.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// Steps that one worker runs at once.
const IN_FLIGHT: usize = 8;

#[derive(Args)]
pub(crate) struct WorkerProcess {
    /// The worker's name.
    #[arg(long)]
    name: String,
}

/// What a worker process does: works until its standard input ends, which it does with the demo, however
/// that ends. The database's URL comes by the environment, since arguments are public.
pub(crate) fn work(process: WorkerProcess) -> Result<()> {
    let url = env::var("TASKER_DATABASE_URL").context("TASKER_DATABASE_URL is not set")?;
    let mut registry = HandlerRegistry::new();
    let mut options = DeclarativeOptions::default();
    options.variables = Variables::new(|name| env::var(name).ok());
    handlers::register(&mut registry, options);
    let options = WorkerOptions {
        name: process.name,
        lease: LEASE,
        max_in_flight: IN_FLIGHT,
        ..WorkerOptions::default()
    };
    let shutdown = CancellationToken::new();
    let at_end = shutdown.clone();
    std::thread::spawn(move || {
        let _end_of_file = std::io::stdin().read_to_end(&mut Vec::new());
        at_end.cancel();
    });
    runtime()?
        .block_on(async { Worker::new(Db::connect(&url, 6)?, registry, options).run(shutdown).await })?;
    Ok(())
}

/// The processes that run.
pub(super) struct Workers(Vec<(String, Child)>);

impl Workers {
    pub(super) fn start(count: u32, url: &str, service: &str) -> Result<Self> {
        let start = |n: u32| {
            let name = format!("worker-{n}");
            let child = Command::new(env::current_exe()?)
                .args(["demo-worker", "--name", &name])
                .env("TASKER_DATABASE_URL", url)
                .env("ORDER_SERVICE_URL", service)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .context("A worker process cannot be started")?;
            Ok((name, child))
        };
        (1..=count).map(start).collect::<Result<_>>().map(Self)
    }

    /// Stops the process where it stands, so that what it holds can be counted.
    pub(super) fn freeze(&self, name: &str) {
        self.signal(name, "-STOP");
    }

    /// Lets it go on.
    pub(super) fn thaw(&self, name: &str) {
        self.signal(name, "-CONT");
    }

    fn signal(&self, name: &str, signal: &str) {
        if let Some((_, child)) = self.0.iter().find(|(n, _)| n == name) {
            let _gone_already = Command::new("kill").args([signal, &child.id().to_string()]).status();
        }
    }

    /// Kills the process with SIGKILL: it can do nothing about it.
    pub(super) fn kill(&mut self, name: &str) -> Result<()> {
        if let Some(at) = self.0.iter().position(|(n, _)| n == name) {
            let (_, mut child) = self.0.remove(at);
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Closes their standard input and waits: they drain.
    pub(super) fn stop(mut self) {
        for (_, child) in &mut self.0 {
            drop(child.stdin.take());
        }
        for (_, mut child) in std::mem::take(&mut self.0) {
            let _ended = child.wait();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            let _best_effort = child.kill();
        }
    }
}
