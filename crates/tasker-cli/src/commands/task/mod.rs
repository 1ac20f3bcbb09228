//! `tasker task`: lists, shows and operates on tasks.

mod annotate;
mod list;
mod show;

use clap::Subcommand;
use tasker_engine::commands;
use tasker_model::TaskId;

use crate::{
    database::{Database, DatabaseArgs},
    exit::Outcome,
    operation::{self, OperationArgs},
    output::Output,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List tasks, newest first
    List(list::Args),
    /// Show a task with its steps
    Show(show::Args),
    /// Note something about a task; show tells it
    Annotate(annotate::Args),
    /// Cancel tasks with their unfinished steps
    Cancel(Several),
    /// Give the failed and cancelled steps of tasks new attempts
    Retry(Several),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Several {
    /// The tasks
    #[arg(required = true)]
    tasks: Vec<TaskId>,
    #[command(flatten)]
    operation: OperationArgs,
}

pub(crate) fn run(action: &Action, args: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::ready(args, false)?;
    let conn = &mut database.connect()?;
    match action {
        Action::List(args) => list::run(args, conn, out),
        Action::Show(args) => show::run(args, conn, out),
        Action::Annotate(args) => annotate::run(args, conn, out),
        Action::Cancel(several) => {
            let (tasks, by) = (&several.tasks, &several.operation);
            let cancel = |conn: &mut _| commands::cancel(conn, tasks, &by.actor(), by.reason(), None);
            operation::on_tasks(conn, tasks, by, cancel, out)
        }
        Action::Retry(several) => {
            let (tasks, by) = (&several.tasks, &several.operation);
            let retry = |conn: &mut _| commands::retry(conn, tasks, &by.actor(), by.reason(), None);
            operation::on_tasks(conn, tasks, by, retry, out)
        }
    }
}
