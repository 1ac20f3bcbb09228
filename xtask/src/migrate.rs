//! `cargo xtask migrate`: the migrations of a database, as the library sees them.

use std::io::{ErrorKind, Write};

use anyhow::Result;
use clap::{Args, ValueEnum};
use tasker_engine::db::connect;
use tasker_localpg::{Wanted, resolve};
use tasker_model::migrations::{self, Status};

use crate::database::show;

#[derive(Args)]
pub(crate) struct Options {
    /// What to do.
    #[arg(value_enum, default_value = "up")]
    action: Action,
    /// The database; else TASKER_DATABASE_URL, DATABASE_URL, or a private cluster that is kept.
    #[arg(long)]
    database_url: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    /// Applies what is pending.
    Up,
    /// Takes the last migration back, with the data of its tables.
    Down,
    /// Lists the migrations.
    Status,
    /// Fails unless the database has exactly the migrations of this version.
    Verify,
    /// Prints the SQL of all migrations, for people who apply it themselves.
    Sql,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if matches!(options.action, Action::Sql) {
        let text: String = migrations::texts().map(|(name, up, _)| format!("-- {name}\n{up}\n")).collect();
        return match std::io::stdout().write_all(text.as_bytes()) {
            // Whoever reads may have read enough.
            Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e.into()),
            _ => Ok(()),
        };
    }
    let database = resolve(options.database_url.clone(), &Wanted::durable(), &mut show)?;
    let mut conn = connect(&database.url)?;
    match options.action {
        Action::Up => say("applied", &migrations::run_pending(&mut conn)?),
        Action::Down => {
            say("taken back", &migrations::revert_last(&mut conn)?.into_iter().collect::<Vec<_>>())
        }
        Action::Status => migrations::status(&mut conn)?.iter().for_each(line),
        Action::Verify => {
            migrations::verify(&mut conn)?;
            println!("the schema is that of this version");
        }
        Action::Sql => {}
    }
    Ok(())
}

fn say(what: &str, names: &[String]) {
    match names {
        [] => println!("nothing to do"),
        names => println!("{what}: {}", names.join(", ")),
    }
}

fn line(status: &Status) {
    println!("{}  {}", if status.applied { "applied" } else { "pending" }, status.name);
}
