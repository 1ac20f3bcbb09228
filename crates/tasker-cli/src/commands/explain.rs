//! `tasker explain`: why each step that is not done stands where it stands.

use serde_json::json;
use tasker_model::TaskId;
use tasker_readiness::StepReadinessStatus;

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Outcome},
    explanation::{Explanation, explain},
    output::Output,
    situation::Situation,
    time::{between, instant, span},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The task
    task: TaskId,
    /// One step by name or id; all that are not done if not given
    step: Option<String>,
}

pub(crate) fn run(args: &Args, database: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::ready(database, false)?;
    let at = Situation::load(&mut database.connect()?, args.task)?;
    let steps: Vec<&StepReadinessStatus> = match &args.step {
        Some(wanted) => vec![at.step(wanted)?],
        None => at.steps.iter().filter(|s| !s.current_state.is_done()).collect(),
    };
    let explained: Vec<Explanation> = steps.into_iter().map(|s| explain(&at, s)).collect();
    let document = json!({
        "task_id": at.task.task_id, "workflow": at.workflow.full_name(), "state": at.task.state,
        "now": at.now, "steps": explained,
    });
    out.either(&document, || print(&at, &explained, args.step.is_none(), out));
    Ok(Exit::Ok)
}

fn print(at: &Situation, explained: &[Explanation], summary: bool, out: &Output) {
    if summary {
        let (done, all) = (at.steps.iter().filter(|s| s.current_state.is_done()).count(), at.steps.len());
        let (id, name, state) = (at.task.task_id, at.workflow.full_name(), at.task.state);
        out.line(format_args!("task {id} of {name} is {state}; {done} of {all} steps are done"));
    }
    for e in explained {
        out.line(format_args!("{} {}", out.strong(&e.step), e.why));
        let since = format!("{} ({} ago)", instant(e.since), span(between(e.since, at.now)));
        out.line(format_args!("    since    {since}, {}", e.state));
        if !e.change.is_empty() {
            out.line(format_args!("    change   {}", e.change));
        }
    }
}
