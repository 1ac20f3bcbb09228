//! What a command does where another session holds what it needs: whom it waits for, what it holds meanwhile, and the
//! instant that it writes afterwards.

mod support;

use diesel::PgConnection;
use serde_json::json;
use support::{Bench, execute, fail_fast, failed, number};
use tasker_engine::{
    commands::{self, Ask, Changes, Claim},
    report::Report,
};
use tasker_model::{FailureKind, StepId, StepState, WorkerId};

type Way = (&'static str, fn(&mut PgConnection, WorkerId, Claim) -> Changes);

/// Every way to report on one claim.
const WAYS: [Way; 4] = [
    ("complete", |conn, _, claim| commands::complete(conn, &[(claim, json!({}))], None).unwrap()),
    ("a turn", |conn, worker, claim| {
        let ask = Ask { limit: 0, further: false, expire: false };
        let report = Report::Completed(claim, json!({}));
        commands::exchange(conn, worker, ask, &[report], &[], None).unwrap().changes
    }),
    ("fail", |conn, _, claim| commands::fail(conn, &[failed(claim, FailureKind::Retryable)], None).unwrap()),
    ("release", |conn, _, claim| commands::release(conn, &[claim], None, None).unwrap()),
];

fn hold(conn: &mut PgConnection, step: StepId) {
    execute(
        conn,
        &format!("select from tasker.workflow_steps where workflow_step_id = {step} for update nowait"),
    );
}

/// Microseconds by the database's clock.
fn clock(conn: &mut PgConnection) -> i64 {
    instant(conn, "clock_timestamp()")
}

fn instant(conn: &mut PgConnection, sql: &str) -> i64 {
    number(conn, &format!("select (extract(epoch from {sql}) * 1000000)::bigint"))
}

/// A session that would sooner fail than wait.
fn impatient(bench: &Bench) -> PgConnection {
    let mut conn = bench.database.connection();
    execute(&mut conn, "set lock_timeout = '1s'");
    conn
}

#[test]
fn a_report_that_waited_for_its_step_is_dated_after_what_it_waited_for() {
    for (way, report) in WAYS {
        let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
        let (_, claims) = bench.started();
        let (claim, worker) = (claims["a"], bench.worker);
        bench.begin();
        hold(&mut bench.conn, claim.step_id);
        let waiting = bench.blocked(move |conn| report(conn, worker, claim));
        let before = clock(&mut bench.conn);
        bench.commit();
        assert_eq!(waiting.join().unwrap().accepted, [claim.step_id], "{way}");
        let logged = "(select max(at) from tasker.workflow_step_transitions)";
        assert!(instant(&mut bench.conn, logged) >= before, "{way}");
        bench.database.assert_sound();
    }
}

#[test]
fn a_claim_that_waited_is_dated_after_what_it_waited_for() {
    for tasks in [1, 2] {
        let mut bench = Bench::new(&[("a", &[])]);
        let worker = bench.worker;
        (0..tasks).for_each(|_| _ = bench.submit());
        bench.begin();
        // Only who locks rows waits for this, no reader.
        execute(&mut bench.conn, "lock tasker.workflow_steps in exclusive mode");
        let claiming = bench.blocked(move |conn| commands::claim(conn, worker, 9, None).unwrap());
        let before = clock(&mut bench.conn);
        bench.commit();
        assert_eq!(claiming.join().unwrap().len(), tasks);
        let claimed = "(select min(last_attempted_at) from tasker.workflow_steps)";
        assert!(instant(&mut bench.conn, claimed) >= before, "{tasks}");
        bench.database.assert_sound();
    }
}

#[test]
fn a_late_report_waits_for_nobody() {
    for (way, report) in WAYS {
        let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
        let (_, claims) = bench.started();
        let late = claims["a"];
        bench.fail(late, FailureKind::Retryable);
        let held = bench.claims()["a"];
        let mut other = impatient(&bench);
        bench.begin();
        bench.complete(held);
        assert_eq!(report(&mut other, bench.worker, late), Changes::default(), "{way}");
        bench.commit();
        bench.database.assert_sound();
    }
}

/// Nor for what fail-fast would hold if the report held its claim.
#[test]
fn a_failure_without_a_claim_waits_for_nothing_that_fail_fast_would_hold() {
    let mut bench = Bench::with(fail_fast(&[("a", &[]), ("other", &[])]));
    let (task, claims) = bench.started();
    let (late, other) = (claims["a"], claims["other"].step_id);
    bench.fail(late, FailureKind::Retryable);
    let failed_step = Claim { token: bench.step(task, "a").seq, ..late };
    let refused = |bench: &mut Bench, claim, why| {
        let mut conn = impatient(bench);
        bench.begin();
        hold(&mut bench.conn, other);
        let report = failed(claim, FailureKind::Permanent);
        assert_eq!(commands::fail(&mut conn, &[report], None).unwrap(), Changes::default(), "{why}");
        bench.commit();
    };
    refused(&mut bench, failed_step, "the token of a step that nobody has claimed");
    bench.claims();
    refused(&mut bench, late, "a late one");
    bench.database.assert_sound();
}

/// A token is a step's `seq`, which a step has in every state.
#[test]
fn nobody_reports_a_step_that_is_not_claimed_whatever_token_is_given() {
    for (way, report) in WAYS {
        let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
        let task = bench.submit();
        for state in [StepState::Pending, StepState::Error, StepState::Complete] {
            let step = bench.step(task, "a");
            assert_eq!(step.state, state);
            let claim = Claim { task_id: task, step_id: step.workflow_step_id, token: step.seq };
            assert_eq!(report(&mut bench.conn, bench.worker, claim), Changes::default(), "{way}: {state}");
            assert_eq!(bench.step(task, "a"), step, "{way}");
            match state {
                StepState::Pending => {
                    let claim = bench.claims()["a"];
                    bench.fail(claim, FailureKind::Retryable);
                }
                _ => _ = bench.drain(),
            }
        }
        bench.database.assert_sound();
    }
}

#[test]
fn two_claims_at_once_take_different_steps_and_neither_waits() {
    for limit in [1, 2] {
        let mut bench = Bench::new(&[("a", &[]), ("b", &[]), ("c", &[]), ("d", &[]), ("e", &[])]);
        bench.submit();
        // Whoever takes the first step of a task holds the task.
        bench.claim(1);
        let mut other = impatient(&bench);
        bench.begin();
        let first = bench.claim(limit);
        let second = commands::claim(&mut other, bench.worker, 9, None).unwrap();
        bench.commit();
        assert_eq!((first.len() as i32, second.len() as i32), (limit, 4 - limit));
        assert!(second.iter().all(|s| first.iter().all(|f| f.step_id != s.step_id)));
        bench.database.assert_sound();
    }
}

/// Who reports a step holds it before its children. Fail-fast waits for it without a child in its hands.
#[test]
fn fail_fast_locks_what_runs_before_what_waits() {
    let steps: &[(&str, &[&str])] =
        &[("dead", &[]), ("running", &[]), ("waiting", &["running"]), ("last", &[])];
    let mut bench = Bench::with(fail_fast(steps));
    let (task, claims) = bench.started();
    let (waiting, last) = (bench.id(task, "waiting"), claims["last"].step_id);
    assert!(waiting < last, "or the order of ids is that of the states");
    let dead = failed(claims["dead"], FailureKind::Permanent);
    bench.begin();
    hold(&mut bench.conn, last);
    let failing = bench.blocked(move |conn| commands::fail(conn, &[dead], None).unwrap());
    hold(&mut bench.conn, waiting);
    bench.commit();
    assert_eq!(failing.join().unwrap().dead, [claims["dead"].step_id]);
    assert!(bench.step(task, "waiting").held);
    bench.database.assert_sound();
}

/// That the failure is the last shows only once its own lock is had: the limit was lowered meanwhile.
#[test]
fn fail_fast_that_comes_late_locks_what_runs_before_what_waits() {
    let steps: &[(&str, &[&str])] =
        &[("dead", &[]), ("running", &[]), ("waiting", &["running"]), ("last", &[])];
    let mut bench = Bench::with(fail_fast(steps));
    let (task, claims) = bench.started();
    let (waiting, last) = (bench.id(task, "waiting"), claims["last"].step_id);
    let (dead, step) = (failed(claims["dead"], FailureKind::Retryable), claims["dead"].step_id);
    let mut reporter = bench.database.connection();
    execute(&mut reporter, "begin");
    hold(&mut reporter, last);
    bench.begin();
    execute(
        &mut bench.conn,
        &format!("update tasker.workflow_steps set retry_limit = 1 where workflow_step_id = {step}"),
    );
    let failing = bench.blocked(move |conn| commands::fail(conn, &[dead], None).unwrap());
    bench.commit();
    bench.until_waited_for(&mut reporter);
    hold(&mut reporter, waiting);
    execute(&mut reporter, "commit");
    assert_eq!(failing.join().unwrap().dead, [step]);
    assert!(bench.step(task, "waiting").held);
    bench.database.assert_sound();
}
