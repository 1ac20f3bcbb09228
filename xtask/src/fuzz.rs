//! `cargo xtask fuzz`: hostile input for as long as is asked for; the short run is a test.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::codegen::root;

#[derive(Args)]
pub(crate) struct Options {
    /// For how long.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// What is tried; a panic names the seed that repeats it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let test = "nothing_that_is_given_breaks_the_engine";
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--package", "tasker-engine", "--test", "hostile", test, "--", "--nocapture"]);
    cargo.env("TASKER_FUZZ_SEED", options.seed.to_string());
    cargo.env("TASKER_FUZZ_SECONDS", (options.minutes * 60).to_string());
    let passed = cargo.current_dir(root()).status().context("cargo cannot be run")?.success();
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
