//! How deep a step lies, as a struct.

use diesel::prelude::*;
use serde::Serialize;
use tasker_model::{StepId, TaskId};

use crate::{calculate_dependency_levels, calculate_dependency_levels_batch};

/// A row of `tasker.calculate_dependency_levels` or of its batch form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Queryable)]
pub struct DependencyLevel {
    /// The step.
    pub workflow_step_id: StepId,
    /// Edges on the longest path that leads to it; 0 without parents.
    pub dependency_level: i32,
    /// The task.
    pub task_id: TaskId,
}

impl DependencyLevel {
    /// The steps of one task by level and id; none where the task does not exist. An error
    /// (SQLSTATE 23000) where steps wait for each other in a circle.
    pub fn for_task(conn: &mut PgConnection, task: TaskId) -> QueryResult<Vec<Self>> {
        calculate_dependency_levels(task.0).load(conn)
    }

    /// The steps of these tasks by task, level and id; of every open task where `tasks` is `None`.
    pub fn for_tasks(conn: &mut PgConnection, tasks: Option<&[TaskId]>) -> QueryResult<Vec<Self>> {
        calculate_dependency_levels_batch(tasks.map(|t| t.iter().map(|t| t.0).collect::<Vec<_>>())).load(conn)
    }
}
