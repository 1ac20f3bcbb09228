//! `cargo xtask bench held`: the rate of a loaded worker while a transaction stays open that keeps every dead
//! row in place, beside the rate without it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use diesel::{PgConnection, connection::SimpleConnection};
use serde_json::json;

use super::{
    drive::{Running, submit_all},
    shapes::{NOTHING, linear},
};
use crate::{
    bench::server::{Database, Server, text},
    runtime,
};

#[derive(Args)]
pub(crate) struct Options {
    /// How long the transaction stays open.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Instead of one transaction, so many that overlap: each reads under one snapshot for fifteen seconds and
    /// then begins another, so that some snapshot is always held, and none for long.
    #[arg(long, value_name = "READERS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=16))]
    scans: u8,
    /// How long the rate without it is taken for, before and after.
    #[arg(long, default_value_t = 30)]
    clean: u64,
    /// Of how many seconds ten are loaded and measured, once the load has come up; in the others nothing is submitted.
    /// So a transaction can stay open for longer than the disk has room for at the full rate.
    #[arg(long, default_value_t = PART, value_parser = clap::value_parser!(u64).range(PART..=3_600))]
    every: u64,
    /// How many steps the worker runs at once.
    #[arg(long, default_value_t = 1_000)]
    in_flight: usize,
    /// Writes the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
    /// The server on which a scratch database is made; else a private cluster with full durability.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

/// Over how many seconds a rate is taken.
const PART: u64 = 10;

/// How long the load may take to come up again, in seconds.
const COMING_UP: u64 = 2;

/// How many tasks may wait before the submitter pauses.
const BACKLOG: usize = 20_000;

pub(crate) fn run(options: &Options) -> Result<()> {
    let server = Server::new(options.database_url.clone())?;
    let conditions = server.conditions()?;
    let database = Arc::new(server.database("held")?);
    let runtime = runtime()?;
    let _context = runtime.enter();
    let running = Arc::new(Running::start(database.url(), options.in_flight)?);
    let load = Load { running, every: options.every, rest: Arc::default(), stop: Arc::default() };
    let submitter = submitter(&database, &load);

    load.rates("warming up", options.every);
    let before = load.rates("without", options.clean);
    let holders = Holders::start(&database, options.scans)?;
    let held = load.rates("with an open transaction", options.seconds);
    let dead = text(
        &mut database.connect()?,
        "select string_agg(relname || ' ' || n_dead_tup, ', ' order by relname) as text from pg_stat_user_tables
         where schemaname = 'tasker' and n_dead_tup > 0",
    )?;
    holders.end()?;
    let after = load.rates("after it", options.clean);
    load.stop.store(true, Ordering::Relaxed);
    submitter.join().map_err(|_| anyhow::anyhow!("the submitter panicked"))??;

    // The machine may have grown slower or faster meanwhile: the rate without is the mean of both sides.
    let clean = f64::midpoint(median(&before), median(&after));
    let parts = usize::try_from(60 / options.every)?.max(1);
    let last = &held[held.len().saturating_sub(parts)..];
    let document = json!({
        "conditions": conditions, "seconds": options.seconds, "every": options.every, "scans": options.scans, "clean_steps_per_s": clean,
        "before": before, "held": held, "after": after,
        "held_steps_per_s": median(&held), "share": median(&held) / clean, "share_of_the_last_minute": median(last) / clean,
        "dead_rows": dead,
    });
    println!("{}", serde_json::to_string_pretty(&document)?);
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&document)?)
            .context("The JSON cannot be written")?;
    }
    drop(database);
    Ok(())
}

/// For how long a reader keeps its snapshot.
const READING: Duration = Duration::from_secs(15);

/// Who holds snapshots: one session for good, or readers one after the other.
struct Holders {
    one: Option<PgConnection>,
    stop: Arc<AtomicBool>,
    readers: Vec<thread::JoinHandle<Result<()>>>,
}

impl Holders {
    fn start(database: &Arc<Database>, scans: u8) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        if scans == 0 {
            let mut one = database.connect()?;
            one.batch_execute("begin isolation level repeatable read; select count(*) from tasker.queues")?;
            return Ok(Self { one: Some(one), stop, readers: vec![] });
        }
        let readers = (0..scans).map(|n| {
            let (database, stop) = (database.clone(), stop.clone());
            thread::spawn(move || read(&database, READING * u32::from(n) / u32::from(scans), &stop))
        });
        Ok(Self { one: None, readers: readers.collect(), stop })
    }

    fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.one);
        for reader in self.readers {
            reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))??;
        }
        Ok(())
    }
}

/// Reads all tasks and steps under one snapshot, keeps it, and does so again.
fn read(database: &Database, first: Duration, stop: &AtomicBool) -> Result<()> {
    let mut conn = database.connect()?;
    let mut until = Instant::now() + first;
    while !stop.load(Ordering::Relaxed) {
        conn.batch_execute(
            "begin isolation level repeatable read; select count(*) from tasker.tasks; select count(*) from tasker.workflow_steps",
        )?;
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
        }
        conn.batch_execute("rollback")?;
        until = Instant::now() + READING;
    }
    Ok(())
}

/// The worker and what it is given to do.
#[derive(Clone)]
struct Load {
    running: Arc<Running>,
    every: u64,
    rest: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

fn submitter(database: &Arc<Database>, load: &Load) -> thread::JoinHandle<Result<()>> {
    let (database, load) = (database.clone(), load.clone());
    thread::spawn(move || {
        let (shape, mut submitted) = (linear(4, NOTHING), 0);
        while !load.stop.load(Ordering::Relaxed) {
            if load.rest.load(Ordering::Relaxed) || submitted - load.running.settled() > BACKLOG {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            submit_all(&database, &shape, 1_000)?;
            submitted += 1_000;
        }
        Ok(())
    })
}

impl Load {
    /// Steps a second of the loaded part of each stretch of `every` seconds (of the rest, if less).
    fn rates(&self, what: &str, seconds: u64) -> Vec<f64> {
        let (mut rates, mut left) = (vec![], seconds);
        while left > 0 {
            let stretch = left.min(self.every);
            let part = stretch.min(PART);
            let coming_up = (stretch - part).min(COMING_UP);
            self.rest.store(false, Ordering::Relaxed);
            thread::sleep(Duration::from_secs(coming_up));
            let rate = self.rate(Duration::from_secs(part));
            eprintln!("{what}: {rate:.0} steps/s");
            rates.push(rate);
            let idle = stretch - part - coming_up;
            self.rest.store(idle > 0, Ordering::Relaxed);
            thread::sleep(Duration::from_secs(idle));
            left -= stretch;
        }
        rates
    }

    fn rate(&self, part: Duration) -> f64 {
        let (before, started) = (self.running.settled(), Instant::now());
        thread::sleep(part);
        (self.running.settled() - before) as f64 * 4.0 / started.elapsed().as_secs_f64()
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
