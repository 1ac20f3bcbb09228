//! `tasker queue`: lists queues, and pauses and resumes them, one by one or a namespace at a time.

use clap::Subcommand;
use comfy_table::Cell;
use diesel::{PgConnection, QueryResult, result::Error as QueryError};
use tasker_engine::operations::{self as op, QueueOutcome};

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Outcome},
    operation::{self, OperationArgs, Told},
    output::{Output, note},
    queries,
    time::instant,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List queues with what waits in them
    List,
    /// Let nothing of a queue be claimed until it is resumed
    Pause(Which),
    /// Let a paused queue be claimed from again
    Resume(Which),
}

#[derive(Debug, clap::Args)]
#[group(id = "which", required = true, multiple = true, args = ["namespace", "handler"])]
pub(crate) struct Which {
    /// The namespace; without --handler all its queues, and those that it comes to have
    #[arg(long)]
    namespace: Option<String>,
    /// The handler; without --namespace in every namespace that has it
    #[arg(long)]
    handler: Option<String>,
    #[command(flatten)]
    operation: OperationArgs,
}

pub(crate) fn run(action: &Action, args: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::ready(args, false)?;
    let conn = &mut database.connect()?;
    match action {
        Action::List => list(conn, out),
        Action::Pause(which) => pause(conn, which, true, out),
        Action::Resume(which) => pause(conn, which, false, out),
    }
}

fn list(conn: &mut PgConnection, out: &Output) -> Outcome {
    let queues = queries::queues(conn)?;
    out.either(&queues, || {
        if queues.is_empty() {
            note("no queue");
        }
        let rows = queues.iter().map(|q| {
            vec![
                Cell::new(&q.namespace),
                Cell::new(&q.handler),
                Cell::new(q.claimable),
                Cell::new(q.in_progress),
                Cell::new(q.paused_at.map(instant).unwrap_or_default()),
            ]
        });
        out.table(&["namespace", "handler", "claimable", "in progress", "paused since"], rows.collect());
    });
    Ok(Exit::Ok)
}

fn pause(conn: &mut PgConnection, which: &Which, pause: bool, out: &Output) -> Outcome {
    let by = &which.operation;
    let outcomes = ask(conn, which, pause)?;
    let mut told: Vec<_> = outcomes.iter().map(|o| Told::queue(o, by.dry_run)).collect();
    if told.is_empty() {
        told.push(Told::wrong(Exit::BadInput, "there is no such queue".into()));
    }
    Ok(operation::tell(&outcomes, &told, &[], by.dry_run, out))
}

/// Asks the database for it, in a transaction that a dry run rolls back.
fn ask(conn: &mut PgConnection, which: &Which, pause: bool) -> QueryResult<Vec<QueueOutcome>> {
    let by = &which.operation;
    let mut outcomes = vec![];
    let ended = conn.build_transaction().read_committed().run(|conn| {
        let (namespace, handler) = (which.namespace.as_deref(), which.handler.as_deref());
        outcomes = op::pause_queue(conn, namespace, handler, pause, &by.actor(), by.reason(), None)?;
        if by.dry_run { Err(QueryError::RollbackTransaction) } else { Ok(()) }
    });
    match ended {
        Ok(()) | Err(QueryError::RollbackTransaction) => Ok(outcomes),
        Err(e) => Err(e),
    }
}
