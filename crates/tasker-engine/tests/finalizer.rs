//! The finalizer's rule in Rust and in `tasker.adjust_tasks` are one: every task of up to three steps of which none
//! is live settles the same on both sides.

use diesel::{
    RunQueryDsl,
    prelude::QueryableByName,
    sql_query,
    sql_types::{Array, BigInt, Integer, Text},
};
use tasker_engine::finalize::settle;
use tasker_model::StepState::{Cancelled, Complete, Error, ResolvedManually};
use tasker_testkit::{
    TestDatabase,
    cases::{StepCase, TaskCase, write},
};

/// Every task of exactly this many steps, each done, cancelled or exhausted.
fn tasks(size: usize) -> Vec<TaskCase> {
    let kinds =
        [(Complete, 1), (ResolvedManually, 0), (Cancelled, 0), (Error, 3)].map(|(s, n)| StepCase::new(s, n));
    let task = |n: usize| (0..size).map(|i| kinds[n / 4usize.pow(i as u32) % 4].clone()).collect();
    (0..4usize.pow(size as u32)).map(|n| TaskCase::new(task(n))).collect()
}

#[derive(QueryableByName)]
struct Settled {
    #[diesel(sql_type = BigInt)]
    task_id: i64,
    #[diesel(sql_type = Text)]
    state: String,
}

#[test]
fn what_is_not_live_settles_alike_in_rust_and_in_sql() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let all: Vec<TaskCase> = (0..=3).flat_map(tasks).collect();
    write(conn, &all);
    let settled: Vec<Settled> =
        sql_query("select task_id, state from tasker.adjust_tasks($1, $2) order by task_id")
            .bind::<Array<BigInt>, _>((1..=all.len() as i64).collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(vec![0; all.len()])
            .load(conn)
            .unwrap();
    assert_eq!(settled.len(), all.len());
    assert_eq!(all.len(), 85);
    for (row, task) in settled.iter().zip(&all) {
        let rule = settle(task.steps.iter().map(|s| s.state));
        assert_eq!(row.state, rule.as_str(), "task {}: {task:?}", row.task_id);
    }
}
