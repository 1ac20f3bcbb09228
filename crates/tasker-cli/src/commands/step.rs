//! `tasker step`: what people do to one step.

use clap::Subcommand;
use diesel::{PgConnection, QueryResult};
use serde_json::Value;
use tasker_engine::{
    definition::{JsonLimits, check_json},
    operations::{self as op, StepOutcome},
};
use tasker_model::{StepId, StepWithName, TaskId};

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Failure, Outcome},
    input::read_text,
    operation::{self, OperationArgs},
    output::Output,
    queries,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Cancel a step; its task goes on, and what waits for the step waits
    Cancel(One),
    /// Give a failed or cancelled step new attempts
    Retry(One),
    /// Make the next attempt of a waiting step due now
    RetryNow(One),
    /// Run a step anew with everything that waits for it
    RetryFrom(One),
    /// Run a step anew; refused where its children have run on its result
    Reset(One),
    /// Declare a step done, with a result or none, and release its children
    Resolve(Resolve),
    /// Leave a step out; only where the workflow marks it skippable
    Skip(One),
    /// Change how many attempts a step may have
    Limit(Limit),
    /// Change the place of a step in the order of claiming
    Priority(Priority),
    /// Keep a step from being claimed until it is resumed
    Pause(One),
    /// Let a paused step be claimed again
    Resume(One),
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

#[derive(Debug, clap::Args)]
pub(crate) struct Resolve {
    #[command(flatten)]
    one: One,
    /// Its result as JSON, or @FILE that holds it
    #[arg(long, value_name = "JSON|@FILE")]
    result: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Limit {
    #[command(flatten)]
    one: One,
    /// The total number of attempts; 0 means never
    #[arg(value_name = "LIMIT", value_parser = clap::value_parser!(i32).range(0..=1_000_000))]
    limit: i32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Priority {
    #[command(flatten)]
    one: One,
    /// 1 is claimed first, 5 last
    #[arg(value_name = "PRIORITY", value_parser = clap::value_parser!(i32).range(1..=5))]
    priority: i32,
}

impl Action {
    fn one(&self) -> &One {
        match self {
            Self::Cancel(one)
            | Self::Retry(one)
            | Self::RetryNow(one)
            | Self::RetryFrom(one)
            | Self::Reset(one)
            | Self::Skip(one)
            | Self::Pause(one)
            | Self::Resume(one) => one,
            Self::Resolve(resolve) => &resolve.one,
            Self::Limit(limit) => &limit.one,
            Self::Priority(priority) => &priority.one,
        }
    }

    /// Asks the database for it; `result` is that of a resolution.
    fn ask(
        &self,
        conn: &mut PgConnection,
        step: (TaskId, StepId),
        result: Option<&Value>,
    ) -> QueryResult<Vec<StepOutcome>> {
        let by = &self.one().operation;
        let (steps, actor, reason) = (&[step], &by.actor(), by.reason());
        match self {
            Self::Cancel(_) => op::cancel_single(conn, steps, actor, reason, None),
            Self::Retry(_) => op::retry_single(conn, steps, actor, reason, None),
            Self::RetryNow(_) => op::retry_now(conn, steps, actor, reason, None),
            Self::RetryFrom(_) => op::retry_from(conn, steps, actor, reason, None),
            Self::Reset(_) => op::reset(conn, steps, actor, reason, None),
            Self::Resolve(_) => op::resolve(conn, &[(step.0, step.1, result.cloned())], actor, reason, None),
            Self::Skip(_) => op::skip(conn, steps, actor, reason, None),
            Self::Limit(to) => op::set_retry_limit(conn, steps, to.limit, actor, reason, None),
            Self::Priority(to) => op::set_priority(conn, steps, to.priority, actor, reason, None),
            Self::Pause(_) => op::pause_single(conn, steps, true, actor, reason, None),
            Self::Resume(_) => op::pause_single(conn, steps, false, actor, reason, None),
        }
    }
}

pub(crate) fn run(action: &Action, args: &DatabaseArgs, out: &Output) -> Outcome {
    let result = match action {
        Action::Resolve(resolve) => resolve.result.as_deref().map(parse).transpose()?,
        _ => None,
    };
    let database = Database::ready(args, false)?;
    let conn = &mut database.connect()?;
    let one = action.one();
    let step = find(conn, one)?;
    let id = (step.step.task_id, step.step.workflow_step_id);
    let ask = |conn: &mut PgConnection| action.ask(conn, id, result.as_ref());
    operation::on_step(conn, &step, &one.operation, ask, out)
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
