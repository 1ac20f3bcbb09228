//! Everything about one task that explaining and drawing need, read in one transaction.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use tasker_model::{Edge, NamedTask, StepId, Task, TaskId};
use tasker_readiness::{Explanation, Moment, StepReadinessStatus, explain_task};

use crate::{
    database::now,
    exit::{Failure, Outcome},
    queries,
};

/// One task at one instant.
#[derive(Debug, Clone)]
pub(crate) struct Situation {
    pub(crate) now: DateTime<Utc>,
    pub(crate) task: Task,
    pub(crate) workflow: NamedTask,
    pub(crate) steps: Vec<StepReadinessStatus>,
    pub(crate) edges: Vec<Edge>,
    /// Why each step stands where it stands, in the order of `steps`.
    pub(crate) explained: Vec<Explanation>,
}

impl Situation {
    pub(crate) fn load(conn: &mut PgConnection, id: TaskId) -> Outcome<Self> {
        Self::load_at(conn, id, None)
    }

    /// The same with the explanations of a past instant.
    pub(crate) fn load_at(conn: &mut PgConnection, id: TaskId, past: Option<DateTime<Utc>>) -> Outcome<Self> {
        conn.build_transaction().repeatable_read().run(|conn| Self::read(conn, id, past))
    }

    fn read(conn: &mut PgConnection, id: TaskId, past: Option<DateTime<Utc>>) -> Outcome<Self> {
        let now = now(conn)?;
        let (task, workflow) = queries::task(conn, id)?;
        let steps = StepReadinessStatus::for_task(conn, id, Some(now))?;
        let edges = Edge::of_task(conn, id)?;
        let explained = explain_task(conn, id, past.map_or(Moment::Clock(now), Moment::Past))?;
        Ok(Self { now, task, workflow, steps, edges, explained })
    }

    /// The explanation of the step of this name or id.
    pub(crate) fn step(&self, wanted: &str) -> Outcome<&Explanation> {
        let id = wanted.parse().ok();
        let by_name = self.explained.iter().find(|s| s.name == wanted);
        let found = by_name.or_else(|| self.explained.iter().find(|s| Some(s.step_id) == id));
        found.ok_or_else(|| self.no_step(wanted))
    }

    fn no_step(&self, wanted: &str) -> Failure {
        let names: Vec<_> = self.steps.iter().take(20).map(|s| s.name.as_str()).collect();
        let more = if self.steps.len() > names.len() { ", …" } else { "" };
        let id = self.task.task_id;
        Failure::input(format!("task {id} has no step `{wanted}`; it has {}{more}", names.join(", ")))
    }

    /// The explanation of a step.
    pub(crate) fn by_id(&self, id: StepId) -> Option<&Explanation> {
        let at = self.explained.binary_search_by_key(&id, |s| s.step_id).ok()?;
        self.explained.get(at)
    }
}
