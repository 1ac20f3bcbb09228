//! `tasker step`: declares one step done, or gives it new attempts.

use clap::Subcommand;
use diesel::PgConnection;
use serde_json::Value;
use tasker_engine::{
    commands,
    definition::{JsonLimits, check_json},
};
use tasker_model::{StepWithName, TaskId};

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Failure, Outcome},
    input::read_text,
    operation::{self, OperationArgs},
    output::Output,
    queries,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Declare a step done, with a result or none, and release its children
    Resolve(Resolve),
    /// Give a failed or cancelled step new attempts
    Retry(One),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Resolve {
    #[command(flatten)]
    one: One,
    /// Its result as JSON, or @FILE that holds it
    #[arg(long, value_name = "JSON|@FILE", conflicts_with = "skip")]
    result: Option<String>,
    /// Leave it out; only where the workflow marks it skippable
    #[arg(long)]
    skip: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The task
    task: TaskId,
    /// The step by name or id
    step: String,
    #[command(flatten)]
    operation: OperationArgs,
}

pub(crate) fn run(action: &Action, args: &DatabaseArgs, out: &Output) -> Outcome {
    let (Action::Resolve(Resolve { one, .. }) | Action::Retry(one)) = action;
    let result = match action {
        Action::Resolve(resolve) => resolve.result.as_deref().map(parse).transpose()?,
        Action::Retry(_) => None,
    };
    let database = Database::ready(args, false)?;
    let conn = &mut database.connect()?;
    let step = find(conn, one)?;
    match action {
        Action::Resolve(resolve) => self::resolve(conn, resolve, &step, result, out),
        Action::Retry(one) => retry(conn, one, &step, out),
    }
}

fn resolve(
    conn: &mut PgConnection,
    args: &Resolve,
    step: &StepWithName,
    result: Option<Value>,
    out: &Output,
) -> Outcome {
    let by = &args.one.operation;
    if args.skip && !step.step.skippable {
        let sentence = format!("step `{}` is not marked skippable; resolve it without --skip", step.name);
        return Err(Failure::new(Exit::Refused, sentence));
    }
    let reason = match (args.skip, by.reason()) {
        (false, reason) => reason.map(str::to_owned),
        (true, None) => Some("skipped".into()),
        (true, Some(reason)) => Some(format!("skipped: {reason}")),
    };
    let steps = [(step.step.task_id, step.step.workflow_step_id, result)];
    let resolve =
        |conn: &mut PgConnection| commands::resolve(conn, &steps, &by.actor(), reason.as_deref(), None);
    operation::on_step(conn, step, by, resolve, out)
}

fn retry(conn: &mut PgConnection, args: &One, step: &StepWithName, out: &Output) -> Outcome {
    let by = &args.operation;
    let steps = [(step.step.task_id, step.step.workflow_step_id)];
    let retry =
        |conn: &mut PgConnection| commands::retry_single(conn, &steps, &by.actor(), by.reason(), None);
    operation::on_step(conn, step, by, retry, out)
}

fn find(conn: &mut PgConnection, one: &One) -> Outcome<StepWithName> {
    queries::task(conn, one.task)?;
    let steps = StepWithName::of_task(conn, one.task)?;
    let id = one.step.parse().ok();
    let place = steps.iter().position(|s| s.name == one.step);
    let place = place.or_else(|| steps.iter().position(|s| Some(s.step.workflow_step_id) == id));
    match place.and_then(|at| steps.into_iter().nth(at)) {
        Some(step) => Ok(step),
        None => Err(Failure::input(format!("task {} has no step `{}`", one.task, one.step))),
    }
}

fn parse(text: &str) -> Outcome<Value> {
    let (source, text) = match text.strip_prefix('@') {
        Some(file) => (file, read_text(file.as_ref())?),
        None => ("--result", text.to_owned()),
    };
    let value: Value =
        serde_json::from_str(&text).map_err(|e| Failure::input(format!("{source} is not JSON: {e}")))?;
    check_json(&value, JsonLimits::default())
        .map_err(|e| Failure::input(format!("{source} cannot be stored: {e}")))?;
    Ok(value)
}
