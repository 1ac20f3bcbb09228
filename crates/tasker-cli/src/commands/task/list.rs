//! `tasker task list`.

use comfy_table::Cell;
use diesel::PgConnection;
use serde::Serialize;
use tasker_model::{NamedTask, Task, TaskFilter, TaskId, TaskState};
use tasker_readiness::TaskExecutionContext;

use crate::{
    exit::{Exit, Outcome},
    output::{Output, note, state},
    time::instant,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only in this state: pending, in_progress, complete, error, cancelled, resolved_manually
    #[arg(long)]
    state: Option<TaskState>,
    /// Only of workflows of this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only of workflows of this name
    #[arg(long)]
    name: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Only tasks with a smaller id, to page on
    #[arg(long, value_name = "ID")]
    before: Option<TaskId>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    task: &'a Task,
    workflow: String,
    progress: Option<&'a TaskExecutionContext>,
}

pub(super) fn run(args: &Args, conn: &mut PgConnection, out: &Output) -> Outcome {
    let filter = TaskFilter {
        state: args.state,
        namespace: args.namespace.clone(),
        name: args.name.clone(),
        before: args.before,
        limit: args.limit,
    };
    let tasks = Task::list(conn, &filter)?;
    let ids: Vec<_> = tasks.iter().map(|(task, _)| task.task_id).collect();
    let contexts = TaskExecutionContext::for_tasks(conn, Some(&ids), None)?;
    let rows: Vec<_> = tasks.iter().map(|t| row(t, &contexts)).collect();
    out.either(&rows, || print(&rows, args, out));
    Ok(Exit::Ok)
}

fn row<'a>((task, workflow): &'a (Task, NamedTask), contexts: &'a [TaskExecutionContext]) -> Row<'a> {
    let at = contexts.binary_search_by_key(&task.task_id, |c| c.task_id).ok();
    Row { task, workflow: workflow.full_name(), progress: at.and_then(|at| contexts.get(at)) }
}

fn print(rows: &[Row<'_>], args: &Args, out: &Output) {
    if rows.is_empty() {
        return note("no task");
    }
    let cells = rows.iter().map(|row| {
        let (done, detail) = row.progress.map_or_else(Default::default, |p| {
            (format!("{}/{}", p.completed_steps, p.total_steps), p.detailed_status.clone())
        });
        let detail = if row.task.state.is_open() { detail } else { String::new() };
        vec![
            Cell::new(row.task.task_id),
            state(row.task.state),
            Cell::new(&row.workflow),
            Cell::new(done),
            Cell::new(instant(row.task.created_at)),
            Cell::new(detail),
        ]
    });
    out.table(&["id", "state", "workflow", "done", "created", "open because"], cells.collect());
    if let Some(last) = rows.last().filter(|_| i64::try_from(rows.len()) == Ok(args.limit)) {
        note(format_args!("older ones: --before {}", last.task.task_id));
    }
}
