//! What must not matter: finished tasks, and rows that are due later or paused in front of the ready ones.

use anyhow::Result;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::BigInt,
};
use serde::Serialize;

use super::{
    measure::{Argument, Times, explain, time},
    scale::{Effort, ids},
    server::Server,
};
use crate::data::{
    self,
    plan::{Mix, Plan as DataPlan},
    shapes::Shape,
};

/// How many open tasks there are.
const OPEN: usize = 10_000;

/// Claim order is what a claim would take, so this is the peek of a claim.
const PEEK: &str = "select * from tasker.get_next_ready_steps(100)";

/// The peek and one task's readiness under one circumstance.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Circumstance {
    pub(super) name: String,
    pub(super) next100_ms: f64,
    pub(super) next100_buffers: u64,
    pub(super) open_batch_ms: f64,
    pub(super) one_readiness_p99_ms: f64,
}

/// 10,000 open tasks alone, under so many finished ones, and behind so many rows that are not ready.
pub(super) fn measure(
    server: &Server,
    history: usize,
    front: usize,
    effort: Effort,
) -> Result<Vec<Circumstance>> {
    let mut all = vec![];
    let mut rng = fastrand::Rng::with_seed(effort.seed);
    for finished in [0, history] {
        let database = server.database(&format!("history_{finished}"))?;
        let conn = &mut database.connect()?;
        if finished > 0 {
            data::add(conn, &DataPlan::new(finished, Mix::FINISHED, Shape::All, &mut rng), &mut rng)?;
        }
        let open = ids_of_open(conn, &mut rng)?;
        all.push(look(conn, format!("{OPEN} open tasks, {finished} finished"), &open, effort, &mut rng)?);
        if finished == 0 && front > 0 {
            all.extend(in_front(conn, front, &open, effort, &mut rng)?);
        }
    }
    Ok(all)
}

fn ids_of_open(conn: &mut PgConnection, rng: &mut fastrand::Rng) -> Result<Vec<i64>> {
    let before = newest(conn)?.unwrap_or(0);
    data::add(conn, &DataPlan::new(OPEN, Mix::OPEN, Shape::All, rng), rng)?;
    data::tidy(conn)?;
    Ok(ids(conn)?.into_iter().filter(|id| *id > before).collect())
}

fn in_front(
    conn: &mut PgConnection,
    front: usize,
    open: &[i64],
    effort: Effort,
    rng: &mut fastrand::Rng,
) -> Result<Vec<Circumstance>> {
    let before = newest(conn)?.unwrap_or(0);
    // Of their four roots, three and a half are ready on average.
    data::add(conn, &DataPlan::new(front * 2 / 7 + 1, Mix::OPEN, Shape::Parallel, rng), rng)?;
    let mut all = vec![];
    for (name, change) in [
        ("due tomorrow at the highest priority", "available_at = now() + interval '1 day'"),
        ("paused at the highest priority", "available_at = now() - interval '1 day', paused = true"),
    ] {
        let rows = sql_query(format!(
            "update tasker.workflow_steps set priority = 1, {change} where task_id > {before} and available_at is not null"
        ))
        .execute(conn)?;
        // So that what is measured is the crowd and not what the update left behind.
        conn.batch_execute("reindex table tasker.workflow_steps")?;
        data::tidy(conn)?;
        all.push(look(conn, format!("{OPEN} open tasks behind {rows} rows {name}"), open, effort, rng)?);
    }
    Ok(all)
}

fn look(
    conn: &mut PgConnection,
    name: String,
    open: &[i64],
    effort: Effort,
    rng: &mut fastrand::Rng,
) -> Result<Circumstance> {
    let batch = "select count(*) from tasker.get_step_readiness_status_batch(null) where ready_for_execution";
    let one = "select * from tasker.get_step_readiness_status($1)";
    let (mut peeks, mut batches, mut ones) = (Times::default(), Times::default(), Times::default());
    for _ in 0..7 {
        time(conn, PEEK, &Argument::Nothing)?;
        time(conn, one, &Argument::Task(open.first().copied().unwrap_or(0)))?;
    }
    for _ in 0..effort.runs {
        peeks.0.push(time(conn, PEEK, &Argument::Nothing)?);
        batches.0.push(time(conn, batch, &Argument::Nothing)?);
    }
    for _ in 0..effort.samples {
        ones.0.push(time(conn, one, &Argument::Task(rng.choice(open).copied().unwrap_or(0)))?);
    }
    Ok(Circumstance {
        name,
        next100_ms: peeks.median(),
        next100_buffers: explain(conn, PEEK, &Argument::Nothing)?.buffers,
        open_batch_ms: batches.median(),
        one_readiness_p99_ms: ones.quantile(0.99),
    })
}

fn newest(conn: &mut PgConnection) -> Result<Option<i64>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Nullable<BigInt>)]
        id: Option<i64>,
    }
    let row: Row = sql_query("select max(task_id) as id from tasker.tasks").get_result(conn)?;
    Ok(row.id)
}
