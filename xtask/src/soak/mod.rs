//! `cargo xtask soak`: an hour at half of the measured peak, with retention beside it. Does anything grow?
//!
//! [`load`] measures the peak and keeps the rate, [`sample`] looks every ten seconds, [`trend`] says what grew,
//! [`plot`] draws it. Build it with `--release`.

mod load;
mod plot;
mod sample;
mod trend;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use tasker_engine::db::connect;
use tasker_testkit::check_invariants;

use crate::{
    battery::{
        effects,
        evidence::{Evidence, Json, Origin},
        number,
        process::Workers,
    },
    database::Scratch,
};
use load::Feeder;
use sample::{Sample, Sampler};

#[derive(Args)]
pub(crate) struct Options {
    /// For how long, after the peak was measured.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// The load, as a share of the peak.
    #[arg(long, default_value_t = 0.5)]
    share: f64,
    /// Finished tasks are deleted after so many seconds.
    #[arg(long, default_value_t = 120)]
    keep: u32,
    /// The server on which a scratch database is made; else TASKER_DATABASE_URL, DATABASE_URL, or a private
    /// cluster for this run, with full durability.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// The plot.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

/// The time between two samples.
const INTERVAL: Duration = Duration::from_secs(10);

/// Long enough for the worker that nothing which it holds runs out.
const LEASE: Duration = Duration::from_secs(30);

/// Steps that the worker runs at once.
const IN_FLIGHT: usize = 500;

/// What the load may leave open at the end before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let origin = Origin::now();
    let scratch = Scratch::durable(options.database_url.clone())?;
    eprintln!("database: {}", scratch.describe());
    let (evidence, samples) = soak(options, &scratch)?;
    if let Some(file) = &options.svg {
        write_plot(file, &samples)?;
    }
    let good = evidence.is_good();
    options.json.write(evidence, origin)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_plot(file: &Path, samples: &[Sample]) -> Result<()> {
    fs::write(file, plot::draw(samples)).with_context(|| format!("{} cannot be written", file.display()))
}

fn soak(options: &Options, scratch: &Scratch) -> Result<(Evidence, Vec<Sample>)> {
    let ledgers = tempfile::tempdir().context("There is no place for the worker's file")?;
    effects::prepare(&mut connect(&scratch.url)?)?;
    let workers = Workers {
        url: &scratch.url,
        ledgers: ledgers.path(),
        lease: LEASE,
        in_flight: IN_FLIGHT,
        doom: None,
    };
    let worker = workers.start("worker")?;
    let mut feeder = Feeder::new(connect(&scratch.url)?);
    let peak = feeder.peak()?;
    let rate = peak * options.share;
    eprintln!("peak {:.0} steps a second; {:.0} for {} minutes", peak * 4.0, rate * 4.0, options.minutes);

    let end = AtomicBool::new(false);
    let (samples, pruned) = thread::scope(|scope| {
        let pruning = scope.spawn(|| load::prune(&scratch.url, options.keep, &end));
        let samples = steady(options, &mut feeder, rate, Sampler::new(connect(&scratch.url)?, worker.id()));
        end.store(true, Ordering::Relaxed);
        let pruned = pruning.join().map_err(|_| anyhow!("the pruning panicked"))?;
        Ok::<_, anyhow::Error>((samples?, pruned?))
    })?;
    feeder.drain(PATIENCE)?;
    let mut evidence = judge(scratch, feeder.submitted, pruned)?;
    if !worker.stop()? {
        evidence.violations.push("the worker ended badly".into());
    }
    evidence.set("peak_steps_per_s", (peak * 4.0).round());
    evidence.set("load_steps_per_s", (rate * 4.0).round());
    evidence.set("minutes", options.minutes);
    evidence.set("keep_s", options.keep);
    trend::tell(&samples, Duration::from_secs(options.keep.into()), &mut evidence);
    evidence.set("samples", serde_json::to_value(&samples)?);
    Ok((evidence, samples))
}

/// Keeps the rate and looks every ten seconds.
fn steady(options: &Options, feeder: &mut Feeder, rate: f64, mut sampler: Sampler) -> Result<Vec<Sample>> {
    let (started, mut samples) = (Instant::now(), vec![]);
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    feeder.begin();
    sampler.begin()?;
    while started.elapsed() < length {
        let next = started + INTERVAL * (samples.len() as u32 + 1);
        while Instant::now() < next {
            feeder.keep(rate)?;
        }
        let sample = sampler.take(started.elapsed())?;
        eprintln!("{}", sample.sentence());
        samples.push(sample);
    }
    Ok(samples)
}

fn judge(scratch: &Scratch, submitted: usize, pruned: u64) -> Result<Evidence> {
    let mut conn = connect(&scratch.url)?;
    let mut evidence = Evidence { runs: 1, tasks: i64::try_from(submitted)?, ..Evidence::default() };
    evidence.steps = evidence.tasks * 4;
    let there = number(&mut conn, "select count(*) from tasker.tasks")?;
    evidence.lost = evidence.tasks - there - i64::try_from(pruned)?;
    evidence.stuck = number(&mut conn, "select count(*) from tasker.tasks where state <> 'complete'")?;
    let again = "select coalesce(sum(n - 1), 0) from (select count(*) as n from tasker.workflow_step_transitions where to_state = 'complete' group by task_id, workflow_step_id, generation) x";
    evidence.doubled = number(&mut conn, again)?;
    let counted = [("lost", evidence.lost), ("doubled", evidence.doubled), ("stuck", evidence.stuck)];
    evidence.violations.extend(counted.iter().filter(|c| c.1 != 0).map(|(what, n)| format!("{n} {what}")));
    evidence.violations.extend(check_invariants(&mut conn));
    evidence.set("pruned_tasks", pruned);
    Ok(evidence)
}
