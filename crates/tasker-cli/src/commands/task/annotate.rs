//! `tasker task annotate`: notes something about a task, for people and programs that read it later.

use diesel::PgConnection;
use serde_json::{Value, json};
use tasker_engine::definition::{JsonLimits, check_json};
use tasker_model::{TaskId, annotate};

use crate::{
    exit::{Exit, Failure, Outcome},
    input::read_text,
    output::Output,
    queries,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The task
    task: TaskId,
    /// The kind of the note, such as incident or ticket
    #[arg(value_parser = kind)]
    kind: String,
    /// The note: a JSON object, or @FILE that holds it
    #[arg(value_name = "JSON|@FILE")]
    note: String,
}

/// What the database takes as the name of a kind.
fn kind(name: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&name.chars().count());
    if fits { Ok(name.into()) } else { Err("a kind has 1 to 64 characters".into()) }
}

pub(super) fn run(args: &Args, conn: &mut PgConnection, out: &Output) -> Outcome {
    let note = parse(&args.note)?;
    conn.build_transaction().run(|conn| {
        queries::task(conn, args.task)?;
        annotate(conn, args.task, &args.kind, &note).map_err(Failure::from)
    })?;
    out.either(&json!({ "task_id": args.task, "kind": args.kind, "annotation": note }), || {
        out.line(format_args!("task {} is annotated", args.task));
    });
    Ok(Exit::Ok)
}

fn parse(text: &str) -> Outcome<Value> {
    let (source, text) = match text.strip_prefix('@') {
        Some(file) => (file, read_text(file.as_ref())?),
        None => ("the note", text.to_owned()),
    };
    let value: Value =
        serde_json::from_str(&text).map_err(|e| Failure::input(format!("{source} is not JSON: {e}")))?;
    check_json(&value, JsonLimits::object())
        .map_err(|e| Failure::input(format!("{source} cannot be stored: {e}")))?;
    Ok(value)
}
