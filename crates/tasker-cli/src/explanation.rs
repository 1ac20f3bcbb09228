//! Why a step is not running, since when, and what would change it: the sentences.
//!
//! The reason itself comes from SQL, through [`StepReadinessStatus::blocking_reason`]; nothing is decided
//! here.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tasker_model::{FailureKind, StepId, StepState};
use tasker_readiness::{BlockingReason, StepReadinessStatus};

use crate::{
    output::one_line,
    situation::Situation,
    time::{between, instant, span},
};

/// How much of an error is quoted.
const QUOTED: usize = 300;
/// How many other steps are named.
const LISTED: usize = 5;

/// Where a step stands, in sentences.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Explanation {
    pub(crate) step: String,
    pub(crate) step_id: StepId,
    pub(crate) state: StepState,
    /// The word for it: ready, waiting_for_parents, exhausted …
    pub(crate) reason: String,
    /// Whether a worker could claim it now.
    pub(crate) ready: bool,
    pub(crate) since: DateTime<Utc>,
    pub(crate) why: String,
    pub(crate) change: String,
}

/// Explains one step.
pub(crate) fn explain(at: &Situation, step: &StepReadinessStatus) -> Explanation {
    let (why, change) = sentences(at, step);
    Explanation {
        step: step.name.clone(),
        step_id: step.workflow_step_id,
        state: step.current_state,
        reason: step.detail.clone(),
        ready: step.blocking_reason().is_none(),
        since: at.since(step.workflow_step_id),
        why,
        change,
    }
}

fn sentences(at: &Situation, step: &StepReadinessStatus) -> (String, String) {
    use BlockingReason as R;
    let task = at.task.task_id;
    let Some(reason) = step.blocking_reason() else { return ready(at, step) };
    match reason {
        R::InProgress => running(at, step),
        R::Finished => finished(step, at),
        R::Permanent | R::Exhausted | R::NotRetryable => (dead(step).unwrap_or_default(), remedy(at, step)),
        R::WaitingForParents => (parents(at, step), causes(at, step)),
        R::Held => (
            "is held back, because another step is dead and the workflow fails fast".into(),
            format!("retrying or resolving the dead step lifts the hold: `tasker task retry {task}`"),
        ),
        R::Paused => {
            ("is paused, or its task or its queue is".into(), "it becomes ready when it is resumed".into())
        }
        R::TaskFinished => (
            format!("is not claimed, because its task is {}", at.task.state),
            format!("retrying opens the task again: `tasker task retry {task}`"),
        ),
        R::WaitingForRetry => waiting(at, step),
        R::Scheduled => (due(at, step, "its first attempt"), "time alone".into()),
        other => (format!("cannot be claimed: {other}"), String::new()),
    }
}

fn ready(at: &Situation, step: &StepReadinessStatus) -> (String, String) {
    if at.is_served(&step.handler) {
        return ("is ready".into(), "the next free slot of a worker takes it".into());
    }
    let (handler, namespace) = (&step.handler, &at.workflow.namespace);
    (
        format!("is ready, but no living worker serves handler `{handler}` in namespace `{namespace}`"),
        format!("start one, for example `tasker worker --namespace {namespace}` for the built-in handlers"),
    )
}

fn running(at: &Situation, step: &StepReadinessStatus) -> (String, String) {
    let by = step.worker_id.map_or_else(|| "a worker".into(), |id| at.worker(id));
    let lease = match step.lease_until {
        Some(until) if until > at.now => format!("whose lease holds until {}", instant(until)),
        Some(until) => format!("whose lease ran out at {}", instant(until)),
        None => "without a lease".into(),
    };
    let attempt = format!("attempt {} of {}", step.attempts, step.retry_limit);
    let change = match step.lease_until {
        Some(until) if until <= at.now => "the next worker that claims takes the step back".into(),
        _ => "its handler's answer, its timeout, or the end of the lease".into(),
    };
    (format!("is being run ({attempt}) by {by}, {lease}"), change)
}

fn finished(step: &StepReadinessStatus, at: &Situation) -> (String, String) {
    match step.current_state {
        StepState::Cancelled => ("was cancelled".into(), retry(at)),
        StepState::ResolvedManually => ("was resolved by hand".into(), "nothing; it counts as done".into()),
        StepState::Complete | StepState::Pending | StepState::InProgress | StepState::Error => {
            ("is complete".into(), "nothing; it is done".into())
        }
    }
}

/// Why no further attempt follows by itself; `None` where one may.
#[expect(clippy::wildcard_enum_match_arm, reason = "three reasons are asked for")]
pub(crate) fn dead(step: &StepReadinessStatus) -> Option<String> {
    use BlockingReason as R;
    match step.blocking_reason()? {
        R::Permanent => Some(format!("failed for good: {}", error(step))),
        R::Exhausted => Some(exhausted(step)),
        R::NotRetryable => Some(format!("failed and is not to be tried again: {}", error(step))),
        _ => None,
    }
}

fn exhausted(step: &StepReadinessStatus) -> String {
    match step.retry_limit {
        0 => "never runs, because its retry limit is 0".into(),
        _ => format!("has used up its attempts ({} of {}): {}", step.attempts, step.retry_limit, error(step)),
    }
}

fn remedy(at: &Situation, step: &StepReadinessStatus) -> String {
    let plain = |name: &str| {
        name.starts_with(char::is_alphanumeric)
            && !name.contains(|c: char| !c.is_alphanumeric() && !"_-.".contains(c))
    };
    // A name that the shell would take apart is replaced by the id.
    let name = if plain(&step.name) { step.name.clone() } else { step.workflow_step_id.to_string() };
    format!("{}, or declaring it done: `tasker step resolve {} {name}`", retry(at), at.task.task_id)
}

fn retry(at: &Situation) -> String {
    format!("an operator's retry: `tasker task retry {}`", at.task.task_id)
}

fn waiting(at: &Situation, step: &StepReadinessStatus) -> (String, String) {
    let next = format!("attempt {} of {}", step.attempts + 1, step.retry_limit);
    (
        format!("{}, because the last attempt failed: {}", due(at, step, &next), error(step)),
        "time alone".into(),
    )
}

fn due(at: &Situation, step: &StepReadinessStatus, what: &str) -> String {
    match step.available_at {
        Some(due) => format!("waits for {what} in {} (at {})", span(between(at.now, due)), instant(due)),
        None => format!("waits for {what}"),
    }
}

/// What has to happen at the far end of a chain of waiting steps.
fn causes(at: &Situation, step: &StepReadinessStatus) -> String {
    let causes = at.causes(step.workflow_step_id, LISTED + 1);
    let names = |wanted: &dyn Fn(&StepReadinessStatus) -> bool| {
        let found = causes.iter().take(LISTED).filter(|c| wanted(c)).map(|c| format!("`{}`", c.name));
        found.collect::<Vec<_>>().join(", ")
    };
    let is_dead = |s: &StepReadinessStatus| dead(s).is_some() || s.current_state == StepState::Cancelled;
    let (dead, alive) = (names(&is_dead), names(&|s| !is_dead(s)));
    let more = if causes.len() > LISTED { " and more" } else { "" };
    match (dead.is_empty(), alive.is_empty()) {
        (true, _) => format!("{alive}{more} will be done, and what lies between"),
        (false, true) => format!("somebody has to retry or resolve {dead}{more}"),
        (false, false) => format!("somebody has to retry or resolve {dead}; {alive}{more} will be done"),
    }
}

/// What the last attempt said, with the kind where it is not the ordinary one.
fn error(step: &StepReadinessStatus) -> String {
    let said = step.last_error.as_deref().map_or_else(|| "no message".into(), |e| one_line(e, QUOTED));
    match step.failure_kind {
        Some(FailureKind::LostLease) => format!("{said} (its worker's lease ran out)"),
        Some(FailureKind::Retryable | FailureKind::Permanent | FailureKind::Timeout | FailureKind::Panic)
        | None => said,
    }
}

fn parents(at: &Situation, step: &StepReadinessStatus) -> String {
    let open: Vec<_> = at
        .parents(step.workflow_step_id)
        .filter(|p| !p.current_state.is_done())
        .map(|p| parent(at, p))
        .collect();
    let shown = open.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    let more = open.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("waits for {shown}{more}; {} of {} parents are done", step.completed_parents, step.total_parents)
}

fn parent(at: &Situation, parent: &StepReadinessStatus) -> String {
    let detail = match (parent.current_state, parent.available_at) {
        (StepState::Error, Some(due)) => format!(
            "error, attempt {} of {}, next in {}",
            parent.attempts,
            parent.retry_limit,
            span(between(at.now, due))
        ),
        (StepState::Error, None) => {
            format!("error, attempt {} of {}, {}", parent.attempts, parent.retry_limit, parent.detail)
        }
        (state, _) if parent.detail == state.as_str() => state.to_string(),
        (state, _) => format!("{state}, {}", parent.detail),
    };
    format!("`{}` ({detail})", parent.name)
}
