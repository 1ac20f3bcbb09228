//! `cargo xtask chaos`: the database is put into every kind of trouble while worker processes drive workflows
//! whose every effect is counted. Start at [`weather`]; the kinds of trouble are in [`faults`].

mod faults;
mod load;
mod throughput;
mod weather;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Args;

use crate::battery::evidence::{Json, Origin};

#[derive(Args)]
pub(crate) struct Options {
    /// How often to do it all, each time on a new server and with the next seed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How many workflows of four steps; the troubles go on, round after round, until all are submitted.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,
    /// How many of them are submitted a second.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// How long each trouble lasts.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// How many worker processes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=8))]
    workers: u32,
    /// The seed of the order of the troubles; their effect is the machine's.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    json: Json,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is needed".to_owned())?;
    if (0.1..=60.0).contains(&seconds) { Ok(seconds) } else { Err("0.1 to 60 seconds".into()) }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (started, origin) = (Instant::now(), Origin::now());
    let mut evidence = weather::run(options)?;
    evidence.set("elapsed_seconds", started.elapsed().as_secs_f64().round());
    let good = evidence.is_good();
    options.json.write(evidence, origin)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
