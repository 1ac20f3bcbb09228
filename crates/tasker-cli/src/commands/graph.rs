//! `tasker graph`: a workflow as a drawing, with the states of a task if one is named.

use std::path::PathBuf;

use clap::ValueEnum;
use diesel::PgConnection;
use serde_json::json;
use tasker_config::Config;
use tasker_engine::definition::{Graph, States, WorkflowDefinition, ascii, dot, mermaid};
use tasker_model::{StepWithName, TaskId};

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Failure, Outcome},
    output::Output,
    queries,
    situation::Situation,
    workflow,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workflow, a YAML or JSON file, here or in engine.task_config_directory; - is stdin
    #[arg(required_unless_present = "task")]
    workflow: Option<PathBuf>,
    /// The environment whose overrides apply
    #[arg(long, value_name = "NAME", requires = "workflow")]
    environment: Option<String>,
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

pub(crate) fn run(args: &Args, config: &Config, database: &DatabaseArgs, out: &Output) -> Outcome {
    let from_file = match &args.workflow {
        Some(path) => Some(workflow::load(path, args.environment.as_deref(), config)?.definition),
        None => None,
    };
    let of_task = args.task.map(|task| with_states(task, database)).transpose()?;
    let (definition, states) = chosen(from_file, of_task)?;
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

type OfTask = (WorkflowDefinition, States);

fn chosen(
    from_file: Option<WorkflowDefinition>,
    of_task: Option<OfTask>,
) -> Outcome<(WorkflowDefinition, Option<States>)> {
    match (from_file, of_task) {
        (None, None) => Err(Failure::new(Exit::Usage, "name a workflow or a task to draw")),
        (Some(definition), None) => Ok((definition, None)),
        (None, Some((kept, states))) => Ok((kept, Some(states))),
        (Some(definition), Some((kept, states))) if definition.full_name() == kept.full_name() => {
            Ok((definition, Some(states)))
        }
        (Some(definition), Some((kept, _))) => {
            let (file, task) = (definition.full_name(), kept.full_name());
            Err(Failure::input(format!("the file holds {file}, but the task is of {task}")))
        }
    }
}

fn with_states(id: TaskId, database: &DatabaseArgs) -> Outcome<OfTask> {
    let database = Database::ready(database, false)?;
    let conn = &mut database.connect()?;
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
