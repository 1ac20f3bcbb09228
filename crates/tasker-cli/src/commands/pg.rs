//! `tasker pg`: the private cluster that is used where no database is named.

use clap::Subcommand;
use serde_json::json;
use tasker_localpg::{Environment, LocalPgError, Search, ServerBinaries, Status, fetch, status, stop};

use crate::{
    exit::{Exit, Outcome},
    output::{Output, note},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Say where the cluster is and whether its server runs
    Status,
    /// Stop its server, even if other programs use it
    Stop,
    /// Download a server into the cache, for machines without PostgreSQL
    Fetch,
}

pub(crate) fn run(action: &Action, out: &Output) -> Outcome {
    let env = Environment::current();
    match action {
        Action::Status => {
            let status = status(&binaries(&env)?, &env.data_dir()?)?;
            out.either(&document(&status), || print(&status, out));
        }
        Action::Stop => {
            let dir = env.data_dir()?;
            let stopped = stop(&binaries(&env)?, &dir)?;
            let said = if stopped { "stopped the server" } else { "no server ran" };
            out.either(&json!({ "dir": dir, "stopped": stopped }), || {
                out.line(format_args!("{said} in {}", dir.display()));
            });
        }
        Action::Fetch => {
            let found = fetch(&env.cache_dir()?, &mut |progress| note(progress))?;
            let version = found.version().to_string();
            let said = format!("PostgreSQL {version} is in {}", found.bindir().display());
            out.either(&json!({ "version": version, "bindir": found.bindir() }), || out.line(said));
        }
    }
    Ok(Exit::Ok)
}

fn binaries(env: &Environment) -> Result<ServerBinaries, LocalPgError> {
    Search::in_environment(env).look(None).map_err(|refused| LocalPgError::NoServer { refused })
}

fn document(status: &Status) -> serde_json::Value {
    json!({
        "dir": status.dir, "log": status.log, "data_version": status.data_version,
        "running": status.is_running(), "pid": status.pid, "url": status.url,
    })
}

fn print(status: &Status, out: &Output) {
    let made_by = match status.data_version {
        Some(version) => format!("made by PostgreSQL {version}"),
        None => "not created yet".into(),
    };
    out.line(format_args!("directory  {} ({made_by})", status.dir.display()));
    match (status.pid, &status.url) {
        (Some(pid), Some(url)) => {
            out.line(format_args!("server     runs as process {pid}"));
            out.line(format_args!("url        {url}"));
            out.line(format_args!("log        {}", status.log.display()));
        }
        _ => out.line("server     does not run; it starts when a command needs it"),
    }
}
