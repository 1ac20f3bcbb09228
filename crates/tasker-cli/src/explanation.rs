//! What the terminal adds to the sentences of an explanation: the command that would change it, how long it
//! takes, and what a waiting step waits for in the end.
//!
//! The reasons and their sentences are those of [`tasker_readiness`]; nothing is decided here.

use std::collections::HashSet;

use serde::Serialize;
use tasker_model::{StepId, TaskState};
use tasker_readiness::{Change, Explanation, OpenParent, Paused, Reason};

use crate::{
    output::one_line,
    situation::Situation,
    time::{between, instant, span},
};

/// How many names a sentence lists.
const LISTED: usize = 5;

/// An explanation as JSON: the typed values, each reason with its sentences.
#[derive(Debug, Serialize)]
pub(crate) struct Told<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    sentences: Vec<Sentence>,
}

/// What is told of one reason.
#[derive(Debug, Serialize)]
struct Sentence {
    reason: &'static str,
    blocking: bool,
    why: String,
    change: String,
}

impl<'a> Told<'a> {
    pub(crate) fn of(at: &Situation, explanation: &'a Explanation) -> Self {
        let sentence = |r: &Reason| Sentence {
            reason: r.as_str(),
            blocking: r.is_blocking(),
            why: r.to_string(),
            change: change(at, explanation, r),
        };
        Self { explanation, sentences: explanation.reasons.iter().map(sentence).collect() }
    }
}

/// The first reason, which says most; a step that a worker is about to take is ready.
pub(crate) fn why(explanation: &Explanation) -> String {
    explanation.reasons.first().map_or_else(|| "is ready".into(), ToString::to_string)
}

/// What would take a reason away, with the command that does.
pub(crate) fn change(at: &Situation, step: &Explanation, reason: &Reason) -> String {
    let task = step.task_id;
    let resolve = || format!("declaring it done: `tasker step resolve {task} {}`", plain(step));
    match reason.change() {
        Change::Time { at } => format!("time alone, in {} (at {})", span(between(step.at, at)), instant(at)),
        Change::Parents { .. } => causes(at, step.step_id),
        Change::Retry => retry(step),
        Change::RetryOrResolve => format!("{}, or {}", retry(step), resolve()),
        Change::LimitOrResolve => {
            let limit = format!("a higher retry limit: `tasker step limit {task} {} LIMIT`", plain(step));
            format!("{limit}, or {}", resolve())
        }
        Change::Resume { what } => resume(step, &what),
        change @ Change::LiftHold { .. } => change.to_string(),
        change @ Change::ReopenTask => format!("{change}: `tasker task retry {task}`"),
        Change::StartWorker { namespace, .. } => {
            format!(
                "start one, for example `tasker worker --namespace {namespace}` for the built-in handlers"
            )
        }
        change => change.to_string(),
    }
}

/// What lets the step go on, with the command that does.
fn resume(step: &Explanation, what: &Paused) -> String {
    let change = Change::Resume { what: what.clone() };
    let command = match what {
        Paused::Step => format!("step resume {} {}", step.task_id, plain(step)),
        Paused::Task => format!("task resume {}", step.task_id),
        Paused::Queue { namespace, handler } => {
            format!("queue resume --namespace {namespace} --handler {handler}")
        }
    };
    format!("{change}: `tasker {command}`")
}

/// A task that has ended is retried as a whole; one that goes on, step by step.
fn retry(step: &Explanation) -> String {
    let task = step.task_id;
    match step.task_state {
        TaskState::Pending | TaskState::InProgress => {
            format!("an operator's retry: `tasker step retry {task} {}`", plain(step))
        }
        TaskState::Error | TaskState::Cancelled | TaskState::Complete | TaskState::ResolvedManually => {
            format!("an operator's retry: `tasker task retry {task}`")
        }
    }
}

/// The step's name for a command line. One that the shell would take apart is replaced by the id.
fn plain(step: &Explanation) -> String {
    let is_plain = step.name.starts_with(char::is_alphanumeric)
        && !step.name.contains(|c: char| !c.is_alphanumeric() && !"_-.".contains(c));
    if is_plain { step.name.clone() } else { step.step_id.to_string() }
}

/// What has to happen at the far end of a chain of waiting steps.
fn causes(at: &Situation, step: StepId) -> String {
    let causes = ends(at, step);
    let names = |dead: bool| {
        let found = causes.iter().take(LISTED).filter(|c| c.is_dead() == dead);
        found.map(|c| format!("`{}`", one_line(&c.name, 80))).collect::<Vec<_>>().join(", ")
    };
    let (dead, alive) = (names(true), names(false));
    let more = if causes.len() > LISTED { " and more" } else { "" };
    match (dead.is_empty(), alive.is_empty()) {
        (true, _) => format!("{alive}{more} will be done, and what lies between"),
        (false, true) => format!("somebody has to retry or resolve {dead}{more}"),
        (false, false) => format!("somebody has to retry or resolve {dead}; {alive}{more} will be done"),
    }
}

/// What a step that waits for its parents waits for in the end: ancestors that are not done and do not wait
/// for parents themselves, or are dead. A few more than are listed at most.
fn ends(at: &Situation, step: StepId) -> Vec<&Explanation> {
    let (mut seen, mut open, mut ends) = (HashSet::from([step]), vec![step], vec![]);
    while let Some(next) = open.pop().filter(|_| ends.len() <= LISTED) {
        for parent in open_parents(at, next).iter().filter(|p| seen.insert(p.step_id)) {
            match (parent.dead, open_parents(at, parent.step_id)) {
                (false, [_, ..]) => open.push(parent.step_id),
                _ => ends.extend(at.by_id(parent.step_id)),
            }
        }
    }
    ends.sort_by_key(|e| e.step_id);
    ends
}

fn open_parents(at: &Situation, step: StepId) -> &[OpenParent] {
    let reasons = at.by_id(step).map(|e| &e.reasons[..]).unwrap_or_default();
    let waits = reasons.iter().find_map(|r| match r {
        Reason::WaitingForParents { parents, .. } => Some(&parents[..]),
        _ => None,
    });
    waits.unwrap_or_default()
}
