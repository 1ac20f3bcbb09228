//! Space: what pruning deletes is used again, so that tables and indexes stop growing while work goes on.

mod support;

use chrono::{TimeDelta, Utc};
use diesel::PgConnection;
use serde_json::json;
use support::{Bench, execute, texts};
use tasker_engine::{
    commands,
    identity::Identity,
    retention::{Pruning, RetentionPolicy},
    submit::{TaskRequest, submit},
};

const CYCLES: usize = 8;
const TASKS: usize = 400;

/// Tables and indexes that grow with the work, and their pages.
fn pages(conn: &mut PgConnection) -> Vec<(String, i64)> {
    let sql = "select format('%s %s', c.relname, pg_relation_size(c.oid) / 8192) from pg_class c
        left join pg_index i on i.indexrelid = c.oid
        where coalesce(i.indrelid, c.oid) in ('tasker.tasks'::regclass, 'tasker.workflow_steps'::regclass,
          'tasker.workflow_step_edges'::regclass, 'tasker.workflow_step_transitions'::regclass, 'tasker.task_transitions'::regclass)
        order by c.relname";
    let line = |line: String| {
        let (name, pages) = line.split_once(' ').unwrap();
        (name.to_owned(), pages.parse().unwrap())
    };
    texts(conn, sql).into_iter().map(line).collect()
}

/// Runs the tasks of a cycle to their end; a tenth of the first steps fails once.
fn work(bench: &mut Bench) {
    let requests = vec![TaskRequest::new(json!({ "note": "x".repeat(200) })); TASKS];
    submit(&mut bench.conn, &bench.definition, &requests, &Identity::Random, None).unwrap();
    loop {
        let steps = bench.claim(200);
        if steps.is_empty() {
            return;
        }
        let fails = |s: &commands::ClaimedStep| s.attempt == 1 && s.step_id.0 % 10 == 0;
        let (failing, fine): (Vec<_>, Vec<_>) = steps.into_iter().partition(fails);
        let failed: Vec<_> = failing
            .iter()
            .map(|s| support::failed(s.claim(), tasker_model::FailureKind::Retryable))
            .collect();
        let done: Vec<_> = fine.iter().map(|s| (s.claim(), json!({ "n": 1 }))).collect();
        commands::fail(&mut bench.conn, &failed, None).unwrap();
        commands::complete(&mut bench.conn, &done, None).unwrap();
    }
}

#[test]
fn tables_stop_growing() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])]);
    // Somebody's work that is older than all of it and stays.
    let kept = bench.submit();
    bench.claims();
    let mut sizes = vec![];
    for _ in 0..CYCLES {
        work(&mut bench);
        let mut pruning = Pruning::new(RetentionPolicy {
            batch: 50,
            ..RetentionPolicy::before(Utc::now() + TimeDelta::hours(1))
        });
        while pruning.next(&mut bench.conn).unwrap().is_some() {}
        assert_eq!(pruning.total().tasks, TASKS as u64);
        execute(
            &mut bench.conn,
            "vacuum tasker.tasks, tasker.workflow_steps, tasker.workflow_step_edges, tasker.workflow_step_transitions, tasker.task_transitions",
        );
        sizes.push(pages(&mut bench.conn));
    }
    // Pages of an index that vacuum has emptied are used again a vacuum later, so the first cycles still grow.
    for (early, late) in sizes[3].iter().zip(&sizes[CYCLES - 1]) {
        assert!(
            late.1 <= early.1 + early.1 / 10 + 2,
            "{} went from {} to {} pages: {sizes:?}",
            early.0,
            early.1,
            late.1
        );
    }
    assert!(bench.state(kept).is_open());
    bench.database.assert_sound();
}
