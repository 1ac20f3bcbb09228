//! What the command reads beyond the rows of tasker-model: plain selects, no decisions.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text, Timestamptz},
};
use serde::Serialize;
use serde_json::Value;
use tasker_engine::definition::WorkflowDefinition;
use tasker_model::{
    NamedTask, Task, TaskId, TaskState,
    schema::{queues, task_definitions, task_namespaces, tasks, workflow_steps as steps},
};

use crate::exit::{Exit, Failure, Outcome};

/// The task, or the sentence that there is none. An id below that of a task that is there was given out once.
pub(crate) fn task(conn: &mut PgConnection, id: TaskId) -> Outcome<(Task, NamedTask)> {
    if let Some(found) = Task::find(conn, id)? {
        return Ok(found);
    }
    let last: Option<TaskId> = tasks::table.select(diesel::dsl::max(tasks::task_id)).get_result(conn)?;
    let gone = id > TaskId(0) && Some(id) < last;
    let more = if gone { "; it was pruned, or its submission was never committed" } else { "" };
    Err(Failure::input(format!("there is no task {id}{more}")))
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
    use diesel::dsl::sql;
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

/// A queue and what is in it.
#[derive(Debug, Serialize, QueryableByName)]
pub(crate) struct Queue {
    #[diesel(sql_type = Text)]
    pub(crate) namespace: String,
    #[diesel(sql_type = Text)]
    pub(crate) handler: String,
    /// Steps that a claim would find, now or later, if the queue were open.
    #[diesel(sql_type = BigInt)]
    pub(crate) claimable: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) in_progress: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) paused_at: Option<DateTime<Utc>>,
}

/// All queues, by namespace and handler.
pub(crate) fn queues(conn: &mut PgConnection) -> QueryResult<Vec<Queue>> {
    diesel::sql_query(
        "select n.name as namespace, q.handler, coalesce(c.n, 0) as claimable, coalesce(r.n, 0) as in_progress, q.paused_at
         from tasker.queues q join tasker.task_namespaces n using (task_namespace_id)
         left join (
           select s.queue_id, count(*) as n from tasker.workflow_steps s
           where s.available_at is not null and not s.held and not s.paused group by 1) c using (queue_id)
         left join (
           select s.queue_id, count(*) as n from tasker.workflow_steps s where s.worker_id is not null group by 1) r using (queue_id)
         order by 1, 2",
    )
    .load(conn)
}
