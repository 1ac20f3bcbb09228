//! Where the log goes: stderr, as text or JSON, as much as RUST_LOG asks for.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure, Outcome};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Starts logging; `level` is what is logged where RUST_LOG says nothing.
pub(crate) fn start(format: LogFormat, level: &str) -> Outcome<()> {
    let said = std::env::var("RUST_LOG").ok().filter(|v| !v.is_empty());
    let filter = EnvFilter::builder()
        .parse(said.as_deref().unwrap_or(level))
        .map_err(|e| Failure::new(Exit::Usage, format!("RUST_LOG cannot be used: {e}")))?;
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let colours = io::stderr().is_terminal() && !plain;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours);
    let started = match format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| Failure::new(Exit::Unexpected, format!("logging could not be started: {e}")))
}
