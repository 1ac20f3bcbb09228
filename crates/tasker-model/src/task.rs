//! Rows of `tasker.tasks` and of the names that they carry.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::{
    DefinitionId, TaskId, TaskState,
    schema::{named_tasks, task_namespaces, task_transitions, tasks, workflow_steps},
};

// Tasks are written from their definition, which holds these keys: the tables repeat no foreign key for each
// of them, so the joins are declared here.
diesel::joinable!(tasks -> named_tasks (named_task_id));
diesel::joinable!(task_transitions -> tasks (task_id));
diesel::joinable!(workflow_steps -> tasks (task_id));

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable, Selectable, Identifiable)]
#[diesel(table_name = tasks, primary_key(task_id), check_for_backend(diesel::pg::Pg))]
pub struct Task {
    /// Identity.
    pub task_id: TaskId,
    /// The workflow.
    pub named_task_id: i32,
    /// The definition that the run keeps.
    pub definition_id: DefinitionId,
    /// Durable state.
    pub state: TaskState,
    /// Steps that are available or in progress.
    pub live_steps: i32,
    /// When the run was asked for.
    pub requested_at: DateTime<Utc>,
    /// When the row was written.
    pub created_at: DateTime<Utc>,
    /// When it came to a state in which nothing runs.
    pub finished_at: Option<DateTime<Utc>>,
    /// Since when a person keeps its steps from being claimed.
    pub paused_at: Option<DateTime<Utc>>,
    /// Unique; a second submission with the same one names this task.
    pub identity_hash: String,
    /// Who asked.
    pub initiator: String,
    /// Which system asked.
    pub source_system: String,
    /// Why.
    pub reason: String,
    /// Names of steps that this run leaves out.
    pub bypass_steps: Vec<Option<String>>,
    /// Words by which people find it.
    pub tags: Vec<Option<String>>,
    /// The input.
    pub context: Value,
}

/// A workflow by namespace, name and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedTask {
    /// `tasker.named_tasks.named_task_id`.
    pub named_task_id: i32,
    /// The namespace's name.
    pub namespace: String,
    /// The workflow's name.
    pub name: String,
    /// Semantic version.
    pub version: String,
}

impl NamedTask {
    /// `namespace.name@version`.
    pub fn full_name(&self) -> String {
        format!("{}.{}@{}", self.namespace, self.name, self.version)
    }
}

/// Which tasks to list; what is `None` does not narrow.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only tasks in this state.
    pub state: Option<TaskState>,
    /// Only tasks of workflows of this namespace.
    pub namespace: Option<String>,
    /// Only tasks of workflows of this name.
    pub name: Option<String>,
    /// Only tasks with a smaller id, to page on.
    pub before: Option<TaskId>,
    /// At most so many.
    pub limit: i64,
}

type WithName = (Task, (i32, String, String, String));

fn with_name((task, (named_task_id, namespace, name, version)): WithName) -> (Task, NamedTask) {
    (task, NamedTask { named_task_id, namespace, name, version })
}

macro_rules! joined {
    () => {
        tasks::table.inner_join(named_tasks::table.inner_join(task_namespaces::table)).select((
            Task::as_select(),
            (named_tasks::named_task_id, task_namespaces::name, named_tasks::name, named_tasks::version),
        ))
    };
}

impl Task {
    /// The task with the name of its workflow, or `None`.
    pub fn find(conn: &mut PgConnection, id: TaskId) -> QueryResult<Option<(Self, NamedTask)>> {
        Ok(joined!().filter(tasks::task_id.eq(id)).first::<WithName>(conn).optional()?.map(with_name))
    }

    /// Tasks that the filter lets through, newest first.
    pub fn list(conn: &mut PgConnection, filter: &TaskFilter) -> QueryResult<Vec<(Self, NamedTask)>> {
        let mut query = joined!().order(tasks::task_id.desc()).limit(filter.limit).into_boxed();
        if let Some(state) = filter.state {
            query = query.filter(tasks::state.eq(state));
            // Said once more in the words of the indexes.
            query = if !state.is_open() {
                query.filter(tasks::outcome.eq(state.as_str()))
            } else {
                query.filter(tasks::finished_at.is_null())
            };
        }
        if let Some(namespace) = &filter.namespace {
            query = query.filter(task_namespaces::name.eq(namespace));
        }
        if let Some(name) = &filter.name {
            query = query.filter(named_tasks::name.eq(name));
        }
        if let Some(before) = filter.before {
            query = query.filter(tasks::task_id.lt(before));
        }
        Ok(query.load::<WithName>(conn)?.into_iter().map(with_name).collect())
    }
}
