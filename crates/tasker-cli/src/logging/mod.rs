//! Where the log goes: stderr, in the format that the flag or the configuration asks for, as much as RUST_LOG or
//! the configuration says, with the values of named fields masked.

mod lines;
mod mask;

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tasker_config::{Config, Source};
use tracing_subscriber::{EnvFilter, field::MakeExt, fmt::format::debug_fn};

use self::{lines::Lines, mask::Mask};
use crate::exit::{Exit, Failure, Outcome};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
    #[value(name = "pretty_json")]
    PrettyJson,
    Logfmt,
}

impl From<tasker_config::LogFormat> for LogFormat {
    fn from(format: tasker_config::LogFormat) -> Self {
        match format {
            tasker_config::LogFormat::Text => Self::Text,
            tasker_config::LogFormat::Json => Self::Json,
            tasker_config::LogFormat::PrettyJson => Self::PrettyJson,
            tasker_config::LogFormat::Logfmt => Self::Logfmt,
        }
    }
}

/// Starts logging. `format` is the flag's; `level` is what is logged where neither RUST_LOG nor the configuration
/// says anything.
pub(crate) fn start(config: &Config, format: Option<LogFormat>, level: &str) -> Outcome<()> {
    let telemetry = config.telemetry();
    let mask = Mask::new(&telemetry.filter_parameters, &telemetry.filter_mask);
    let format = format.unwrap_or_else(|| telemetry.log_format.into());
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let colours = io::stderr().is_terminal() && !plain;
    let log = tracing_subscriber::fmt().with_env_filter(filter(config, level)?).with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => {
            let fields =
                debug_fn(move |writer, field, value| match (field.name(), mask.covers(field.name())) {
                    (name, Some(mask)) => write!(writer, "{name}={mask}"),
                    ("message", None) => write!(writer, "{value:?}"),
                    (name, None) => write!(writer, "{name}={value:?}"),
                });
            log.with_ansi(colours).with_target(false).fmt_fields(fields.delimited(" ")).try_init()
        }
        LogFormat::Json | LogFormat::PrettyJson | LogFormat::Logfmt => {
            log.event_format(Lines { format, mask }).try_init()
        }
    };
    started.map_err(|e| Failure::new(Exit::Unexpected, format!("logging could not be started: {e}")))
}

fn filter(config: &Config, level: &str) -> Outcome<EnvFilter> {
    let said = std::env::var("RUST_LOG").ok().filter(|v| !v.is_empty());
    let configured = config.source("telemetry.log_level") != Source::Default;
    let otherwise = if configured { config.telemetry().log_level.as_str() } else { level };
    EnvFilter::builder()
        .parse(said.as_deref().unwrap_or(otherwise))
        .map_err(|e| Failure::new(Exit::Usage, format!("RUST_LOG cannot be used: {e}")))
}
