//! Everything about one task that explaining and drawing need, read in one transaction.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use tasker_model::{Edge, NamedTask, StepId, Task, TaskId, WorkerId};
use tasker_readiness::{BlockingReason, StepReadinessStatus};

use crate::{
    database::now,
    exit::{Failure, Outcome},
    output::one_line,
    queries::{self, WorkerRow},
};

/// One task at one instant.
#[derive(Debug, Clone)]
pub(crate) struct Situation {
    pub(crate) now: DateTime<Utc>,
    pub(crate) task: Task,
    pub(crate) workflow: NamedTask,
    pub(crate) steps: Vec<StepReadinessStatus>,
    pub(crate) edges: Vec<Edge>,
    /// The parents of each step, by position in `steps`.
    parents: HashMap<StepId, Vec<usize>>,
    changes: HashMap<StepId, DateTime<Utc>>,
    alive: Vec<WorkerRow>,
    workers: HashMap<WorkerId, WorkerRow>,
}

impl Situation {
    pub(crate) fn load(conn: &mut PgConnection, id: TaskId) -> Outcome<Self> {
        conn.build_transaction().repeatable_read().run(|conn| Self::read(conn, id))
    }

    fn read(conn: &mut PgConnection, id: TaskId) -> Outcome<Self> {
        let now = now(conn)?;
        let (task, workflow) = queries::task(conn, id)?;
        let steps = StepReadinessStatus::for_task(conn, id, Some(now))?;
        let edges = Edge::of_task(conn, id)?;
        let changes = queries::last_changes(conn, id)?;
        let running: Vec<_> = steps.iter().filter_map(|s| s.worker_id).collect();
        let (alive, workers) = WorkerRow::alive_or(conn, &running, now)?;
        let parents = parents(&steps, &edges);
        Ok(Self { now, task, workflow, steps, edges, parents, changes, alive, workers })
    }

    /// The step of this name or id.
    pub(crate) fn step(&self, wanted: &str) -> Outcome<&StepReadinessStatus> {
        let id = wanted.parse().ok();
        let by_name = self.steps.iter().find(|s| s.name == wanted);
        let found = by_name.or_else(|| self.steps.iter().find(|s| Some(s.workflow_step_id) == id));
        found.ok_or_else(|| self.no_step(wanted))
    }

    fn no_step(&self, wanted: &str) -> Failure {
        let names: Vec<_> = self.steps.iter().take(20).map(|s| s.name.as_str()).collect();
        let more = if self.steps.len() > names.len() { ", …" } else { "" };
        let id = self.task.task_id;
        Failure::input(format!("task {id} has no step `{wanted}`; it has {}{more}", names.join(", ")))
    }

    /// The parents of a step.
    pub(crate) fn parents(&self, step: StepId) -> impl Iterator<Item = &StepReadinessStatus> {
        self.parents.get(&step).into_iter().flatten().map(|at| &self.steps[*at])
    }

    /// What a step that waits for its parents waits for in the end: ancestors that are not done and do not
    /// wait for parents themselves. At most `limit` of them.
    pub(crate) fn causes(&self, step: StepId, limit: usize) -> Vec<&StepReadinessStatus> {
        let (mut seen, mut open, mut causes) = (HashSet::from([step]), vec![step], vec![]);
        while let Some(next) = open.pop().filter(|_| causes.len() < limit) {
            for parent in self.parents(next).filter(|p| !p.current_state.is_done()) {
                if !seen.insert(parent.workflow_step_id) {
                    continue;
                }
                match parent.blocking_reason() {
                    Some(BlockingReason::WaitingForParents) => open.push(parent.workflow_step_id),
                    _ => causes.push(parent),
                }
            }
        }
        causes.sort_by_key(|s| s.workflow_step_id);
        causes.truncate(limit);
        causes
    }

    /// Since when a step has been in its state.
    pub(crate) fn since(&self, step: StepId) -> DateTime<Utc> {
        self.changes.get(&step).copied().unwrap_or(self.task.created_at)
    }

    /// Whether a living worker claims from the queue of this handler.
    pub(crate) fn is_served(&self, handler: &str) -> bool {
        self.alive.iter().any(|w| w.serves(&self.workflow.namespace, handler))
    }

    /// The worker by number and name.
    pub(crate) fn worker(&self, id: WorkerId) -> String {
        match self.workers.get(&id) {
            Some(worker) => format!("worker {id} ({})", one_line(&worker.name, 80)),
            None => format!("worker {id}"),
        }
    }
}

/// Steps come in the order of their ids.
fn parents(steps: &[StepReadinessStatus], edges: &[Edge]) -> HashMap<StepId, Vec<usize>> {
    let mut parents: HashMap<StepId, Vec<usize>> = HashMap::new();
    for edge in edges {
        if let Ok(at) = steps.binary_search_by_key(&edge.from_step_id, |s| s.workflow_step_id) {
            parents.entry(edge.to_step_id).or_default().push(at);
        }
    }
    parents
}
