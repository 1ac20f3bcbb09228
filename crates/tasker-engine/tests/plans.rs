//! Plans outlive the size that they were made for: a worker's session keeps the plan of each statement until the
//! server next analyzes the tables, and an empty table is planned for as one that is read whole. So no writer reads a
//! table of tasks or steps whole, however small it is.

mod support;

use diesel::{Connection, PgConnection};
use serde_json::json;
use support::{Bench, failed, texts};
use tasker_engine::{
    commands::{self, Ask, Claim, exchange},
    identity::Identity,
    report::Report,
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, StepId, TaskId};
use tasker_testkit::TestDatabase;

/// What the open transaction has read whole so far of what grows.
const READ_WHOLE: &str = "select relname || ': ' || seq_scan from pg_stat_xact_user_tables where schemaname = 'tasker'
  and relname in ('tasks', 'workflow_steps', 'workflow_step_edges', 'task_transitions', 'workflow_step_transitions')
  and seq_scan > 0";

/// Functions with plans that are kept, without the settings which such plans need. The named ones are called by others
/// only, and so under the settings of those.
const UNSET: &str = "select proname from pg_proc where pronamespace = 'tasker'::regnamespace
  and 'plan_cache_mode=force_generic_plan' = any (proconfig) and not proconfig @> '{enable_seqscan=off,jit=off}'
  and proname <> all ('{adjust_tasks,expire_leases,finish_steps,first_priority,hold_rest,lift_hold,next_due_after,
    recount_tasks,release_children,served_queues,take_steps,wake_workers}')";

fn assert_nothing_read_whole(conn: &mut PgConnection, by: &str) {
    assert_eq!(texts(conn, READ_WHOLE), Vec::<String>::new(), "read whole by {by} or what came before");
}

/// Twenty diamonds in one transaction, which is never committed.
fn twenty() -> Bench {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])]);
    bench.conn.begin_test_transaction().unwrap();
    let requests = vec![TaskRequest::new(json!({})); 20];
    submit(&mut bench.conn, &bench.definition, &requests, &Identity::Random, None).unwrap();
    assert_nothing_read_whole(&mut bench.conn, "submitting");
    bench
}

fn held(steps: &[commands::ClaimedStep]) -> Vec<Claim> {
    steps.iter().map(commands::ClaimedStep::claim).collect()
}

#[test]
fn what_keeps_its_plans_plans_for_large_tables() {
    let database = TestDatabase::new();
    assert_eq!(texts(&mut database.connection(), UNSET), Vec::<String>::new());
}

#[test]
fn turns_of_a_worker_read_no_table_whole() {
    let mut bench = twenty();
    let (conn, worker) = (&mut bench.conn, bench.worker);
    let (mut reports, mut turns, mut settled) = (vec![], 0, 0);
    while settled < 20 {
        let ask = Ask { limit: 50, further: true, expire: reports.is_empty() };
        let turned = exchange(conn, worker, ask, &reports, &[], None).unwrap();
        assert_nothing_read_whole(conn, "a turn");
        settled += turned.changes.settled.len();
        // One at a time at first: a turn of one report has statements of its own.
        let claims = held(&turned.claimed);
        let (now, later) = claims.split_at(if turns == 0 { 1 } else { claims.len() });
        commands::release(conn, later, None, None).unwrap();
        reports = now.iter().map(|c| Report::Completed(*c, json!({}))).collect();
        turns += 1;
    }
    assert_nothing_read_whole(conn, "releases");
}

#[test]
fn single_commands_read_no_table_whole() {
    let mut bench = twenty();
    let (conn, worker) = (&mut bench.conn, bench.worker);
    let claims = held(&commands::claim(conn, worker, 10, None).unwrap());
    assert_nothing_read_whole(conn, "a claim");
    commands::renew_worker_with(conn, worker, &claims, None).unwrap();
    assert_nothing_read_whole(conn, "a renewal");
    let done: Vec<_> = claims[..5].iter().map(|c| (*c, json!({}))).collect();
    commands::complete(conn, &done, None).unwrap();
    assert_nothing_read_whole(conn, "reports");
    let kinds = [FailureKind::Retryable, FailureKind::Permanent].into_iter().cycle();
    let failures: Vec<_> = claims[5..8].iter().zip(kinds).map(|(c, kind)| failed(*c, kind)).collect();
    commands::fail(conn, &failures, None).unwrap();
    assert_nothing_read_whole(conn, "failures");
    let steps: Vec<(TaskId, StepId)> = claims.iter().map(|c| (c.task_id, c.step_id)).collect();
    let tasks: Vec<TaskId> = steps.iter().map(|s| s.0).collect();
    commands::retry_now(conn, &steps, "ann", None, None).unwrap();
    commands::pause_single(conn, &steps, true, "ann", None, None).unwrap();
    commands::pause(conn, &tasks, true, "ann", None, None).unwrap();
    commands::set_retry_limit(conn, &steps, 1, "ann", None, None).unwrap();
    commands::set_priority(conn, &steps, 1, "ann", None, None).unwrap();
    commands::cancel(conn, &tasks, "ann", None, None).unwrap();
    commands::retry(conn, &tasks, "ann", None, None).unwrap();
    assert_nothing_read_whole(conn, "operations");
    commands::end_worker(conn, worker, None).unwrap();
    assert_nothing_read_whole(conn, "the end of a worker");
}
