//! Everything about one task that explaining and drawing need, read in one transaction.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use tasker_model::{Edge, NamedTask, StepId, Task, TaskId, WorkerId};
use tasker_readiness::StepReadinessStatus;

use crate::{
    database::now,
    exit::{Failure, Outcome},
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
        Ok(Self { now, task, workflow, steps, edges, changes, alive, workers })
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
        let edges = self.edges.iter().filter(move |e| e.to_step_id == step);
        edges.filter_map(|e| self.by_id(e.from_step_id))
    }

    fn by_id(&self, id: StepId) -> Option<&StepReadinessStatus> {
        let at = self.steps.binary_search_by_key(&id, |s| s.workflow_step_id).ok()?;
        self.steps.get(at)
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
            Some(worker) => format!("worker {id} ({})", worker.name),
            None => format!("worker {id}"),
        }
    }
}
