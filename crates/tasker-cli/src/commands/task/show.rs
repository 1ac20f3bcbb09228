//! `tasker task show`.

use comfy_table::Cell;
use diesel::PgConnection;
use serde_json::{Value, json};
use tasker_model::{
    Annotation, StepState, StepTransition, StepWithName, TaskId, TaskTransition, annotations,
};

use crate::{
    commands::graph,
    exit::{Exit, Outcome},
    explanation::why,
    output::{Output, one_line, state},
    situation::Situation,
    time::instant,
};

/// Larger tasks are not drawn: `tasker graph` does that.
const DRAWN: usize = 60;
/// How much of a result or a context is shown.
const SHOWN: usize = 80;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The task
    task: TaskId,
    /// Also every transition, in order
    #[arg(long)]
    history: bool,
}

pub(super) fn run(args: &Args, conn: &mut PgConnection, out: &Output) -> Outcome {
    let at = Situation::load(conn, args.task)?;
    let steps = StepWithName::of_task(conn, args.task)?;
    let notes = annotations(conn, args.task)?;
    let history = match args.history {
        true => Some((TaskTransition::of_task(conn, args.task)?, StepTransition::of_task(conn, args.task)?)),
        false => None,
    };
    if out.json {
        out.json(&document(&at, &steps, &notes, history.as_ref()));
        return Ok(Exit::Ok);
    }
    header(&at, &notes, out);
    table(&at, &steps, out);
    if steps.len() <= DRAWN && !at.edges.is_empty() {
        out.line("");
        graph::of_task(conn, &at)?.lines().for_each(|line| out.line(line));
    }
    if let Some((task, steps)) = &history {
        out.line("");
        log(&at, task, steps, out);
    }
    Ok(Exit::Ok)
}

type History = (Vec<TaskTransition>, Vec<StepTransition>);

fn document(
    at: &Situation,
    steps: &[StepWithName],
    notes: &[Annotation],
    history: Option<&History>,
) -> Value {
    let mut document = json!({
        "task": at.task, "workflow": at.workflow, "steps": steps, "edges": at.edges, "now": at.now,
        "annotations": notes,
    });
    if let (Some((task, steps)), Some(object)) = (history, document.as_object_mut()) {
        object.insert("task_transitions".into(), json!(task));
        object.insert("step_transitions".into(), json!(steps));
    }
    document
}

fn header(at: &Situation, notes: &[Annotation], out: &Output) {
    let task = &at.task;
    let words = |list: &[Option<String>]| list.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
    let (finished, bypass) = (task.finished_at.map(instant).unwrap_or_default(), words(&task.bypass_steps));
    let lines = [
        ("task", format!("{} of {}", task.task_id, at.workflow.full_name())),
        ("state", task.state.to_string()),
        ("created", format!("{} by {}", instant(task.created_at), task.initiator)),
        ("reason", if task.reason == "unknown" { String::new() } else { task.reason.clone() }),
        ("finished", finished),
        ("context", one_line(&task.context.to_string(), SHOWN)),
        ("bypassed", bypass),
        ("tags", words(&task.tags)),
    ];
    for (name, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        out.line(format_args!("{} {}", out.strong(&format!("{name:<9}")), one_line(text, 4 * SHOWN)));
    }
    for note in notes {
        let text = format!("{} {}: {}", instant(note.created_at), note.kind, note.annotation);
        out.line(format_args!("{} {}", out.strong("note     "), one_line(&text, 4 * SHOWN)));
    }
    out.line("");
}

fn table(at: &Situation, steps: &[StepWithName], out: &Output) {
    let rows = at.explained.iter().zip(steps).map(|(explained, step)| {
        let why = match step.step.state {
            StepState::Complete | StepState::ResolvedManually => String::new(),
            StepState::Pending | StepState::InProgress | StepState::Error | StepState::Cancelled => {
                one_line(&why(explained), 2 * SHOWN)
            }
        };
        let result = step.step.results.as_ref().map(|r| one_line(&r.to_string(), SHOWN));
        vec![
            Cell::new(step.step.workflow_step_id),
            Cell::new(&step.name),
            state(step.step.state),
            Cell::new(format!("{}/{}", step.step.attempts, step.step.retry_limit)),
            Cell::new(result.unwrap_or(why)),
        ]
    });
    out.table(&["id", "step", "state", "attempts", "result, or why not"], rows.collect());
}

fn log(at: &Situation, task: &[TaskTransition], steps: &[StepTransition], out: &Output) {
    let name = |id| at.steps.iter().find(|s| s.workflow_step_id == id).map_or("?", |s| s.name.as_str());
    let by = |actor: &Option<String>, reason: &Option<String>| {
        let who = actor.as_ref().map(|a| format!("by {a}")).unwrap_or_default();
        let why = reason.as_ref().map(|r| one_line(r, 2 * SHOWN)).unwrap_or_default();
        [who, why].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(": ")
    };
    let of_task = task.iter().map(|t| {
        let who = by(&t.actor, &t.reason);
        (
            t.at,
            t.seq,
            "(task)".to_owned(),
            t.from_state.to_string(),
            t.to_state.to_string(),
            String::new(),
            who,
        )
    });
    let of_steps = steps.iter().map(|s| {
        let attempt = format!("{}.{}", s.generation, s.attempt);
        let (from, to) = (s.from_state.to_string(), s.to_state.to_string());
        (s.at, s.seq, name(s.workflow_step_id).to_owned(), from, to, attempt, by(&s.actor, &s.reason))
    });
    let mut all: Vec<_> = of_task.chain(of_steps).collect();
    all.sort();
    let rows = all.into_iter().map(|(at, _, what, from, to, attempt, why)| {
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        vec![Cell::new(at), Cell::new(what), Cell::new(from), state(to), Cell::new(attempt), Cell::new(why)]
    });
    out.table(&["at", "step", "from", "to", "attempt", "why"], rows.collect());
}
