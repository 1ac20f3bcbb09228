//! What a step costs stays what it was: statements and write-ahead log, counted in the session that runs them, so that
//! other tests of the same server play no part. The figures of a whole run are those of `cargo xtask bench engine`.

mod support;

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Integer, Json, Jsonb},
};
use serde_json::{Value, json};
use support::{Bench, number};
use tasker_engine::submit::register;

/// Bytes of records a step, of submitting and of running; a change by more than a twentieth is to be explained, and
/// the page of the benchmark changed with it.
const SUBMITTED: f64 = 583.0;
const RUN: f64 = 1_335.0;

const TASKS: i64 = 500;

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Json, column_name = "QUERY PLAN")]
    plan: Value,
}

fn records(plan: &Plan) -> i64 {
    let plan = &plan.plan[0]["Plan"];
    assert_eq!(plan["WAL FPI"], 0, "the tests' server writes no page images");
    plan["WAL Bytes"].as_i64().unwrap()
}

fn submitted(conn: &mut PgConnection, definition: i64) -> i64 {
    let requests: Vec<Value> =
        (0..TASKS).map(|n| json!({"context": {}, "identity_hash": format!("{n:032}")})).collect();
    let plan: Plan =
        sql_query("explain (analyze, wal, format json) select * from tasker.submit_tasks($1, $2)")
            .bind::<BigInt, _>(definition)
            .bind::<Jsonb, _>(Value::from(requests))
            .get_result(conn)
            .unwrap();
    records(&plan)
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Array<BigInt>)]
    tasks: Vec<i64>,
    #[diesel(sql_type = Array<BigInt>)]
    steps: Vec<i64>,
    #[diesel(sql_type = Array<Integer>)]
    tokens: Vec<i32>,
}

/// One turn that reports everything that is in progress.
fn turn(conn: &mut PgConnection, worker: i64) -> i64 {
    let held: Held = sql_query(
        "select coalesce(array_agg(task_id), '{}') as tasks, coalesce(array_agg(workflow_step_id), '{}') as steps,
           coalesce(array_agg(seq), '{}') as tokens from tasker.workflow_steps where state = 'in_progress'",
    )
    .get_result(conn)
    .unwrap();
    let results = vec![json!({}); held.tasks.len()];
    let plan: Plan = sql_query(
        "explain (analyze, wal, format json)
         select * from tasker.exchange_steps($1, 1000, true, false, $2, $3, $4, $5, '{}', '{}', '{}', '{}')",
    )
    .bind::<BigInt, _>(worker)
    .bind::<Array<BigInt>, _>(held.tasks)
    .bind::<Array<BigInt>, _>(held.steps)
    .bind::<Array<Integer>, _>(held.tokens)
    .bind::<Array<Jsonb>, _>(results)
    .get_result(conn)
    .unwrap();
    records(&plan)
}

#[test]
fn a_step_of_a_chain_costs_what_it_did() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["c"])]);
    let definition = register(&mut bench.conn, &bench.definition).unwrap().0;
    let steps = (TASKS * 4) as f64;
    let submitting = submitted(&mut bench.conn, definition) as f64 / steps;
    let (mut running, mut turns) = (0, 0);
    while number(&mut bench.conn, "select count(*) from tasker.tasks where finished_at is null") > 0 {
        running += turn(&mut bench.conn, bench.worker.0);
        turns += 1;
    }
    assert_eq!(turns, 5, "a claim, and a report for each level of the chain");
    let running = running as f64 / steps;
    // The figures are those of PostgreSQL 15; another version's records differ a little.
    let major = number(&mut bench.conn, "select current_setting('server_version_num')::bigint / 10000");
    let tolerance = if major == 15 { 0.05 } else { 0.15 };
    for (what, is, was) in [("submitting", submitting, SUBMITTED), ("running", running, RUN)] {
        assert!(
            (is / was - 1.0).abs() <= tolerance,
            "{what} a step wrote {is:.0} bytes of records, and {was} before"
        );
    }
    bench.database.assert_sound();
}
