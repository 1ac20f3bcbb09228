//! `cargo xtask crash`: worker processes are killed at random while they drive workflows whose every effect is
//! counted ([`storm`]). With a flag, another trial of the same promises: [`kills`] at marked points, [`claimers`],
//! [`joins`], [`poison`].

mod claimers;
mod joins;
mod kills;
mod points;
mod poison;
mod recovery;
mod sessions;
mod storm;

use std::{
    env,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use tasker_engine::failpoint;

use crate::battery::evidence::{Json, Origin};

#[derive(Args)]
pub(crate) struct Options {
    /// Kills at marked points around and inside every commit: so many times at each.
    #[arg(long, value_name = "KILLS", num_args = 0..=1, default_missing_value = "20")]
    points: Option<u32>,
    /// Kills nobody: so many sessions claim from one queue at once.
    #[arg(long, value_name = "SESSIONS", conflicts_with = "points", value_parser = clap::value_parser!(u16).range(1..=150))]
    claimers: Option<u16>,
    /// How many steps the claimers share.
    #[arg(long, default_value_t = 100_000, requires = "claimers")]
    steps: usize,
    /// Kills nobody: so many joins of 2 to 50 parents that sixteen sessions report at once.
    #[arg(long, value_name = "JOINS", conflicts_with_all = ["points", "claimers"])]
    joins: Option<usize>,
    /// Kills nobody itself: a step does, every time that it is run.
    #[arg(long, conflicts_with_all = ["points", "claimers", "joins"])]
    poison: bool,
    /// How often to do it all, each time in a new database and with the next seed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How many workflows of four steps.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,
    /// How many worker processes; each that is killed is started again.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    workers: u32,
    /// For how long a lease holds, in seconds.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    lease: f64,
    /// How long a recovery may take beyond the lease and one poll, in seconds. A loaded machine needs more.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    margin: f64,
    /// The seed of the kills; their effect is the machine's.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server on which scratch databases are made; else TASKER_DATABASE_URL, DATABASE_URL, or a private
    /// cluster for this run, with full durability.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    #[command(flatten)]
    json: Json,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is needed".to_owned())?;
    if (0.1..=3_600.0).contains(&seconds) { Ok(seconds) } else { Err("0.1 to 3600 seconds".into()) }
}

impl Options {
    fn margin(&self) -> Duration {
        Duration::from_secs_f64(self.margin)
    }

    fn lease(&self) -> Duration {
        Duration::from_secs_f64(self.lease)
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.points.is_some() && !failpoint::COMPILED {
        return with_failpoints();
    }
    let (started, origin) = (Instant::now(), Origin::now());
    let mut evidence = match (options.points, options.claimers, options.joins) {
        (Some(kills), _, _) => kills::run(options, kills)?,
        (_, Some(claimers), _) => claimers::run(options, claimers, options.steps)?,
        (_, _, Some(joins)) => joins::run(options, joins)?,
        _ if options.poison => poison::run(options)?,
        (None, None, None) => storm::run(options)?,
    };
    evidence.set("seconds", started.elapsed().as_secs_f64().round());
    let good = evidence.is_good();
    options.json.write(evidence, origin)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same command of a build whose engine has its marked points.
fn with_failpoints() -> Result<ExitCode> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--package", "xtask", "--features", "failpoints"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    cargo.arg("--").args(env::args_os().skip(1));
    let done = cargo.status().context("cargo cannot be run")?.success();
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
