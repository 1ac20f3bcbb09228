//! `tasker explain`: why each step that is not done stands where it stands, or stood at an instant.

use chrono::{DateTime, Utc};
use serde_json::json;
use tasker_model::{StepState, TaskId};
use tasker_readiness::Explanation;

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Outcome},
    explanation::{Told, change},
    output::Output,
    situation::Situation,
    time::{between, instant, parse_instant, span},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The task
    task: TaskId,
    /// One step by name or id; all that are not done if not given
    step: Option<String>,
    /// A past instant, such as 2026-01-02T03:04:05Z: what was the answer then, from the history
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    at: Option<DateTime<Utc>>,
}

pub(crate) fn run(args: &Args, database: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::ready(database, false)?;
    let at = Situation::load_at(&mut database.connect()?, args.task, args.at)?;
    let steps: Vec<&Explanation> = match &args.step {
        Some(wanted) => vec![at.step(wanted)?],
        None => at.explained.iter().filter(|e| !is_done(e)).collect(),
    };
    let state = at.explained.first().map_or(at.task.state, |e| e.task_state);
    let told: Vec<Told<'_>> = steps.iter().map(|e| Told::of(&at, e)).collect();
    let document = json!({
        "task_id": at.task.task_id, "workflow": at.workflow.full_name(), "state": state,
        "at": args.at.unwrap_or(at.now), "steps": told,
    });
    out.either(&document, || {
        if args.step.is_none() {
            let (done, all) = (at.explained.iter().filter(|e| is_done(e)).count(), at.explained.len());
            let (id, name) = (at.task.task_id, at.workflow.full_name());
            let then = args.at.map(|at| format!(" at {}", instant(at))).unwrap_or_default();
            out.line(format_args!("task {id} of {name} is {state}{then}; {done} of {all} steps are done"));
        }
        steps.iter().for_each(|step| print(&at, step, out));
    });
    Ok(Exit::Ok)
}

fn is_done(step: &Explanation) -> bool {
    step.state.is_some_and(StepState::is_done)
}

fn print(at: &Situation, step: &Explanation, out: &Output) {
    let name = out.strong(&step.name);
    let since = |since: Option<DateTime<Utc>>| {
        if let Some(since) = since {
            let state = step.state.map(|s| format!(", {s}")).unwrap_or_default();
            let ago = span(between(since, step.at));
            out.line(format_args!("    since    {} ({ago} ago){state}", instant(since)));
        }
    };
    if step.reasons.is_empty() {
        out.line(format_args!("{name} is ready"));
        since(step.claimable_since);
        out.line("    change   the next free slot of a worker takes it");
    }
    for (n, reason) in step.reasons.iter().enumerate() {
        match n {
            0 => out.line(format_args!("{name} {reason}")),
            _ => out.line(format_args!("    and      {reason}")),
        }
        since(reason.since());
        out.line(format_args!("    change   {}", change(at, step, reason)));
    }
}
