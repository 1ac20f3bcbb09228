//! `tasker task`: lists, shows and operates on tasks.

mod annotate;
mod list;
mod show;

use clap::Subcommand;
use diesel::PgConnection;
use tasker_engine::operations as op;
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
    /// Make the next attempts of the waiting steps of tasks due now
    RetryNow(Several),
    /// Declare tasks in error dealt with; their steps stay as they are
    Resolve(Several),
    /// Change the place of the unfinished steps of tasks in the order of claiming
    Priority(Priority),
    /// Keep the steps of tasks from being claimed until they are resumed
    Pause(Several),
    /// Let the steps of paused tasks be claimed again
    Resume(Several),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Several {
    /// The tasks
    #[arg(required = true)]
    tasks: Vec<TaskId>,
    #[command(flatten)]
    operation: OperationArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Priority {
    /// 1 is claimed first, 5 last
    #[arg(value_name = "PRIORITY", value_parser = clap::value_parser!(i32).range(1..=5))]
    priority: i32,
    #[command(flatten)]
    several: Several,
}

type Operation =
    fn(&mut PgConnection, &[TaskId], &str, Option<&str>) -> diesel::QueryResult<Vec<op::TaskOutcome>>;

pub(crate) fn run(action: &Action, args: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::ready(args, false)?;
    let conn = &mut database.connect()?;
    match action {
        Action::List(args) => list::run(args, conn, out),
        Action::Show(args) => show::run(args, conn, out),
        Action::Annotate(args) => annotate::run(args, conn, out),
        Action::Cancel(several) => whole(conn, several, |c, t, a, r| op::cancel(c, t, a, r, None), out),
        Action::Retry(several) => whole(conn, several, |c, t, a, r| op::retry(c, t, a, r, None), out),
        Action::Resolve(several) => {
            whole(conn, several, |c, t, a, r| op::resolve_whole(c, t, a, r, None), out)
        }
        Action::Pause(several) => whole(conn, several, |c, t, a, r| op::pause(c, t, true, a, r, None), out),
        Action::Resume(several) => whole(conn, several, |c, t, a, r| op::pause(c, t, false, a, r, None), out),
        Action::RetryNow(several) => {
            let by = &several.operation;
            let now = |conn: &mut _, steps: &[_]| op::retry_now(conn, steps, &by.actor(), by.reason(), None);
            operation::on_all_steps(conn, &several.tasks, by, now, out)
        }
        Action::Priority(Priority { priority, several }) => {
            let by = &several.operation;
            let set = |conn: &mut _, steps: &[_]| {
                op::set_priority(conn, steps, *priority, &by.actor(), by.reason(), None)
            };
            operation::on_all_steps(conn, &several.tasks, by, set, out)
        }
    }
}

fn whole(conn: &mut PgConnection, several: &Several, operation: Operation, out: &Output) -> Outcome {
    let (tasks, by) = (&several.tasks, &several.operation);
    operation::on_tasks(conn, tasks, by, |conn| operation(conn, tasks, &by.actor(), by.reason()), out)
}
