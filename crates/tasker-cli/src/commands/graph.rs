//! `tasker graph`: a workflow as a drawing, with the states of a task if one is named.

use clap::ValueEnum;
use diesel::PgConnection;
use serde_json::json;
use tasker_engine::definition::{Graph, States, WorkflowDefinition, ascii, dot, mermaid};
use tasker_model::{StepWithName, TaskId};

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Failure, Outcome},
    output::Output,
    queries,
    situation::Situation,
    workflow::WorkflowArgs,
};

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["workflow", "task"])))]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: Option<WorkflowArgs>,
    /// How to draw it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Draw the states of this task in; without a file it is drawn from the definition that it keeps
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Mermaid,
    Dot,
}

pub(crate) fn run(args: &Args, database: &DatabaseArgs, out: &Output) -> Outcome {
    let from_file = args.workflow.as_ref().map(WorkflowArgs::load).transpose()?;
    let (definition, states) = match args.task {
        Some(task) => {
            let database = Database::ready(database, false)?;
            let (kept, states) = with_states(&mut database.connect()?, task)?;
            (from_file.unwrap_or(kept), Some(states))
        }
        None => {
            let nothing = || Failure::new(Exit::Usage, "name a workflow or a task to draw");
            (from_file.ok_or_else(nothing)?, None)
        }
    };
    let drawn = draw(args.format, &definition, states.as_ref());
    let graph = Graph::new(&definition);
    let document = json!({
        "workflow": definition.full_name(), "drawing": drawn, "levels": graph.by_level(),
        "roots": graph.roots(), "leaves": graph.leaves(), "critical_path": graph.critical_path(),
        "states": states,
    });
    out.either(&document, || out.line(drawn.trim_end()));
    Ok(Exit::Ok)
}

fn draw(format: Format, definition: &WorkflowDefinition, states: Option<&States>) -> String {
    match format {
        Format::Text => ascii(definition, states),
        Format::Mermaid => mermaid(definition, states),
        Format::Dot => dot(definition, states),
    }
}

fn with_states(conn: &mut PgConnection, id: TaskId) -> Outcome<(WorkflowDefinition, States)> {
    let (task, _) = queries::task(conn, id)?;
    let definition = queries::definition(conn, &task)?;
    let steps = StepWithName::of_task(conn, id)?;
    Ok((definition, steps.into_iter().map(|s| (s.name, s.step.state.to_string())).collect()))
}

/// The text drawing of a task, from the definition that it keeps.
pub(crate) fn of_task(conn: &mut PgConnection, at: &Situation) -> Outcome<String> {
    let definition = queries::definition(conn, &at.task)?;
    let states = at.steps.iter().map(|s| (s.name.clone(), s.current_state.to_string())).collect();
    Ok(ascii(&definition, Some(&states)))
}
