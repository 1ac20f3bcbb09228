//! Operations of people on tasks and steps: who asked, what would change, and the sentence for what became
//! of it. A dry run is the same SQL in a transaction that is rolled back.

use std::collections::HashMap;

use diesel::{PgConnection, QueryResult, result::Error as QueryError};
use serde::Serialize;
use serde_json::json;
use tasker_engine::commands::{StepOutcome, TaskOutcome};
use tasker_model::{Step, StepId, StepWithName, TaskId};

use crate::{
    exit::{Exit, Outcome},
    output::{Output, note},
    queries,
};

/// How often a deadlock with workers is tried again.
const TRIES: usize = 5;
/// How many changes people are shown.
const SHOWN: usize = 50;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OperationArgs {
    /// Why; it is kept in the history
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    actor: ActorArgs,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ActorArgs {
    /// Who asks for it; the name of the operating system's user if not given
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    actor: Option<String>,
}

impl ActorArgs {
    pub(crate) fn name(&self) -> String {
        let user =
            || ["USER", "LOGNAME"].iter().find_map(|v| std::env::var(v).ok().filter(|u| !u.is_empty()));
        self.actor.clone().or_else(user).unwrap_or_else(|| "unknown".into())
    }
}

impl OperationArgs {
    pub(crate) fn actor(&self) -> String {
        self.actor.name()
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// One thing that an operation changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Change {
    task_id: TaskId,
    /// `None` for the task itself.
    step: Option<String>,
    from: String,
    to: String,
}

/// An operation on whole tasks.
pub(crate) fn on_tasks(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    by: &OperationArgs,
    operation: impl Fn(&mut PgConnection) -> QueryResult<Vec<TaskOutcome>>,
    out: &Output,
) -> Outcome {
    let (outcomes, changes) = within(conn, tasks, by.dry_run, operation)?;
    let told = outcomes.iter().map(|o| Told::task(o, &changes, by.dry_run)).collect::<Vec<_>>();
    Ok(tell(&json!(outcomes), &told, &changes, by.dry_run, out))
}

/// An operation on one step.
pub(crate) fn on_step(
    conn: &mut PgConnection,
    step: &StepWithName,
    by: &OperationArgs,
    operation: impl Fn(&mut PgConnection) -> QueryResult<Vec<StepOutcome>>,
    out: &Output,
) -> Outcome {
    let (outcomes, changes) = within(conn, &[step.step.task_id], by.dry_run, operation)?;
    let of_step = outcomes.iter().filter(|o| o.step_id.is_some());
    let told = of_step.map(|o| Told::step(o, &step.name, by.dry_run)).collect::<Vec<_>>();
    Ok(tell(&json!(outcomes), &told, &changes, by.dry_run, out))
}

fn within<T>(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    dry_run: bool,
    operation: impl Fn(&mut PgConnection) -> QueryResult<T>,
) -> Outcome<(T, Vec<Change>)> {
    for left in (0..TRIES).rev() {
        let mut found = None;
        let ended = conn.build_transaction().read_committed().run(|conn| {
            let before = snapshot(conn, tasks)?;
            let value = operation(conn)?;
            found = Some((value, changes(&before, &snapshot(conn, tasks)?)));
            if dry_run { Err(QueryError::RollbackTransaction) } else { Ok(()) }
        });
        match (ended, found) {
            (Ok(()) | Err(QueryError::RollbackTransaction), Some(found)) => return Ok(found),
            (Err(e), _) if left == 0 || !e.to_string().contains("deadlock detected") => return Err(e.into()),
            _ => {}
        }
    }
    unreachable!("the last try returns")
}

type Snapshot = Vec<(TaskId, Option<(StepId, String)>, String)>;

fn snapshot(conn: &mut PgConnection, tasks: &[TaskId]) -> QueryResult<Snapshot> {
    let mut all = vec![];
    for (task, state) in queries::states(conn, tasks)? {
        all.push((task, None, state.to_string()));
        let steps = StepWithName::of_task(conn, task)?;
        all.extend(steps.into_iter().map(|s| {
            let word = word(&s.step);
            (task, Some((s.step.workflow_step_id, s.name)), word)
        }));
    }
    Ok(all)
}

fn word(step: &Step) -> String {
    match (step.available_at, step.held) {
        (Some(_), false) => format!("{}, claimable", step.state),
        (_, true) => format!("{}, held", step.state),
        (None, false) => step.state.to_string(),
    }
}

fn changes(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let old: HashMap<_, _> = before.iter().map(|(t, s, word)| ((t, s), word)).collect();
    let changed = after.iter().filter_map(|(task, step, to)| {
        let from = old.get(&(task, step)).filter(|from| **from != to)?;
        let step = step.as_ref().map(|(_, name)| name.clone());
        Some(Change { task_id: *task, step, from: (*from).clone(), to: to.clone() })
    });
    changed.collect()
}

/// A sentence, and what it means for the exit code.
struct Told {
    sentence: String,
    exit: Exit,
}

impl Told {
    fn task(o: &TaskOutcome, changes: &[Change], dry_run: bool) -> Self {
        let id = o.task_id;
        let steps = changes.iter().filter(|c| c.task_id == id && c.step.is_some()).count();
        let steps = format!("{steps} step{}", if steps == 1 { "" } else { "s" });
        let is = if dry_run { "would be" } else { "is" };
        let state = o.state.as_deref().unwrap_or("gone");
        match o.outcome.as_str() {
            "cancelled" => Self::ok(format!("task {id} {is} cancelled, with {steps}")),
            "already_cancelled" => Self::ok(format!("task {id} was cancelled already")),
            "retried" => Self::ok(format!("task {id} {is} retried: {steps} changed")),
            "not_found" => Self::wrong(Exit::BadInput, format!("there is no task {id}")),
            _ => Self::wrong(Exit::Refused, format!("task {id} is {state}, which does not allow it")),
        }
    }

    fn step(o: &StepOutcome, name: &str, dry_run: bool) -> Self {
        let id = o.task_id;
        let is = if dry_run { "would be" } else { "is" };
        let state = o.state.as_deref().unwrap_or("gone");
        match o.outcome.as_str() {
            "resolved" => Self::ok(format!(
                "step `{name}` of task {id} {is} resolved; its children wait no more for it"
            )),
            "already_resolved" => Self::ok(format!("step `{name}` of task {id} was resolved already")),
            "retried" => Self::ok(format!("step `{name}` of task {id} {is} retried with new attempts")),
            "not_found" => Self::wrong(Exit::BadInput, format!("task {id} has no step `{name}`")),
            _ => {
                let because = match state.strip_prefix("task ") {
                    Some(state) => format!("its task is {state}"),
                    None => format!("it is {state}"),
                };
                Self::wrong(
                    Exit::Refused,
                    format!("step `{name}` of task {id}: {because}, which does not allow it"),
                )
            }
        }
    }

    fn ok(sentence: String) -> Self {
        Self { sentence, exit: Exit::Ok }
    }

    fn wrong(exit: Exit, sentence: String) -> Self {
        Self { sentence, exit }
    }
}

fn tell(
    outcomes: &serde_json::Value,
    told: &[Told],
    changes: &[Change],
    dry_run: bool,
    out: &Output,
) -> Exit {
    out.either(&json!({ "dry_run": dry_run, "outcomes": outcomes, "changes": changes }), || {
        told.iter().filter(|t| t.exit == Exit::Ok).for_each(|t| out.line(&t.sentence));
        if dry_run {
            print(changes, out);
        }
    });
    told.iter().filter(|t| t.exit != Exit::Ok).for_each(|t| note(format_args!("error: {}", t.sentence)));
    // A refusal says more than a wrong id.
    let worst = told.iter().map(|t| t.exit).max_by_key(|e| *e as u8);
    worst.unwrap_or(Exit::Ok)
}

fn print(changes: &[Change], out: &Output) {
    out.line(match changes.len() {
        0 => "nothing would change",
        _ => "dry run, nothing was changed; it would be:",
    });
    for c in changes.iter().take(SHOWN) {
        let what = c.step.as_ref().map_or_else(|| "the task".into(), |s| format!("step `{s}`"));
        out.line(format_args!("  task {} {what}: {} → {}", c.task_id, c.from, c.to));
    }
    if let Some(more) = changes.len().checked_sub(SHOWN).filter(|n| *n > 0) {
        out.line(format_args!("  and {more} more"));
    }
}
