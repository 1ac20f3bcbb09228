//! What the hot statements read and how they are planned, at 20,000 open tasks: asserted on plans and on rows
//! read, under generic and custom plans, and never on time.

use std::sync::OnceLock;

use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Json, Text},
};
use serde_json::Value;
use tasker_engine::{commands, submit::register};
use tasker_testkit::{TestDatabase, shapes};

/// Tables that grow with the work.
const BIG: [&str; 5] =
    ["tasks", "workflow_steps", "workflow_step_edges", "workflow_step_transitions", "task_transitions"];

const MODES: [&str; 2] = ["force_generic_plan", "force_custom_plan"];

/// Thirty tasks here and there, as an array.
fn thirty() -> String {
    let ids: Vec<String> = (1..=30).map(|i| (i * 500).to_string()).collect();
    format!("('{{{}}}')", ids.join(","))
}

fn database() -> &'static TestDatabase {
    static DATABASE: OnceLock<TestDatabase> = OnceLock::new();
    DATABASE.get_or_init(|| {
        let database = TestDatabase::new();
        let conn = &mut database.connection();
        for shape in [shapes::linear(), shapes::diamond()] {
            let definition = register(conn, &shape.definition).unwrap().0;
            let name = shape.definition.name();
            sql_query(format!(
                "select count(*) from tasker.submit_tasks({definition}, (
                   select jsonb_agg(jsonb_build_object('context', '{{}}'::jsonb, 'identity_hash', '{name} ' || i)) from generate_series(1, 10000) i))"
            ))
            .execute(conn)
            .unwrap();
        }
        conn.batch_execute("analyze").unwrap();
        database
    })
}

/// The plan of a prepared statement that ran with these arguments.
fn plan(conn: &mut PgConnection, mode: &str, statement: &str, arguments: &str) -> Value {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Json, column_name = "QUERY PLAN")]
        plan: Value,
    }
    conn.batch_execute(&format!("set plan_cache_mode = {mode}; prepare hot {statement}")).unwrap();
    let row: Row = sql_query(format!("explain (analyze, timing off, format json) execute hot {arguments}"))
        .get_result(conn)
        .unwrap();
    conn.batch_execute("deallocate hot; reset plan_cache_mode").unwrap();
    row.plan[0]["Plan"].clone()
}

/// Every node that ran.
fn nodes(plan: &Value) -> Vec<&Value> {
    if plan["Actual Loops"] == 0 {
        return vec![];
    }
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once(plan).chain(below).collect()
}

fn is(node: &Value, kinds: &[&str]) -> bool {
    kinds.iter().any(|k| node["Node Type"] == *k)
}

fn assert_reads_by_key(what: &str, plan: &Value) {
    for node in nodes(plan) {
        let scans = is(node, &["Seq Scan"]) && BIG.iter().any(|t| node["Relation Name"] == *t);
        assert!(!scans, "{what} scans a table: {plan:#}");
        assert!(!is(node, &["Function Scan"]), "{what} is not inlined: {plan:#}");
        let rows = node["Actual Rows"].as_f64().unwrap_or(0.0);
        assert!(!is(node, &["Sort"]) || rows <= 1_000.0, "{what} sorts {rows} rows: {plan:#}");
    }
}

#[test]
fn one_task_is_read_by_key() {
    let conn = &mut database().connection();
    for mode in MODES {
        for function in ["get_step_readiness_status", "get_task_execution_context"] {
            let statement = format!("(bigint) as select * from tasker.{function}($1)");
            let plan = plan(conn, mode, &statement, "(12345)");
            assert_reads_by_key(&format!("{function} under {mode}"), &plan);
        }
    }
}

#[test]
fn thirty_tasks_are_read_by_key() {
    let conn = &mut database().connection();
    for mode in MODES {
        for function in ["get_step_readiness_status_batch", "get_task_execution_contexts_batch"] {
            let statement = format!("(bigint[]) as select * from tasker.{function}($1)");
            let plan = plan(conn, mode, &statement, &thirty());
            assert_reads_by_key(&format!("{function} under {mode}"), &plan);
        }
    }
}

#[test]
fn a_prepared_call_is_not_planned_anew() {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        generic: i64,
    }
    let conn = &mut database().connection();
    for (function, kind, argument) in [
        ("get_step_readiness_status", "bigint", "(12345)".to_owned()),
        ("get_task_execution_context", "bigint", "(12345)".to_owned()),
        ("get_step_readiness_status_batch", "bigint[]", thirty()),
        ("get_task_execution_contexts_batch", "bigint[]", thirty()),
    ] {
        let prepare = format!("prepare hot ({kind}) as select * from tasker.{function}($1)");
        let calls = format!("execute hot {argument};").repeat(7);
        conn.batch_execute(&format!("{prepare}; {calls}")).unwrap();
        let row: Row =
            sql_query("select generic_plans as generic from pg_prepared_statements where name = 'hot'")
                .get_result(conn)
                .unwrap();
        conn.batch_execute("deallocate hot").unwrap();
        assert!(row.generic > 0, "{function} is planned at each call");
    }
}

#[test]
fn everything_open_is_neither_sorted_nor_stored() {
    let conn = &mut database().connection();
    for mode in MODES {
        for function in ["get_step_readiness_status_batch", "get_task_execution_contexts_batch"] {
            let statement = format!("as select count(*) from tasker.{function}(null)");
            let plan = plan(conn, mode, &statement, "");
            for node in nodes(&plan) {
                let rows = node["Actual Rows"].as_f64().unwrap_or(0.0);
                let heavy =
                    is(node, &["Sort", "Incremental Sort", "Function Scan", "Materialize"]) && rows > 1_000.0;
                assert!(!heavy, "{function} under {mode}: {plan:#}");
            }
        }
    }
}

/// Scans of big tables, and rows fetched from them, by everything that the transaction ran so far.
fn read(conn: &mut PgConnection) -> (i64, i64) {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        scans: i64,
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let row: Row = sql_query(
        "select coalesce(sum(seq_scan), 0)::bigint as scans, coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint as rows
         from pg_stat_xact_user_tables where schemaname = 'tasker' and relname = any (string_to_array($1, ','))",
    )
    .bind::<Text, _>(BIG.join(","))
    .get_result(conn)
    .unwrap();
    (row.scans, row.rows)
}

/// Plans inside functions are not shown, but what they read is counted.
fn assert_reads_little(what: &str, rows_allowed: i64, work: impl FnOnce(&mut PgConnection)) {
    let conn = &mut database().connection();
    conn.begin_test_transaction().unwrap();
    work(conn);
    let (scans, rows) = read(conn);
    assert_eq!(scans, 0, "{what} scans a big table");
    assert!(rows <= rows_allowed, "{what} reads {rows} rows of big tables");
}

#[test]
fn the_peek_reads_what_it_returns() {
    for mode in MODES {
        assert_reads_little("the next 100 ready steps", 1_000, |conn| {
            conn.batch_execute(&format!(
                "set local plan_cache_mode = {mode}; select * from tasker.get_next_ready_steps(100)"
            ))
            .unwrap();
        });
    }
}

#[test]
fn a_claim_and_its_report_read_what_they_take() {
    for mode in MODES {
        assert_reads_little("claiming and completing 100 steps", 5_000, |conn| {
            conn.batch_execute(&format!("set local plan_cache_mode = {mode}")).unwrap();
            let handlers: Vec<String> = [shapes::linear(), shapes::diamond()]
                .iter()
                .flat_map(|s| s.definition.steps())
                .map(|s| s.handler.clone())
                .collect();
            let (worker, _) = commands::register(conn, "plans", None, &handlers, 60_000, None).unwrap();
            let claims = commands::claim(conn, worker, 100, None).unwrap();
            assert_eq!(claims.len(), 100);
            let reports: Vec<_> = claims.iter().map(|c| (c.claim(), Value::Null)).collect();
            assert_eq!(commands::complete(conn, &reports, None).unwrap().accepted.len(), 100);
        });
    }
}
