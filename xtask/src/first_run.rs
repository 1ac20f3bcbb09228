//! `cargo xtask first-run`: what the README promises a newcomer, done in a fresh clone: the demo, and every line of
//! its shell blocks but the tests.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tasker_testkit::docs::lines;

use crate::codegen::root;

#[derive(Args)]
pub(crate) struct Options {
    /// Where to build; a folder that has been built in saves minutes. Inside of the clone if not given.
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = tempfile::Builder::new().prefix("tasker-first-run").tempdir()?;
    let clone = dir.path().join("tasker");
    let git = Command::new("git").args(["clone", "--quiet"]).arg(root()).arg(&clone).status();
    ensure!(git.context("git cannot be run")?.success(), "the clone failed; commit first");
    let newcomer = Newcomer { target: options.target.clone().unwrap_or_else(|| clone.join("target")), clone };
    newcomer.shell("cargo build --quiet --package xtask --package tasker-cli")?;
    let first = newcomer.first_result()?;
    println!("first result of the demo {:.1} s after the build", first.as_secs_f64());
    for block in blocks(&newcomer.clone)? {
        newcomer.shell(&block)?;
    }
    println!("every command of the README ran");
    Ok(ExitCode::SUCCESS)
}

/// A clone, and where it is built.
struct Newcomer {
    clone: PathBuf,
    target: PathBuf,
}

impl Newcomer {
    fn bash(&self, script: &str) -> Command {
        let mut bash = Command::new("bash");
        // What a block leaves running in the background ends with it.
        let script = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT; set -eo pipefail\n{script}");
        bash.args(["-c", &script]).current_dir(&self.clone).env("CARGO_TARGET_DIR", &self.target);
        for name in ["TASKER_DATABASE_URL", "DATABASE_URL"] {
            bash.env_remove(name);
        }
        bash.env("TASKER_DATA_DIR", self.clone.join("data"));
        bash
    }

    fn shell(&self, script: &str) -> Result<()> {
        println!("--- {}", script.trim().replace('\n', "\n    "));
        let started = Instant::now();
        let status = self.bash(script).stdin(Stdio::null()).status().context("bash cannot be run")?;
        ensure!(status.success(), "the README's commands failed: {script}");
        println!("--- done in {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// How long the demo takes to its first orders.
    fn first_result(&self) -> Result<Duration> {
        let started = Instant::now();
        let mut demo = self.bash("cargo xtask demo").stdout(Stdio::piped()).spawn()?;
        let stdout = demo.stdout.take().context("it has a stdout")?;
        let mut first = None;
        for line in BufReader::new(stdout).lines() {
            if line?.starts_with("orders ") {
                first.get_or_insert_with(|| started.elapsed());
            }
        }
        ensure!(demo.wait()?.success(), "the demo failed");
        first.context("the demo never told of its orders")
    }
}

/// The shell blocks of the README without the demo, which has been run, and the line that runs every test.
fn blocks(root: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root.join("README.md"))?;
    let (mut blocks, mut last) = (Vec::<String>::new(), 0);
    for (line, language, text) in lines(&text) {
        let elsewhere = ["cargo xtask demo", "cargo xtask test"].iter().any(|c| text.starts_with(c));
        if language != Some("sh") || elsewhere {
            continue;
        }
        if line > last + 1 || blocks.is_empty() {
            blocks.push(String::new());
        }
        last = line;
        blocks.last_mut().context("there is one")?.push_str(&format!("{text}\n"));
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_blocks_to_run() {
        let blocks = blocks(&root()).unwrap();
        let has = |b: &String| b.contains("order-service &") && b.contains("-- run examples/order.yaml");
        assert!(blocks.iter().any(has), "{blocks:?}");
    }
}
