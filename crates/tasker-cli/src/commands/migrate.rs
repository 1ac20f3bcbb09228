//! `tasker migrate`: installs, removes and checks the schema.

use clap::Subcommand;
use comfy_table::Cell;
use serde_json::json;
use tasker_model::migrations;

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Failure, Outcome},
    output::Output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Apply what is pending (the default)
    Up,
    /// Take the last migration back, with the data in it
    Down {
        /// Take all back: every task is deleted
        #[arg(long)]
        all: bool,
        /// Yes, delete the data
        #[arg(long)]
        yes: bool,
    },
    /// List the migrations and whether the database has them
    Status,
    /// Say whether the schema fits this program, text by text
    Verify,
    /// Print the SQL of the migrations, for those who apply it by other means
    Sql {
        /// The SQL that takes them back
        #[arg(long)]
        down: bool,
    },
}

pub(crate) fn run(args: &Args, database: &DatabaseArgs, out: &Output) -> Outcome {
    match args.action.as_ref().unwrap_or(&Action::Up) {
        Action::Up => up(database, out),
        Action::Down { yes: false, .. } => {
            Err(Failure::new(Exit::Usage, "this deletes tables with the tasks in them; repeat it with --yes"))
        }
        Action::Down { all, .. } => down(*all, database, out),
        Action::Status => status(database, out),
        Action::Verify => verify(database, out),
        Action::Sql { down } => sql(*down, out),
    }
}

fn up(args: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::find(args)?;
    let applied = migrations::run_pending(&mut database.connect()?)?;
    out.either(&json!({ "applied": applied }), || told("applied", &applied, "the schema is up to date", out));
    Ok(Exit::Ok)
}

fn down(all: bool, args: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::find(args)?;
    let conn = &mut database.connect()?;
    let reverted = match all {
        true => migrations::revert_all(conn)?,
        false => migrations::revert_last(conn)?.into_iter().collect(),
    };
    out.either(&json!({ "reverted": reverted }), || told("took back", &reverted, "nothing is applied", out));
    Ok(Exit::Ok)
}

fn told(verb: &str, names: &[String], otherwise: &str, out: &Output) {
    if names.is_empty() {
        return out.line(otherwise);
    }
    names.iter().for_each(|name| out.line(format_args!("{verb} {name}")));
}

fn status(args: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::find(args)?;
    let conn = &mut database.connect()?;
    let all = migrations::status(conn)?;
    let verdict = migrations::verify(conn).err().map(|e| e.to_string());
    let rows = || all.iter().map(|s| json!({ "name": s.name, "applied": s.applied })).collect::<Vec<_>>();
    out.either(&json!({ "migrations": rows(), "fits": verdict.is_none(), "problem": verdict }), || {
        let word = |applied| if applied { "applied" } else { "pending" };
        out.table(
            &["migration", "state"],
            all.iter().map(|s| vec![Cell::new(&s.name), Cell::new(word(s.applied))]).collect(),
        );
        verdict.iter().for_each(|problem| out.line(problem));
    });
    Ok(Exit::Ok)
}

fn verify(args: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::find(args)?;
    migrations::verify(&mut database.connect()?)?;
    out.either(&json!({ "fits": true }), || out.line("the schema fits this program"));
    Ok(Exit::Ok)
}

fn sql(down: bool, out: &Output) -> Outcome {
    let mut texts: Vec<_> = migrations::texts().map(|(n, up, d)| (n, if down { d } else { up })).collect();
    if down {
        texts.reverse();
    }
    let document: Vec<_> = texts.iter().map(|(name, text)| json!({ "name": name, "sql": text })).collect();
    out.either(&document, || {
        texts.iter().for_each(|(name, text)| out.line(format_args!("-- {name}\n{text}")));
    });
    Ok(Exit::Ok)
}
