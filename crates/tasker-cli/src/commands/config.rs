//! `tasker config`: what is configured, where each value comes from, and what is wrong.

use clap::Subcommand;
use serde_json::json;

use crate::{
    exit::{Exit, Outcome},
    output::Output,
    settings::ConfigArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Say everything that is wrong with the configuration
    Check,
    /// Print every option with its value and where it comes from; secrets are hidden
    Show,
}

pub(crate) fn run(action: &Action, args: &ConfigArgs, out: &Output) -> Outcome {
    match action {
        Action::Check => Ok(check(args, out)),
        Action::Show => show(args, out),
    }
}

fn check(args: &ConfigArgs, out: &Output) -> Exit {
    let report = args.load().err();
    let mistakes = report.as_ref().map_or(&[][..], |report| report.mistakes());
    let (file, environment) = (args.file(), args.environment());
    let document = json!({ "file": file, "environment": environment, "mistakes": mistakes });
    out.either(&document, || match &report {
        Some(report) => out.line(report),
        None => {
            let file = file
                .map_or_else(|| "no file, only defaults and variables".into(), |f| f.display().to_string());
            let of = environment.map(|name| format!(", environment {name}")).unwrap_or_default();
            out.line(format_args!("no mistakes ({file}{of})"));
        }
    });
    if report.is_some() { Exit::BadInput } else { Exit::Ok }
}

fn show(args: &ConfigArgs, out: &Output) -> Outcome {
    let shown = args.load()?.show();
    out.either(&shown, || shown.iter().for_each(|option| out.line(option)));
    Ok(Exit::Ok)
}
