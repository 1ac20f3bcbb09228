//! `tasker completions`: the script that completes commands and flags in a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{
    cli::Cli,
    exit::{Exit, Outcome},
    output::Output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, out: &Output) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tasker", &mut script);
    out.line(String::from_utf8_lossy(&script).trim_end());
    Ok(Exit::Ok)
}
