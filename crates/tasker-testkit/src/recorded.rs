//! Task states and answers as JSON, one a line: what `cargo xtask readiness` reads and writes, and what answers
//! recorded elsewhere are compared with.

use std::collections::BTreeMap;

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer},
};
use serde_json::{Map, Value, json};
use tasker_model::TaskId;
use tasker_readiness::{StepReadinessStatus, TaskExecutionContext};

use crate::cases::{StepCase, TaskCase, noon};

/// One case: `{"id", "steps": [{"name", "state", "attempts", "retry_limit", "retryable", "retry_due"}],
/// "edges": [[parent, child]]}`. A `retry_limit` of null is 3; `retry_due` says whether the next attempt's time
/// has come.
///
/// # Errors
/// A sentence that names what is missing or unknown.
pub fn read_case(case: &Value) -> Result<TaskCase, String> {
    let list = |key: &str| case[key].as_array().ok_or_else(|| format!("`{key}` must be a list"));
    let steps = list("steps")?;
    let places: BTreeMap<&str, usize> = steps.iter().filter_map(|s| s["name"].as_str()).zip(0..).collect();
    let mut read = steps.iter().map(read_step).collect::<Result<Vec<_>, _>>()?;
    for edge in list("edges")? {
        let place = |end: &Value| {
            end.as_str()
                .and_then(|name| places.get(name))
                .copied()
                .ok_or_else(|| format!("an edge names {end}, which is no step"))
        };
        let (parent, child) = (place(&edge[0])?, place(&edge[1])?);
        read[child].parents.push(parent);
    }
    Ok(TaskCase::new(read))
}

fn read_step(step: &Value) -> Result<StepCase, String> {
    let name = step["name"].as_str().ok_or("a step has no name")?;
    let state = step["state"]
        .as_str()
        .and_then(|s| s.parse().ok())
        .ok_or_else(|| format!("step {name} has no known state"))?;
    let number = |key: &str, default| match &step[key] {
        Value::Null => Ok(default),
        n => n
            .as_i64()
            .and_then(|n| i32::try_from(n).ok())
            .ok_or_else(|| format!("`{key}` of step {name} must be a number")),
    };
    Ok(StepCase {
        retry_limit: number("retry_limit", 3)?,
        retryable: step["retryable"].as_bool().unwrap_or(true),
        due: if step["retry_due"] == false { 3600 } else { 0 },
        ..StepCase::new(state, number("attempts", 0)?)
    })
}

/// What our functions say of the task written as number `task` from `case`: `{"id", "steps", "levels",
/// "context"}`.
///
/// # Errors
/// What the database said.
pub fn answer(conn: &mut PgConnection, task: TaskId, case: &Value) -> Result<Value, String> {
    let failed = |e: diesel::result::Error| e.to_string();
    let names: Vec<&str> =
        case["steps"].as_array().into_iter().flatten().filter_map(|s| s["name"].as_str()).collect();
    let rows = StepReadinessStatus::for_task(conn, task, Some(noon())).map_err(failed)?;
    let steps: Map<String, Value> =
        rows.iter().zip(&names).map(|(row, name)| ((*name).into(), step(row))).collect();
    let by_step = levels(conn, task).map_err(failed)?;
    let levels: Map<String, Value> = rows
        .iter()
        .zip(&names)
        .map(|(r, n)| ((*n).into(), json!(by_step.get(&r.workflow_step_id.0))))
        .collect();
    let context = TaskExecutionContext::find(conn, task, Some(noon()))
        .map_err(failed)?
        .ok_or("there is no such task")?;
    Ok(json!({"id": case["id"], "steps": steps, "levels": levels, "context": standing(&context)}))
}

fn step(row: &StepReadinessStatus) -> Value {
    json!({
        "current_state": row.current_state, "dependencies_satisfied": row.dependencies_satisfied,
        "retry_eligible": row.retry_eligible, "ready_for_execution": row.ready_for_execution,
        "total_parents": row.total_parents, "completed_parents": row.completed_parents,
        "attempts": row.attempts, "retry_limit": row.retry_limit,
    })
}

fn standing(c: &TaskExecutionContext) -> Value {
    json!({
        "total_steps": c.total_steps, "pending_steps": c.pending_steps, "in_progress_steps": c.in_progress_steps,
        "completed_steps": c.completed_steps, "failed_steps": c.failed_steps, "ready_steps": c.ready_steps,
        "completion_percentage": format!("{:.2}", c.completion_percentage), "execution_status": c.execution_status,
        "recommended_action": c.recommended_action, "health_status": c.health_status,
    })
}

fn levels(conn: &mut PgConnection, task: TaskId) -> diesel::QueryResult<BTreeMap<i64, i32>> {
    #[derive(QueryableByName)]
    struct Level {
        #[diesel(sql_type = BigInt)]
        workflow_step_id: i64,
        #[diesel(sql_type = Integer)]
        dependency_level: i32,
    }
    let rows: Vec<Level> =
        sql_query("select workflow_step_id, dependency_level from tasker.calculate_dependency_levels($1)")
            .bind::<BigInt, _>(task)
            .load(conn)?;
    Ok(rows.into_iter().map(|l| (l.workflow_step_id, l.dependency_level)).collect())
}
