//! `cargo xtask reliability`: one page of all evidence under `docs/reliability`, as its files say it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::codegen::root;

const HEAD: &str = "# What was tried to break it

Made by `cargo xtask reliability` from the files of evidence beside it, one line for each. Every line names the command
that repeats it; a run prints its seed and ends with an error on a violation. What each promise is stands in
[guarantees.md](guarantees.md), what a command does on the pages [crash](reliability/crash.md),
[chaos](reliability/chaos.md), [sim](reliability/sim.md), [soak](reliability/soak.md) and [mutants](reliability/mutants.md).

";

/// Figures that not every battery has, and how they read.
const FURTHER: [(&str, &str); 17] = [
    ("states", "states"),
    ("statement_states", "statement states"),
    ("faults_found", "seeded faults found"),
    ("freezes", "freezes"),
    ("points", "marked points"),
    ("claimers", "claimers"),
    ("claims", "claims"),
    ("joins", "joins"),
    ("refusals", "refusals"),
    ("minutes", "minutes"),
    ("peak_steps_per_s", "steps/s at the peak"),
    ("share_of_clean", "of the clean rate"),
    ("found", "faults found"),
    ("survived", "faults that survived"),
    ("equivalent", "faults that change nothing"),
    ("ended_sessions", "sessions ended"),
    ("taken_back_after_the_lease_max_ms", "ms at most until taken back"),
];

pub(crate) fn run() -> Result<ExitCode> {
    let page = page(&root())?;
    let file = file(&root());
    fs::write(&file, page).with_context(|| format!("{} cannot be written", file.display()))?;
    println!("wrote docs/reliability.md");
    Ok(ExitCode::SUCCESS)
}

fn file(root: &Path) -> PathBuf {
    root.join("docs/reliability.md")
}

/// The page that the evidence makes.
fn page(root: &Path) -> Result<String> {
    let folder = root.join("docs/reliability");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    let mut page = HEAD.to_owned();
    page.push_str("| evidence | date, commit | runs, seed | tasks, steps | kills | lost | doubled | stuck | violations | recovery p99 | further |\n");
    page.push_str("|---|---|---|---|---|---|---|---|---|---|---|\n");
    let mut commands = String::from("\n## The commands\n\n| evidence | command | machine |\n|---|---|---|\n");
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let evidence: Value = serde_json::from_str(&text).with_context(|| format!("{name} is no JSON"))?;
        page.push_str(&line(&name, &evidence));
        commands.push_str(&format!(
            "| [{name}](reliability/{name}) | `{}` | {} |\n",
            plain(&evidence["command"]),
            plain(&evidence["machine"])
        ));
    }
    Ok(page + &commands)
}

fn line(name: &str, evidence: &Value) -> String {
    let violations = evidence["violations"].as_array().map_or(0, Vec::len);
    let recovery =
        evidence["recovery_p99_ms"].as_f64().map_or(String::new(), |ms| match evidence["recovery_limit_ms"]
            .as_f64()
        {
            Some(limit) => format!("{ms} ms of {limit}"),
            None => format!("{ms} ms"),
        });
    let further: Vec<String> = FURTHER
        .iter()
        .filter(|(key, _)| !evidence[*key].is_null())
        .map(|(key, words)| match &evidence[*key] {
            Value::Object(parts) => format!("{} {words}", parts.len()),
            value => format!("{} {words}", plain(value)),
        })
        .collect();
    format!(
        "| [{name}](reliability/{name}) | {}, {} | {}, {} | {}, {} | {} | {} | {} | {} | {violations} | {recovery} | {} |\n",
        plain(&evidence["date"]),
        plain(&evidence["commit"]),
        plain(&evidence["runs"]),
        plain(&evidence["seed"]),
        plain(&evidence["tasks"]),
        plain(&evidence["steps"]),
        plain(&evidence["kills"]),
        plain(&evidence["lost"]),
        plain(&evidence["doubled"]),
        plain(&evidence["stuck"]),
        further.join(", ")
    )
}

/// A figure with its thousands apart, a text as it is.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => grouped(&number.to_string()),
        other => other.to_string(),
    }
}

fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_evidence_says() {
        let written = fs::read_to_string(file(&root())).unwrap();
        assert_eq!(written, page(&root()).unwrap(), "run `cargo xtask reliability`");
    }

    #[test]
    fn a_line_shows_violations_and_figures() {
        let evidence = serde_json::json!({
            "runs": 2, "tasks": 1_234_567, "lost": 1, "violations": ["one", "two"], "recovery_p99_ms": 12.0,
            "recovery_limit_ms": 10.0, "points": {"a": 1, "b": 2}, "date": "2026-01-01"
        });
        let line = line("x.json", &evidence);
        assert!(
            line.contains("1,234,567") && line.contains("| 2 | 12 ms of 10 | 2 marked points |"),
            "{line}"
        );
    }
}
