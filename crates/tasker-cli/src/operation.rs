//! Operations of people on tasks, steps and queues: who asked, what would change, and the sentence for what
//! became of it.

use diesel::{PgConnection, QueryResult};
use serde::Serialize;
use serde_json::json;
use tasker_engine::operations::{self, Change, Effect, Outcome as Word, StepOutcome, TaskOutcome};
use tasker_model::{StepId, StepWithName, TaskId};

use crate::{
    exit::{Exit, Outcome},
    output::{Output, note},
};

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
    pub(crate) dry_run: bool,
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

/// An operation on whole tasks.
pub(crate) fn on_tasks(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    by: &OperationArgs,
    operation: impl Fn(&mut PgConnection) -> QueryResult<Vec<TaskOutcome>>,
    out: &Output,
) -> Outcome {
    let done = operations::perform(conn, tasks, by.dry_run, operation)?;
    let told = done.outcome.iter().map(|o| Told::task(o, &done.changes, by.dry_run)).collect::<Vec<_>>();
    Ok(tell(&done.outcome, &told, &done.changes, by.dry_run, out))
}

/// An operation on one step.
pub(crate) fn on_step(
    conn: &mut PgConnection,
    step: &StepWithName,
    by: &OperationArgs,
    operation: impl Fn(&mut PgConnection) -> QueryResult<Vec<StepOutcome>>,
    out: &Output,
) -> Outcome {
    let done = operations::perform(conn, &[step.step.task_id], by.dry_run, operation)?;
    let id = Some(step.step.workflow_step_id);
    let of_step = done.outcome.iter().filter(|o| o.step_id == id);
    let more = done.outcome.iter().filter(|o| o.step_id.is_some() && o.step_id != id).count();
    let told = of_step.map(|o| Told::step(o, &step.name, more, by.dry_run)).collect::<Vec<_>>();
    Ok(tell(&done.outcome, &told, &done.changes, by.dry_run, out))
}

/// An operation on every step of whole tasks: one that does not concern a step passes it over.
pub(crate) fn on_all_steps(
    conn: &mut PgConnection,
    tasks: &[TaskId],
    by: &OperationArgs,
    operation: impl Fn(&mut PgConnection, &[(TaskId, StepId)]) -> QueryResult<Vec<StepOutcome>>,
    out: &Output,
) -> Outcome {
    let all = |conn: &mut PgConnection| {
        let mut steps = vec![];
        for task in tasks {
            let found = StepWithName::of_task(conn, *task)?;
            steps.extend(found.iter().map(|s| (*task, s.step.workflow_step_id)));
        }
        operation(conn, &steps)
    };
    let done = operations::perform(conn, tasks, by.dry_run, all)?;
    let told = tasks.iter().map(|t| Told::steps(*t, &done.outcome, by.dry_run)).collect::<Vec<_>>();
    Ok(tell(&done.outcome, &told, &done.changes, by.dry_run, out))
}

/// A sentence, and what it means for the exit code.
pub(crate) struct Told {
    sentence: String,
    exit: Exit,
}

impl Told {
    fn task(o: &TaskOutcome, changes: &[Change], dry_run: bool) -> Self {
        let id = o.task_id;
        let steps = changes.iter().filter(|c| c.task_id == id && c.step.is_some()).count();
        let steps = format!("{steps} step{}", if steps == 1 { "" } else { "s" });
        let is = if dry_run { "would be" } else { "is" };
        match (o.outcome, o.refusal()) {
            (_, Some(_)) => {
                let state = o.state.as_deref().unwrap_or("gone");
                Self::wrong(Exit::Refused, format!("task {id} is {state}, which does not allow it"))
            }
            (Word::NotFound, _) => Self::wrong(Exit::BadInput, format!("there is no task {id}")),
            (Word::Cancelled, _) => Self::ok(format!("task {id} {is} cancelled, with {steps}")),
            (Word::Retried, _) => Self::ok(format!("task {id} {is} retried: {steps} changed")),
            (Word::Paused, _) => {
                Self::ok(format!("task {id} {is} paused: nothing of it is claimed until it is resumed"))
            }
            (Word::Resolved, _) => Self::ok(format!("task {id} {is} resolved; its steps stay as they are")),
            (word, _) => Self::ok(format!("task {id} {}", plainly(word, is))),
        }
    }

    fn step(o: &StepOutcome, name: &str, more: usize, dry_run: bool) -> Self {
        let id = o.task_id;
        let is = if dry_run { "would be" } else { "is" };
        let step = format!("step `{name}` of task {id}");
        let others = if more == 1 { "1 descendant".into() } else { format!("{more} descendants") };
        match (o.outcome, o.refusal()) {
            (_, Some(refusal)) => Self::wrong(Exit::Refused, format!("{step} {refusal}")),
            (Word::NotFound, _) => Self::wrong(Exit::BadInput, format!("task {id} has no step `{name}`")),
            (word @ (Word::Resolved | Word::Skipped), _) => {
                Self::ok(format!("{step} {}; its children wait no more for it", plainly(word, is)))
            }
            (Word::Retried, _) => Self::ok(format!("{step} {is} retried with new attempts")),
            (Word::Reset, _) if more > 0 => Self::ok(format!("{step} {is} reset, with {others}")),
            (Word::Cancelled, _) => Self::ok(format!(
                "{step} {is} cancelled; what waits for it waits until it is retried or reset"
            )),
            (word, _) => Self::ok(format!("{step} {}", plainly(word, is))),
        }
    }

    fn steps(task: TaskId, outcomes: &[StepOutcome], dry_run: bool) -> Self {
        let of_task = || outcomes.iter().filter(|o| o.task_id == task && o.step_id.is_some());
        let changed = of_task().filter(|o| o.outcome.effect() == Effect::Changed).count();
        let already = of_task().any(|o| o.outcome.effect() == Effect::Already);
        let would = if dry_run { "would change" } else { "changed" };
        match (of_task().count(), changed) {
            (0, _) => Self::wrong(Exit::BadInput, format!("there is no task {task}")),
            (_, 0) if already => Self::ok(format!("task {task}: every step that it concerns is so already")),
            (_, 0) => Self::wrong(Exit::Refused, format!("task {task} has no step whose state allows it")),
            (_, 1) => Self::ok(format!("task {task}: 1 step {would}")),
            (_, n) => Self::ok(format!("task {task}: {n} steps {would}")),
        }
    }

    fn ok(sentence: String) -> Self {
        Self { sentence, exit: Exit::Ok }
    }

    pub(crate) fn wrong(exit: Exit, sentence: String) -> Self {
        Self { sentence, exit }
    }

    /// What became of a queue.
    pub(crate) fn queue(o: &operations::QueueOutcome, dry_run: bool) -> Self {
        let is = if dry_run { "would be" } else { "is" };
        let (namespace, handler, steps) = (&o.namespace, &o.handler, o.steps);
        let queue = format!("the queue of handler `{handler}` in namespace `{namespace}`");
        Self::ok(format!("{queue} {}; claimable steps in it: {steps}", plainly(o.outcome, is)))
    }
}

/// The end of a sentence that begins with what was operated on.
fn plainly(word: Word, is: &str) -> String {
    match word {
        Word::AlreadyOpen => "is open, and nothing of it has failed".into(),
        Word::AlreadyPending => "was pending already".into(),
        Word::AlreadyDue => "was due already".into(),
        Word::AlreadyCancelled => "was cancelled already".into(),
        Word::AlreadyResolved => "was resolved already".into(),
        Word::AlreadyPaused => "was paused already".into(),
        Word::NotPaused => "was not paused".into(),
        Word::Unchanged => "had that value already".into(),
        Word::Due => format!("{is} due now"),
        Word::Limited => format!("{is} given the new retry limit"),
        Word::Prioritized => format!("{is} given the new priority"),
        word => format!("{is} {word}"),
    }
}

/// Tells people or programs; the exit code is that of the worst.
pub(crate) fn tell(
    outcomes: &impl Serialize,
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
        0 => "no task or step would change",
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
