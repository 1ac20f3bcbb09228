//! The `tasker` command. Start at [`cli`] for the commands, at [`exit`] for the exit codes.

mod cli;
mod commands;
mod database;
mod exit;
mod explanation;
mod input;
mod logging;
mod operation;
mod output;
mod queries;
mod settings;
mod signals;
mod situation;
mod time;
mod workflow;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, error::ErrorKind};
use tasker_localpg::redact_url;

use crate::{
    cli::Cli,
    exit::{Exit, Failure},
    output::{Output, note},
};

fn main() -> ExitCode {
    let matches = Cli::command().after_help(Exit::help()).try_get_matches();
    let cli = match matches.and_then(|m| Cli::from_arg_matches(&m)) {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let out = Output::new(cli.common.json);
    let ended = commands::run(&cli, &out).and_then(|exit| out.finish(exit));
    ended.unwrap_or_else(|failure| tell(&failure, cli.common.verbose)).into()
}

/// Help goes to stdout as it is; a complaint may quote an argument, and so a URL.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _nobody_reads = error.print();
        return Exit::Ok.into();
    }
    let text = error.to_string();
    let shown = redact_url(&text);
    if shown == text && error.kind() != ErrorKind::Io {
        let _nobody_reads = error.print();
    } else {
        note(shown.trim_end());
    }
    Exit::Usage.into()
}

fn tell(failure: &Failure, verbose: bool) -> Exit {
    // libpq indents its hints with tabs.
    let mut said = failure.error.to_string().replace('\t', "");
    note(redact_url(&format!("error: {said}")));
    for cause in failure.error.chain().skip(1).filter(|_| verbose) {
        let text = cause.to_string();
        if text != said {
            note(redact_url(&format!("  caused by: {text}")));
        }
        said = text;
    }
    failure.exit
}
