//! What became of the submitted tasks.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::Cell;
use diesel::PgConnection;
use serde::Serialize;
use serde_json::json;
use tasker_engine::definition::WorkflowDefinition;
use tasker_model::{StepState, TaskId, TaskState};
use tasker_readiness::{Explanation, Reason, explain_tasks};

use crate::{
    exit::{Exit, Outcome},
    output::{Output, note, state},
    queries,
    time::span,
};

/// How many failed tasks people are shown.
const SHOWN: usize = 20;

#[derive(Debug)]
pub(super) struct Summary {
    workflow: String,
    states: Vec<(TaskId, TaskState)>,
    created: usize,
    retries: i64,
    elapsed: Duration,
    failed: Vec<Failed>,
}

/// A step that keeps its task from completing.
#[derive(Debug, Serialize)]
struct Failed {
    task_id: TaskId,
    step: String,
    reason: String,
    attempts: i32,
    why: String,
}

impl Summary {
    pub(super) fn load(
        conn: &mut PgConnection,
        definition: &WorkflowDefinition,
        ids: &[TaskId],
        created: usize,
        elapsed: Duration,
    ) -> Outcome<Self> {
        let states = queries::states(conn, ids)?;
        let in_error: Vec<_> =
            states.iter().filter(|(_, s)| *s == TaskState::Error).map(|(id, _)| *id).collect();
        let steps = explain_tasks(conn, &in_error, None)?;
        let failed = steps.iter().filter_map(Failed::of).collect();
        let retries = queries::retries(conn, ids)?;
        Ok(Self { workflow: definition.full_name(), states, created, retries, elapsed, failed })
    }

    /// 0 only if every task is done.
    pub(super) fn exit(&self) -> Exit {
        let done = |s: &TaskState| matches!(s, TaskState::Complete | TaskState::ResolvedManually);
        if self.states.iter().all(|(_, state)| done(state)) { Exit::Ok } else { Exit::TasksFailed }
    }

    pub(super) fn print(&self, interrupted: bool, out: &Output) {
        let counts = self.counts();
        let document = json!({
            "workflow": self.workflow, "tasks": self.states.len(), "created": self.created,
            "states": counts, "retries": self.retries, "elapsed_ms": self.elapsed.as_millis() as u64,
            "interrupted": interrupted, "failed": self.failed,
            "task_ids": self.states.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        });
        out.either(&document, || self.print_table(&counts, out));
        if interrupted {
            note("interrupted; the tasks stay, `tasker worker` goes on with them");
        }
    }

    fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, state) in &self.states {
            *counts.entry(state.as_str()).or_default() += 1;
        }
        counts
    }

    fn print_table(&self, counts: &BTreeMap<&'static str, usize>, out: &Output) {
        let rows = counts.iter().map(|(word, n)| vec![state(word), Cell::new(n)]).collect();
        out.table(&["state", "tasks"], rows);
        let existed = self.states.len().saturating_sub(self.created);
        let existed =
            if existed > 0 { format!(", {existed} of which existed before") } else { String::new() };
        out.line(format_args!(
            "{} of {}{existed}; {} in {}",
            plural(self.states.len() as i64, "task", "tasks"),
            self.workflow,
            plural(self.retries, "retry", "retries"),
            span(self.elapsed)
        ));
        for failed in self.failed.iter().take(SHOWN) {
            out.line(format_args!("task {}: step `{}` {}", failed.task_id, failed.step, failed.why));
        }
        if self.failed.len() > SHOWN {
            let more = self.failed.len() - SHOWN;
            out.line(format_args!("and {more} more steps; `tasker task list --state error` lists the tasks"));
        }
    }
}

impl Failed {
    fn of(step: &Explanation) -> Option<Self> {
        if step.state != Some(StepState::Error) {
            return None;
        }
        let dead: &Reason = step.reasons.iter().find(|r| r.is_dead())?;
        Some(Self {
            task_id: step.task_id,
            step: step.name.clone(),
            reason: dead.as_str().into(),
            attempts: step.attempts?,
            why: dead.to_string(),
        })
    }
}

fn plural(n: i64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
