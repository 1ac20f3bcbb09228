//! What the command reads beyond the rows of tasker-model: plain selects, no decisions.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{dsl::max, prelude::*};
use serde::Serialize;
use serde_json::Value;
use tasker_engine::definition::WorkflowDefinition;
use tasker_model::{
    NamedTask, StepId, Task, TaskId, TaskState, WorkerId,
    schema::{
        queues, task_definitions, task_namespaces, tasks, workers, workflow_step_transitions as log,
        workflow_steps as steps,
    },
};

use crate::exit::{Exit, Failure, Outcome};

/// The task, or the sentence that there is none.
pub(crate) fn task(conn: &mut PgConnection, id: TaskId) -> Outcome<(Task, NamedTask)> {
    Task::find(conn, id)?.ok_or_else(|| Failure::input(format!("there is no task {id}")))
}

/// One incarnation of a worker.
#[derive(Debug, Clone, Serialize, Queryable, Selectable)]
#[diesel(table_name = workers, check_for_backend(diesel::pg::Pg))]
pub(crate) struct WorkerRow {
    pub(crate) worker_id: WorkerId,
    pub(crate) name: String,
    pub(crate) namespaces: Option<Vec<Option<String>>>,
    pub(crate) handlers: Vec<Option<String>>,
    pub(crate) lease_until: DateTime<Utc>,
}

impl WorkerRow {
    /// Those that are alive at this instant, and those of these ids.
    pub(crate) fn alive_or(
        conn: &mut PgConnection,
        ids: &[WorkerId],
        now: DateTime<Utc>,
    ) -> QueryResult<(Vec<Self>, HashMap<WorkerId, Self>)> {
        let select = workers::table.select(Self::as_select());
        let alive =
            select.filter(workers::ended_at.is_null()).filter(workers::lease_until.gt(now)).load(conn)?;
        let named: Vec<Self> = select.filter(workers::worker_id.eq_any(ids)).load(conn)?;
        Ok((alive, named.into_iter().map(|w| (w.worker_id, w)).collect()))
    }

    /// Whether it claims steps of this queue.
    pub(crate) fn serves(&self, namespace: &str, handler: &str) -> bool {
        let has = |list: &[Option<String>], word: &str| list.iter().flatten().any(|w| w == word);
        has(&self.handlers, handler) && self.namespaces.as_deref().is_none_or(|n| has(n, namespace))
    }
}

/// When each step of a task last changed its state; steps that never did are left out.
pub(crate) fn last_changes(
    conn: &mut PgConnection,
    task: TaskId,
) -> QueryResult<HashMap<StepId, DateTime<Utc>>> {
    let rows: Vec<(StepId, Option<DateTime<Utc>>)> = log::table
        .filter(log::task_id.eq(task))
        .group_by(log::workflow_step_id)
        .select((log::workflow_step_id, max(log::at)))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(step, at)| Some((step, at?))).collect())
}

/// The definition that a task keeps.
pub(crate) fn definition(conn: &mut PgConnection, task: &Task) -> Outcome<WorkflowDefinition> {
    let document: Value = task_definitions::table
        .filter(task_definitions::definition_id.eq(task.definition_id))
        .select(task_definitions::definition)
        .get_result(conn)?;
    serde_json::from_value(document).map_err(|e| {
        let sentence = format!("the definition of task {} cannot be read by this version: {e}", task.task_id);
        Failure::new(Exit::Schema, sentence)
    })
}

/// The states of these tasks.
pub(crate) fn states(conn: &mut PgConnection, ids: &[TaskId]) -> QueryResult<Vec<(TaskId, TaskState)>> {
    tasks::table
        .filter(tasks::task_id.eq_any(ids))
        .order(tasks::task_id)
        .select((tasks::task_id, tasks::state))
        .load(conn)
}

/// The attempts beyond the first of all steps of these tasks.
pub(crate) fn retries(conn: &mut PgConnection, ids: &[TaskId]) -> QueryResult<i64> {
    use diesel::{dsl::sql, sql_types::BigInt};
    steps::table
        .filter(steps::task_id.eq_any(ids))
        .select(sql::<BigInt>("coalesce(sum(greatest(attempts - 1, 0)), 0)::bigint"))
        .get_result(conn)
}

/// The queues that the unfinished steps of these tasks are claimed from: (namespace, handler).
pub(crate) fn queues_of(conn: &mut PgConnection, ids: &[TaskId]) -> QueryResult<Vec<(String, String)>> {
    steps::table
        .inner_join(queues::table.inner_join(task_namespaces::table))
        .filter(steps::task_id.eq_any(ids))
        .filter(steps::finished_at.is_null())
        .select((task_namespaces::name, queues::handler))
        .distinct()
        .load(conn)
}
