//! `cargo xtask bench engine --peers`: other durable workflows on PostgreSQL, measured by the same workloads on the
//! same server. What is run and how each is set is in `benches/peers`, a package outside the workspace that is
//! built only here.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Map, Value, json};

use super::server::Server;
use crate::{codegen::root, runtime};

/// A library as it stands in the figures, the package that it is, and the feature that builds it.
struct Peer {
    name: &'static str,
    package: &'static str,
    feature: &'static str,
}

const PEERS: [Peer; 4] = [
    Peer { name: "dbos", package: "dbos", feature: "dbos" },
    Peer { name: "dbos-queue", package: "dbos", feature: "dbos" },
    Peer { name: "apalis-postgres", package: "apalis-postgres", feature: "apalis" },
    Peer { name: "underway", package: "underway", feature: "underway" },
];

/// A workload as the package calls it, and what its figures are called here.
const WORKLOADS: [(&str, &[(&str, &str)]); 4] = [
    ("w1", &[("steps_per_s", "w1_steps_per_s"), ("wal_bytes_per_step", "w1_wal_bytes_per_step")]),
    ("w2-one", &[("p50_ms", "w2_one_p50_ms"), ("p99_ms", "w2_one_p99_ms")]),
    ("w2-four", &[("p50_ms", "w2_four_p50_ms"), ("p99_ms", "w2_four_p99_ms")]),
    ("w3", &[("p50_ms", "w3_p50_ms"), ("p99_ms", "w3_p99_ms")]),
];

/// The longest that one run may take, several times what the slowest takes.
const PATIENCE: Duration = Duration::from_secs(240);

#[derive(Args)]
// Without a group of its own, whose name the options that it stands among have already.
#[group(skip)]
pub(crate) struct Options {
    /// Measures other libraries in the same session, each in a database of its own; builds them at first.
    #[arg(long)]
    peers: bool,
    /// How many workflows of four steps each of them drives in a run.
    #[arg(long, default_value_t = 1_000, requires = "peers", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    peer_tasks: u32,
    /// How many workflows one at a time a median of theirs is taken from.
    #[arg(long, default_value_t = 50, requires = "peers", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    peer_samples: u32,
}

impl Options {
    /// Whether they were asked for.
    pub(crate) fn wanted(&self) -> bool {
        self.peers
    }

    fn tasks(&self, workload: &str) -> u32 {
        if workload == "w1" { self.peer_tasks } else { self.peer_samples }
    }
}

/// Builds and runs each; medians over the runs, by library. One that cannot be built or run says why in its
/// place and stops no other.
pub(crate) fn run(server: &Server, options: &Options, runs: u16) -> Result<Value> {
    let lock =
        fs::read_to_string(package().join("Cargo.lock")).context("The lock of benches/peers is missing")?;
    let binaries = build_all();
    let mut figures: Vec<Figures> = PEERS.iter().map(|_| Figures::default()).collect();
    for run in 0..runs {
        for (n, peer) in PEERS.iter().enumerate() {
            if let Ok(binary) = &binaries[n] {
                eprintln!("{}, run {} of {runs}", peer.name, run + 1);
                figures[n].take(server, options, peer, binary);
            }
        }
    }
    let mut all = Map::new();
    for ((peer, binary), figures) in PEERS.iter().zip(binaries).zip(figures) {
        let mut shown = figures.show();
        shown.insert("version".into(), json!(locked(&lock, peer.package)));
        if let Err(error) = binary {
            shown.insert("error".into(), json!(format!("{error:#}")));
        }
        all.insert(peer.name.into(), Value::Object(shown));
    }
    Ok(Value::Object(all))
}

/// One line a library and figure, and why one is missing.
pub(crate) fn print(peers: &Value) {
    for (name, figures) in peers.as_object().into_iter().flatten() {
        println!("{name} {}", figures["version"].as_str().unwrap_or_default());
        for (figure, value) in figures.as_object().into_iter().flatten() {
            match value {
                Value::Number(number) => {
                    println!("  {figure:26} {:>10.1}", number.as_f64().unwrap_or(f64::NAN))
                }
                Value::Object(_) => println!("  {figure:26} {value}"),
                Value::String(text) if figure == "error" => println!("  {text}"),
                _ => {}
            }
        }
    }
}

/// What was measured of one library.
#[derive(Default)]
struct Figures {
    values: BTreeMap<&'static str, Vec<f64>>,
    /// How it was set, by workload.
    settings: Map<String, Value>,
    /// Why a workload has no figure.
    failed: BTreeMap<&'static str, String>,
}

impl Figures {
    /// Runs each workload once, except those that have failed before.
    fn take(&mut self, server: &Server, options: &Options, peer: &Peer, binary: &Path) {
        for (workload, names) in WORKLOADS {
            if self.failed.contains_key(workload) {
                continue;
            }
            match measure(server, binary, peer, workload, options.tasks(workload)) {
                Ok(measured) => self.add(workload, names, &measured),
                Err(error) => drop(self.failed.insert(workload, format!("{error:#}"))),
            }
        }
    }

    fn add(&mut self, workload: &str, names: &[(&'static str, &'static str)], measured: &Value) {
        for (theirs, ours) in names {
            self.values.entry(ours).or_default().extend(measured[*theirs].as_f64());
        }
        self.settings.insert(workload.into(), measured["settings"].clone());
    }

    fn show(mut self) -> Map<String, Value> {
        let mut shown = Map::new();
        for (name, values) in &mut self.values {
            values.sort_by(f64::total_cmp);
            shown.insert((*name).into(), json!(values.get(values.len() / 2)));
        }
        shown.insert("settings".into(), Value::Object(self.settings));
        if !self.failed.is_empty() {
            shown.insert("failed".into(), json!(self.failed));
        }
        shown
    }
}

/// One run in a database of its own, which has to be empty because a library may slow down as its tables grow.
fn measure(server: &Server, binary: &Path, peer: &Peer, workload: &str, tasks: u32) -> Result<Value> {
    let database = server.empty_database(&format!("{}_{workload}", peer.name).replace('-', "_"))?;
    let mut command = tokio::process::Command::new(binary);
    command
        .args(["--peer", peer.name, "--workload", workload, "--tasks", &tasks.to_string()])
        // Not an argument, which every user of the machine can read.
        .env("DATABASE_URL", with_host(database.url()))
        .kill_on_drop(true);
    let output = runtime()?
        .block_on(async { tokio::time::timeout(PATIENCE, command.output()).await })
        .with_context(|| format!("It had not ended after {} s", PATIENCE.as_secs()))?
        .context("It cannot be started")?;
    ensure!(output.status.success(), "{}", reason(&output.stderr));
    serde_json::from_slice(&output.stdout).context("What it printed is not JSON")
}

/// The URL with a host before its path, which the libraries ask for even where the parameter `host` names a socket.
fn with_host(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = if authority.is_empty() || authority.ends_with('@') { "localhost" } else { "" };
    format!("{scheme}://{authority}{host}{path}")
}

/// All in one build; where that fails, each alone, so that one that does not build costs only itself.
fn build_all() -> Vec<Result<PathBuf>> {
    if let Ok(binary) = build(&[]) {
        return PEERS.iter().map(|_| Ok(binary.clone())).collect();
    }
    let alone = |peer: &Peer| {
        let kept = target().join(format!("tasker-peers-{}", peer.feature));
        fs::copy(build(&["--no-default-features", "--features", peer.feature])?, &kept)?;
        Ok(kept)
    };
    PEERS.iter().map(alone).collect()
}

fn build(features: &[&str]) -> Result<PathBuf> {
    eprintln!("building the other libraries {}", features.last().unwrap_or(&"together"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo says of this program would count as a change to build scripts that read it of their own.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("CARGO_PKG_") || n.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .args(["build", "--quiet", "--release", "--locked"])
        .arg("--manifest-path")
        .arg(package().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target())
        .args(features)
        .stdout(Stdio::inherit())
        .output()
        .context("cargo cannot be run")?;
    if !output.status.success() {
        bail!("It does not build: {}", reason(&output.stderr));
    }
    Ok(target().join("release/tasker-peers"))
}

fn package() -> PathBuf {
    root().join("benches/peers")
}

fn target() -> PathBuf {
    root().join("target/peers")
}

/// The first line that says what is wrong, and what follows it up to an empty one.
fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.starts_with("error")).unwrap_or(0);
    let said: Vec<&str> =
        lines[first..].iter().map(|line| line.trim()).take_while(|l| !l.is_empty()).collect();
    let said = said.join(" ");
    said.strip_prefix("error: ").unwrap_or(&said).chars().take(500).collect()
}

/// The version of a package in a lock file.
fn locked(lock: &str, package: &str) -> Option<String> {
    let named = format!("name = \"{package}\"");
    let version = lock.lines().skip_while(|line| **line != named).nth(1)?;
    Some(version.strip_prefix("version = \"")?.trim_end_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_the_package_named() {
        let lock = "[[package]]\nname = \"a-b\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.1.0\"\n";
        assert_eq!(locked(lock, "a").as_deref(), Some("2.1.0"));
        assert_eq!(locked(lock, "b"), None);
    }

    #[test]
    fn only_a_url_without_a_host_gets_one() {
        assert_eq!(with_host("postgres://a@/b?host=/tmp/x"), "postgres://a@localhost/b?host=/tmp/x");
        assert_eq!(with_host("postgres:///b"), "postgres://localhost/b");
        assert_eq!(with_host("postgres://a:b@c:5/d"), "postgres://a:b@c:5/d");
    }

    #[test]
    fn a_reason_starts_at_the_error_and_ends_with_its_paragraph() {
        let said =
            b"warning: old\n\nerror: the tables do not show all of the work:\n    3 and not 4\n\nnote: more";
        assert_eq!(reason(said), "the tables do not show all of the work: 3 and not 4");
        assert_eq!(reason(b""), "");
    }

    #[test]
    fn figures_are_medians_and_a_failure_has_its_reason() {
        let mut figures = Figures::default();
        for value in [5.0, 1.0, 3.0] {
            let measured = json!({"p50_ms": value, "settings": {"concurrency": 4}});
            figures.add("w3", &[("p50_ms", "w3_p50_ms")], &measured);
        }
        figures.failed.insert("w1", "it stood still".into());
        let shown = json!({
            "w3_p50_ms": 3.0, "settings": {"w3": {"concurrency": 4}}, "failed": {"w1": "it stood still"}
        });
        assert_eq!(Value::Object(figures.show()), shown);
    }
}
