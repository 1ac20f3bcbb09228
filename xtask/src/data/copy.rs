//! Copies the models: one set-based statement a table and chunk, each chunk a transaction.

use anyhow::Result;
use chrono::{DateTime, Utc};
use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Array, BigInt, Integer, Timestamptz},
};

/// How many tasks one transaction writes.
pub(super) const CHUNK: usize = 10_000;

/// More steps than a task of any shape has: how far apart the first steps of two tasks are.
const STRIDE: i64 = 8;

/// Writes tasks of these kinds (places of models), each ended so many seconds before `now`.
pub(super) fn copy(conn: &mut PgConnection, kinds: &[i32], ages: &[i32], now: DateTime<Utc>) -> Result<()> {
    conn.transaction(|conn| {
        let (task, step) = reserve(conn, kinds.len() as i64)?;
        sql_query(
            "insert into chunk
             select $3 + c.place - 1, $4 + (c.place - 1) * $5, c.kind, $6 - m.ended_at - c.age * interval '1 s'
             from unnest($1, $2) with ordinality c (kind, age, place) join model m on m.kind = c.kind",
        )
        .bind::<Array<Integer>, _>(kinds)
        .bind::<Array<Integer>, _>(ages)
        .bind::<BigInt, _>(task)
        .bind::<BigInt, _>(step)
        .bind::<BigInt, _>(STRIDE)
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
        Ok(conn.batch_execute(include_str!("copy.sql"))?)
    })
}

/// Takes ids for so many tasks and their steps from the sequences; concurrent writers wait.
fn reserve(conn: &mut PgConnection, tasks: i64) -> Result<(i64, i64)> {
    #[derive(QueryableByName)]
    struct First {
        #[diesel(sql_type = BigInt)]
        task: i64,
        #[diesel(sql_type = BigInt)]
        step: i64,
    }
    conn.batch_execute("lock table tasker.tasks, tasker.workflow_steps in share row exclusive mode")?;
    let first: First = sql_query(
        "select setval(t.seq, nextval(t.seq) + $1) - $1 as task, setval(s.seq, nextval(s.seq) + $1 * $2) - $1 * $2 as step
         from (select pg_get_serial_sequence('tasker.tasks', 'task_id')::regclass as seq) t,
              (select pg_get_serial_sequence('tasker.workflow_steps', 'workflow_step_id')::regclass as seq) s",
    )
    .bind::<BigInt, _>(tasks)
    .bind::<BigInt, _>(STRIDE)
    .get_result(conn)?;
    Ok((first.task, first.step))
}
