//! What is kept of a run: the figures that every battery has, those of its own, and where they come from.

use std::{fs, path::PathBuf, process::Command, thread};

use anyhow::{Context, Result};
use chrono::Utc;
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use super::judge::Verdict;
use crate::codegen::root;

/// Violations that are shown; the object has all.
const SHOWN: usize = 20;

/// Where the evidence goes.
#[derive(Args, Debug, Clone)]
pub(crate) struct Json {
    /// Writes one JSON object to the file, or to standard output where none is named.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
}

/// The evidence of a run. A figure that a battery does not have is null.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Evidence {
    pub(crate) runs: u32,
    pub(crate) tasks: i64,
    pub(crate) steps: i64,
    pub(crate) kills: u64,
    pub(crate) lost: i64,
    pub(crate) doubled: i64,
    pub(crate) stuck: i64,
    pub(crate) recovery_p99_ms: Option<f64>,
    pub(crate) seed: u64,
    /// Everything that must not be; empty in a good run.
    pub(crate) violations: Vec<String>,
    /// Further figures of the battery.
    #[serde(flatten)]
    pub(crate) further: Map<String, Value>,
}

impl Evidence {
    /// The figures of a verdict.
    pub(crate) fn of(verdict: &Verdict) -> Self {
        let mut evidence = Self {
            tasks: verdict.tasks,
            steps: verdict.steps,
            lost: verdict.lost,
            doubled: verdict.doubled,
            stuck: verdict.stuck,
            violations: verdict.violations(),
            ..Self::default()
        };
        evidence.set("attempts", verdict.attempts);
        evidence.set("lost_leases", verdict.lost_leases);
        evidence.set("repeated_calls", verdict.repeated_calls);
        evidence
    }

    /// A further figure.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.further.insert(name.into(), value.into());
    }

    /// Whether nothing is there that must not be.
    pub(crate) fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

impl Json {
    /// Says what is wrong, and writes the object with its origin where it is wanted.
    pub(crate) fn write(&self, mut evidence: Evidence, origin: Origin) -> Result<()> {
        for violation in evidence.violations.iter().take(SHOWN) {
            eprintln!("VIOLATION: {violation}");
        }
        if evidence.violations.len() > SHOWN {
            eprintln!("… {} violations in all", evidence.violations.len());
        }
        for (name, value) in origin.0 {
            evidence.set(name, value);
        }
        match &self.json {
            None => {}
            Some(None) => println!("{}", serde_json::to_string(&evidence)?),
            Some(Some(file)) => {
                let text = serde_json::to_string_pretty(&evidence)? + "\n";
                fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
            }
        }
        Ok(())
    }
}

/// Date, commit, machine and command, as they were when the run began.
#[derive(Debug)]
pub(crate) struct Origin([(&'static str, String); 4]);

impl Origin {
    pub(crate) fn now() -> Self {
        let command: Vec<String> = std::env::args().skip(1).collect();
        Self([
            ("date", Utc::now().format("%Y-%m-%d").to_string()),
            ("commit", commit().unwrap_or_else(|| "unknown".into())),
            ("machine", machine()),
            ("command", format!("cargo xtask {}", command.join(" "))),
        ])
    }
}

/// The commit of the sources, with a mark where they differ from it.
fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(git(&["rev-parse", "--short", "HEAD"])? + if changed { " and changes" } else { "" })
}

fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    format!("{} {}, {cores} cores, load {load} at the start", std::env::consts::OS, std::env::consts::ARCH)
}
