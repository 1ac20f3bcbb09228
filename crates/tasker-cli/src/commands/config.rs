//! `tasker config`: what is configured, where each value comes from, and what is wrong.

use std::{sync::mpsc, thread, time::Duration};

use clap::Subcommand;
use serde_json::json;
use tasker_config::{Config, ConfigReport};
use tasker_model::migrations;

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Failure, Outcome},
    output::Output,
    settings::ConfigArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Say everything that is wrong with the configuration
    Check {
        /// Also whether the database answers in time, and whether its schema fits
        #[arg(long)]
        connect: bool,
    },
    /// Print every option with its value and where it comes from; secrets are hidden
    Show,
}

pub(crate) fn run(action: &Action, args: &ConfigArgs, database: &DatabaseArgs, out: &Output) -> Outcome {
    match action {
        Action::Check { connect } => match args.load() {
            Err(report) => {
                wrong(args, &report, out);
                Ok(Exit::BadInput)
            }
            Ok(config) => {
                if *connect {
                    answers(&config, database)?;
                }
                right(args, *connect, out);
                Ok(Exit::Ok)
            }
        },
        Action::Show => {
            let shown = args.load()?.show();
            out.either(&shown, || shown.iter().for_each(|option| out.line(option)));
            Ok(Exit::Ok)
        }
    }
}

fn wrong(args: &ConfigArgs, report: &ConfigReport, out: &Output) {
    let (file, environment) = (args.file(), args.environment());
    let document = json!({ "file": file, "environment": environment, "mistakes": report });
    out.either(&document, || out.line(report));
}

fn right(args: &ConfigArgs, answers: bool, out: &Output) {
    let (file, environment) = (args.file(), args.environment());
    let document =
        json!({ "file": file, "environment": environment, "mistakes": [], "database_answers": answers });
    out.either(&document, || {
        let file =
            file.map_or_else(|| "no file, only defaults and variables".into(), |f| f.display().to_string());
        let of = environment.map(|name| format!(", environment {name}")).unwrap_or_default();
        out.line(format_args!("no mistakes ({file}{of})"));
        if answers {
            out.line("the database answers, and its schema fits");
        }
    });
}

/// Whether the database answers in time. A server that takes a connection and says nothing keeps libpq waiting for
/// ever, so it is asked on a thread that nobody waits for.
fn answers(config: &Config, args: &DatabaseArgs) -> Outcome<()> {
    let seconds = config.health().readiness_timeout_seconds;
    let database = Database::find(&args.or(config)?)?;
    let connector = database.connector();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let fits = connector.connect().and_then(|mut conn| Ok(migrations::verify(&mut conn)?));
        let _nobody_waits = tell.send(fits);
    });
    let late = |_| {
        let reason =
            format!("the database did not answer within {seconds} s (health.readiness_timeout_seconds)");
        Failure::new(Exit::Database, reason)
    };
    told.recv_timeout(Duration::from_secs_f64(seconds)).map_err(late)?
}
