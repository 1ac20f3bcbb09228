//! `cargo xtask test` and `cargo xtask ci`: everything that is checked, with a database that they find
//! themselves and that every test process shares.

use std::{
    env,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result};
use clap::Args;
use tasker_localpg::{Environment, Wanted, resolve_in};

use crate::{codegen::root, database::show};

#[derive(Args)]
pub(crate) struct Options {
    /// Further arguments of `cargo test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// One thing that is checked: what it is called and the command.
type Check = (&'static str, Vec<&'static str>);

pub(crate) fn test(options: &Options) -> Result<ExitCode> {
    let named = Environment::current().text("TASKER_TEST_DATABASE_URL");
    // A developer's own database is never taken for the tests'.
    let own = ["TASKER_DATABASE_URL", "DATABASE_URL"];
    let unnamed: Environment = env::vars_os().filter(|(k, _)| !own.iter().any(|o| k == o)).collect();
    let server = resolve_in(&unnamed, named, &Wanted::throw_away().max_connections(300), &mut show)?;
    let mut cargo = cargo(&["test", "--workspace"]);
    cargo.args(&options.args).env("TASKER_TEST_DATABASE_URL", &server.url);
    let started = Instant::now();
    let passed = cargo.status().context("cargo cannot be run")?.success();
    eprintln!(
        "tests {} in {:.0} s",
        if passed { "passed" } else { "FAILED" },
        started.elapsed().as_secs_f64()
    );
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn ci(options: &Options) -> Result<ExitCode> {
    let checks: Vec<Check> = vec![
        ("formatting", vec!["fmt", "--all", "--check"]),
        ("lints", vec!["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        ("documentation", vec!["doc", "--workspace", "--no-deps", "--quiet"]),
        // Its snapshots are of one compiler's messages, and it builds the dependencies once more.
        (
            "compile errors",
            vec!["test", "-p", "tasker-engine", "--test", "definition_compile_fail", "--", "--ignored"],
        ),
        (
            "tasker-config by itself",
            vec!["test", "-p", "tasker-config", "--test", "it", "alone::", "--", "--ignored"],
        ),
        (
            "tasker-multidb by itself",
            vec!["test", "-p", "tasker-multidb", "--test", "it", "alone::", "--", "--ignored"],
        ),
        // Cedar is not built for the other tests, since it is as large as everything else.
        (
            "tasker-auth with Cedar",
            vec!["test", "-p", "tasker-auth", "--features", "cedar", "--test", "it", "cedar::"],
        ),
        ("licences, bans, sources", vec!["deny", "check", "licenses", "bans", "sources"]),
    ];
    let mut failed = vec![];
    for (name, args) in checks {
        let done = cargo(&args).env("RUSTDOCFLAGS", "-D warnings").status().is_ok_and(|s| s.success());
        eprintln!("{name}: {}", if done { "ok" } else { "FAILED" });
        if !done {
            failed.push(name);
        }
    }
    let tests = test(options)?;
    Ok(if failed.is_empty() { tests } else { ExitCode::FAILURE })
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}
