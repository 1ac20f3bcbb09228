//! Worker processes: real ones, that can be killed.

use std::{
    env,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use diesel::Connection;
use tasker_engine::{
    db::{Db, connect},
    failpoint,
    worker::{Worker, WorkerOptions},
};
use tokio_util::sync::CancellationToken;

use super::effects::{self, Work};
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
    /// How long it waits for its steps when it is told to stop, in milliseconds.
    #[arg(long, default_value_t = 30_000)]
    drain_ms: u64,
}

/// The variable that names the point of the engine at which a process dies, and at which arrival there.
const FAILPOINT: &str = "TASKER_FAILPOINT";

/// A point of the engine: its name, `before` or `after`, and the arrival at which the process dies.
#[derive(Debug, Clone)]
pub(crate) struct Doom {
    pub(crate) name: &'static str,
    pub(crate) when: &'static str,
    pub(crate) arrival: u32,
}

/// Makes this process die where the variable says.
fn arm() -> Result<()> {
    let Ok(text) = env::var(FAILPOINT) else { return Ok(()) };
    let parts: Vec<&str> = text.split(' ').collect();
    let [name, when, arrival] = parts[..] else { bail!("{FAILPOINT} is not NAME WHEN ARRIVAL: {text}") };
    ensure!(failpoint::COMPILED, "the engine has no marked points; build with `--features failpoints`");
    let (name, when, arrival) = (name.to_owned(), when.to_owned(), arrival.parse::<u32>()?);
    let arrivals = AtomicU32::new(0);
    failpoint::install(Box::new(move |at, side| {
        if at == name && side == when && arrivals.fetch_add(1, Ordering::Relaxed) + 1 == arrival {
            die();
        }
    }));
    Ok(())
}

/// What a submitting process is told.
#[derive(Args, Debug, Clone)]
pub(crate) struct SubmitProcess {
    /// How many tasks it submits, in one transaction.
    #[arg(long)]
    tasks: usize,
    /// The bounds of the work of their steps, in milliseconds.
    #[arg(long, num_args = 2)]
    work_ms: Vec<u64>,
}

/// Prunes and ends.
pub(crate) fn prune() -> Result<()> {
    arm()?;
    effects::prune_spent(&mut connect(&url()?)?)
}

/// Submits and ends.
pub(crate) fn submit(process: &SubmitProcess) -> Result<()> {
    arm()?;
    let work = Work(process.work_ms[0], process.work_ms[1]);
    connect(&url()?)?.transaction(|conn| effects::submit_tasks(conn, process.tasks, work))
}

fn url() -> Result<String> {
    env::var("TASKER_DATABASE_URL").context("TASKER_DATABASE_URL is not set")
}

/// Works until its standard input ends, which it does with the parent, however that ends. The database's URL
/// comes by the environment, since arguments are public.
pub(crate) fn work(process: WorkerProcess) -> Result<()> {
    arm()?;
    let url = url()?;
    let registry = effects::registry(&process.ledger)?;
    let options = WorkerOptions {
        name: process.name,
        lease: Duration::from_millis(process.lease_ms),
        max_in_flight: process.in_flight,
        poll_max: POLL,
        drain: Duration::from_millis(process.drain_ms),
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

/// Ends this process as SIGKILL does; its thread goes no further.
pub(crate) fn die() -> ! {
    let _killed = Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
    // Where there is no such command.
    std::process::abort()
}

/// How workers of one database are started.
#[derive(Debug, Clone)]
pub(crate) struct Workers<'a> {
    pub(crate) url: &'a str,
    /// Where each keeps the file of its calls.
    pub(crate) ledgers: &'a Path,
    pub(crate) lease: Duration,
    pub(crate) in_flight: usize,
    /// Where those that are started die by themselves.
    pub(crate) doom: Option<Doom>,
}

impl Workers<'_> {
    /// Starts one.
    pub(crate) fn start(&self, name: &str) -> Result<Process> {
        let mut command = self.command("battery-worker", name)?;
        command.args(["--name", name]).arg("--ledger").arg(self.ledgers.join(name));
        command.args(["--lease-ms", &self.lease.as_millis().to_string()]);
        command.args(["--in-flight", &self.in_flight.to_string()]);
        if self.doom.is_some() {
            // So that it gives back what it has not ended.
            command.args(["--drain-ms", "1"]);
        }
        Process::spawn(command, name)
    }

    /// Starts a process that submits tasks and ends.
    pub(crate) fn submit(&self, name: &str, tasks: usize, work: Work) -> Result<Process> {
        let mut command = self.command("battery-submit", name)?;
        command.args(["--tasks", &tasks.to_string()]);
        command.args(["--work-ms", &work.0.to_string(), &work.1.to_string()]);
        Process::spawn(command, name)
    }

    /// Starts a process that prunes and ends.
    pub(crate) fn prune(&self, name: &str) -> Result<Process> {
        Process::spawn(self.command("battery-prune", name)?, name)
    }

    /// Its sessions bear its name.
    fn command(&self, what: &str, name: &str) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        let sign = if self.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{sign}application_name={name}", self.url);
        command.arg(what).env("TASKER_DATABASE_URL", url).stdin(Stdio::piped()).stdout(Stdio::null());
        match &self.doom {
            Some(Doom { name, when, arrival }) => command.env(FAILPOINT, format!("{name} {when} {arrival}")),
            None => command.env_remove(FAILPOINT),
        };
        Ok(command)
    }
}

/// A worker process that runs. It is killed with the value.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    child: Child,
}

impl Process {
    fn spawn(mut command: Command, name: &str) -> Result<Self> {
        let child = command.spawn().context("A worker process cannot be started")?;
        Ok(Self { name: name.into(), child })
    }

    /// Kills it with SIGKILL: it can do nothing about it. Returns once it is gone.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Its number with the system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it drain; returns at once.
    pub(crate) fn tell_to_stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Lets it drain, and waits for its end; whether that was a good one.
    pub(crate) fn stop(mut self) -> Result<bool> {
        self.tell_to_stop();
        Ok(self.child.wait()?.success())
    }

    /// Stops it where it stands.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "the worker `{}` cannot be sent {signal}", self.name);
        Ok(())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.ended()?.is_some())
    }

    /// Whether it has ended well, if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<bool>> {
        Ok(self.child.try_wait()?.map(|status| status.success()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}
