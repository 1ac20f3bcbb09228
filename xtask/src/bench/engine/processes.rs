//! Workers in processes of their own, for what several of them do together.

use std::{
    env,
    io::Read,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};

use super::{
    drive::{Running, submit_all},
    shapes::{WEIGHTY, linear},
};
use crate::{bench::server::Database, runtime};

#[derive(Args)]
pub(crate) struct WorkerProcess {
    /// How many steps it runs at once.
    #[arg(long)]
    in_flight: usize,
}

/// What a worker process does: works until its standard input ends.
pub(crate) fn work(process: &WorkerProcess) -> Result<()> {
    let url = env::var("TASKER_DATABASE_URL").context("TASKER_DATABASE_URL is not set")?;
    runtime()?.block_on(async {
        let running = Running::start(&url, process.in_flight)?;
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        running.end().await;
        Ok(())
    })
}

struct Workers(Vec<Child>);

impl Workers {
    fn start(count: usize, url: &str, in_flight: usize) -> Result<Self> {
        let start = |_| {
            Command::new(env::current_exe()?)
                .args(["bench-worker", "--in-flight", &in_flight.to_string()])
                .env("TASKER_DATABASE_URL", url)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .context("A worker process cannot be started")
        };
        (0..count).map(start).collect::<Result<_>>().map(Self)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
        }
        for child in &mut self.0 {
            let _ended = child.wait();
        }
    }
}

/// Steps a second of so many processes on chains of four steps that take a millisecond and return 16 kB,
/// from the first submit to the last completion.
pub(super) fn weighty(database: &Database, processes: usize, tasks: usize) -> Result<f64> {
    let workers = Workers::start(processes, database.url(), 500)?;
    let started = Instant::now();
    submit_all(database, &linear(4, WEIGHTY), tasks)?;
    let mut conn = database.connect()?;
    #[derive(QueryableByName)]
    struct Open {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let open = "select count(*) as n from tasker.tasks t join tasker.named_tasks n using (named_task_id)
                where t.state in ('pending', 'in_progress') and n.name like '%weighty'";
    while sql_query(open).get_result::<Open>(&mut conn)?.n > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = started.elapsed().as_secs_f64();
    drop(workers);
    Ok((tasks * 4) as f64 / took)
}
