//! Cancelling a task against claims and reports that happen at the same time: whoever comes second loses, and
//! what is cancelled stays cancelled.

mod support;

use serde_json::json;
use support::{Bench, failed};
use tasker_engine::commands::{self, Claim, TaskOutcome};
use tasker_model::{FailureKind, StepState, TaskId, TaskState};

fn cancel(conn: &mut diesel::PgConnection, task: TaskId) -> TaskOutcome {
    support::persist(|| commands::cancel(conn, &[task], "ann", Some("a test"), None)).remove(0)
}

/// Nothing that the old holder reports is accepted, and the row stays as it is.
fn assert_refused(bench: &mut Bench, task: TaskId, name: &str, claim: Claim) {
    let before = bench.step(task, name);
    assert!(bench.complete(claim).accepted.is_empty());
    assert!(bench.fail(claim, FailureKind::Retryable).accepted.is_empty());
    assert!(commands::release(&mut bench.conn, &[claim], None, None).unwrap().accepted.is_empty());
    assert_eq!(commands::lost(&mut bench.conn, &[claim]).unwrap(), [claim.step_id]);
    assert_eq!(bench.step(task, name), before);
}

#[test]
fn a_cancellation_waits_for_an_open_claim_and_takes_it_back() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let task = bench.submit();
    bench.begin();
    let claim = bench.claims()["a"];
    let other = bench.blocked(move |conn| cancel(conn, task));
    bench.commit();
    assert_eq!(other.join().unwrap().outcome, "cancelled");
    for name in ["a", "b"] {
        assert_eq!(bench.step_state(task, name), StepState::Cancelled);
    }
    assert_refused(&mut bench, task, "a", claim);
    assert_eq!(bench.state(task), TaskState::Cancelled);
    bench.database.assert_sound();
}

#[test]
fn a_claim_passes_over_a_task_that_is_being_cancelled() {
    let mut bench = Bench::new(&[("a", &[])]);
    let task = bench.submit();
    bench.begin();
    assert_eq!(cancel(&mut bench.conn, task).outcome, "cancelled");
    let (mut conn, worker) = (bench.database.connection(), bench.worker);
    assert!(commands::claim(&mut conn, worker, 10, None).unwrap().is_empty());
    bench.commit();
    assert!(commands::claim(&mut conn, worker, 10, None).unwrap().is_empty());
    assert_eq!(bench.state(task), TaskState::Cancelled);
    bench.database.assert_sound();
}

#[test]
fn a_report_that_comes_second_is_refused() {
    type Report = fn(&mut diesel::PgConnection, Claim) -> commands::Changes;
    let reports: [Report; 3] = [
        |conn, claim| commands::complete(conn, &[(claim, json!({}))], None).unwrap(),
        |conn, claim| commands::fail(conn, &[failed(claim, FailureKind::Retryable)], None).unwrap(),
        |conn, claim| commands::release(conn, &[claim], None, None).unwrap(),
    ];
    for report in reports {
        let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
        let (task, claims) = bench.started();
        let claim = claims["a"];
        bench.begin();
        cancel(&mut bench.conn, task);
        let other = bench.blocked(move |conn| report(conn, claim));
        bench.commit();
        assert_eq!(other.join().unwrap(), commands::Changes::default());
        assert_refused(&mut bench, task, "a", claim);
        assert_eq!(bench.state(task), TaskState::Cancelled);
        bench.database.assert_sound();
    }
}

#[test]
fn a_cancellation_that_comes_second_cancels_what_is_left() {
    // What was reported stays; only what is unfinished is cancelled.
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, claims) = bench.started();
    bench.begin();
    bench.complete(claims["a"]);
    let other = bench.blocked(move |conn| cancel(conn, task));
    bench.commit();
    assert_eq!(other.join().unwrap().outcome, "cancelled");
    assert_eq!(bench.step_state(task, "a"), StepState::Complete);
    assert_eq!(bench.step_state(task, "b"), StepState::Cancelled);
    bench.database.assert_sound();

    // Where the report settled the task, there is nothing to cancel.
    let mut bench = Bench::new(&[("a", &[])]);
    let (task, claims) = bench.started();
    bench.begin();
    bench.complete(claims["a"]);
    let other = bench.blocked(move |conn| cancel(conn, task));
    bench.commit();
    let outcome = other.join().unwrap();
    assert_eq!((outcome.outcome.as_str(), outcome.state.as_deref()), ("refused", Some("complete")));
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

/// The cancellation waits for one step while another of the same task is claimed and then reported in a
/// transaction that is still open when the cancellation goes on.
#[test]
fn a_step_claimed_and_reported_while_the_cancellation_waits_is_cancelled_too() {
    for kind in [Some(FailureKind::Retryable), None] {
        let mut bench = Bench::new(&[("a", &[]), ("after_a", &["a"]), ("b", &[])]);
        let task = bench.submit();
        let first = bench.claim(1).remove(0);
        assert_eq!(first.step_name, "a");
        bench.begin();
        bench.complete(first.claim());
        let cancelling = bench.blocked(move |conn| cancel(conn, task));

        let (mut third, worker) = (bench.database.connection(), bench.worker);
        let b = commands::claim(&mut third, worker, 1, None).unwrap().remove(0).claim();
        support::execute(&mut third, "begin");
        match kind {
            Some(kind) => commands::fail(&mut third, &[failed(b, kind)], None).unwrap(),
            None => commands::release(&mut third, &[b], None, None).unwrap(),
        };
        let pid = support::number(
            &mut third,
            "select pid::bigint from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
        );
        bench.commit();
        // Now it waits for the third session's step.
        let third_pid = support::number(&mut third, "select pg_backend_pid()::bigint");
        let blockers =
            format!("select count(*) from unnest(pg_blocking_pids({pid})) b where b = {third_pid}");
        let observer = &mut bench.database.connection();
        support::until("the cancellation to come to b", || support::number(observer, &blockers) > 0);
        support::execute(&mut third, "commit");
        assert_eq!(cancelling.join().unwrap().outcome, "cancelled");
        assert_eq!(bench.step_state(task, "b"), StepState::Cancelled);
        assert!(bench.claim(10).is_empty());
        bench.database.assert_sound();
    }
}

#[test]
fn a_task_in_error_is_cancelled_and_stays_cancelled() {
    let mut bench = Bench::new(&[("a", &[])]);
    let (task, claims) = bench.started();
    bench.fail(claims["a"], FailureKind::Permanent);
    assert_eq!(cancel(&mut bench.conn, task).outcome, "cancelled");
    assert_eq!(cancel(&mut bench.conn, task).outcome, "already_cancelled");
    assert_refused(&mut bench, task, "a", claims["a"]);
    assert_eq!(cancel(&mut bench.conn, TaskId(-1)).outcome, "not_found");
    bench.database.assert_sound();
}
