//! Retry, resolve, release and fail-fast: what comes back to life, and what is kept back.

mod support;

use serde_json::json;
use support::{Bench, execute, fail_fast, failed, parts};
use tasker_engine::commands::{self, Outcome};
use tasker_model::{FailureKind, StepState, TaskId, TaskState};

fn retry(bench: &mut Bench, task: TaskId) -> Outcome {
    commands::retry(&mut bench.conn, &[task], "ann", Some("a test"), None).unwrap().remove(0).outcome
}

fn resolve(bench: &mut Bench, task: TaskId, name: &str) -> Outcome {
    let step = bench.id(task, name);
    let resolved =
        commands::resolve(&mut bench.conn, &[(task, step, Some(json!("by hand")))], "ann", None, None);
    resolved.unwrap().remove(0).outcome
}

#[test]
fn resolving_the_last_dead_step_completes_the_task() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &[])]);
    let (task, claims) = bench.started();
    for name in ["a", "b"] {
        bench.fail(claims[name], FailureKind::Permanent);
    }
    assert_eq!(bench.state(task), TaskState::Error);
    assert_eq!(resolve(&mut bench, task, "a"), "resolved");
    assert_eq!(bench.state(task), TaskState::Error);
    assert_eq!(resolve(&mut bench, task, "b"), "resolved");
    assert_eq!(bench.state(task), TaskState::Complete);
    assert_eq!(resolve(&mut bench, task, "b"), "already_resolved");
    bench.database.assert_sound();
}

#[test]
fn resolving_a_dead_step_releases_its_children_with_its_result() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, claims) = bench.started();
    bench.fail(claims["a"], FailureKind::Permanent);
    resolve(&mut bench, task, "a");
    assert_eq!(bench.state(task), TaskState::Pending);
    let b = bench.claim(10).remove(0);
    assert_eq!((b.step_name.as_str(), b.parent_results.clone()), ("b", json!({"a": "by hand"})));
    bench.complete(b.claim());
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn a_task_retried_at_a_step_that_is_no_root_runs_on_from_there() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["c"])]);
    let (task, claims) = bench.started();
    bench.complete(claims["a"]);
    let b = bench.claims()["b"];
    bench.fail(b, FailureKind::Permanent);
    assert_eq!(bench.state(task), TaskState::Error);
    assert_eq!(retry(&mut bench, task), "retried");
    let step = bench.step(task, "b");
    assert_eq!((step.state, step.attempts, step.generation), (StepState::Pending, 0, 2));
    bench.database.assert_sound();
    assert_eq!(bench.drain(), ["b", "c", "d"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    assert_eq!(bench.step(task, "a").generation, 1);
    assert_eq!(retry(&mut bench, task), "refused");
    bench.database.assert_sound();
}

#[test]
fn a_cancelled_task_runs_to_its_end_once_it_is_retried() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]);
    let (task, claims) = bench.started();
    bench.complete(claims["a"]);
    let late = bench.claims()["b"];
    commands::cancel(&mut bench.conn, &[task], "ann", None, None).unwrap();
    assert_eq!(retry(&mut bench, task), "retried");
    assert!(bench.complete(late).accepted.is_empty(), "a result of before the cancellation");
    assert_eq!(bench.drain(), ["b", "c"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

/// Two steps run; the permanent failure of one holds the rest, whichever of the two is reported first.
#[test]
fn a_cancelled_task_whose_steps_never_run_fails_once_it_is_retried() {
    let mut never = parts(&[("a", &[]), ("b", &["a"])]);
    never.steps[0].retry_limit = 0;
    let mut bench = Bench::with(never);
    let task = bench.submit();
    commands::cancel(&mut bench.conn, &[task], "ann", None, None).unwrap();
    assert_eq!(retry(&mut bench, task), "retried");
    assert_eq!(bench.state(task), TaskState::Error, "or nobody could resolve `a`");
    assert_eq!(resolve(&mut bench, task, "a"), "resolved");
    assert_eq!(bench.drain(), ["b"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn two_failures_at_once_under_fail_fast_leave_nothing_claimable() {
    let (permanent, retryable) = (FailureKind::Permanent, FailureKind::Retryable);
    for (first, second) in [(permanent, retryable), (retryable, permanent), (permanent, permanent)] {
        let mut bench = Bench::with(fail_fast(&[("a", &[]), ("b", &[]), ("c", &["a"])]));
        let (task, claims) = bench.started();
        let b = claims["b"];
        bench.begin();
        let mut settled = bench.fail(claims["a"], first).settled;
        let other =
            bench.blocked(move |conn| commands::fail(conn, &[failed(b, second)], None).unwrap().settled);
        bench.commit();
        settled.extend(other.join().unwrap());
        assert_eq!(settled, [(task, TaskState::Error)]);
        assert!(bench.claim(10).is_empty());
        assert_eq!(bench.task(task).live_steps, 0);
        bench.database.assert_sound();
    }
}

/// Each has reported its step and would wait for the other's, were both locked one after the other.
#[test]
fn two_failures_of_one_task_under_fail_fast_do_not_wait_for_each_other() {
    let mut bench = Bench::with(fail_fast(&[("first", &[]), ("a", &[]), ("b", &[])]));
    let (task, claims) = bench.started();
    let first = claims["first"].step_id;
    bench.begin();
    execute(
        &mut bench.conn,
        &format!("select from tasker.workflow_steps where workflow_step_id = {first} for update"),
    );
    let reports = ["a", "b"].map(|name| {
        let report = failed(claims[name], FailureKind::Permanent);
        bench.blocked(move |conn| commands::fail(conn, &[report], None).map(|changes| changes.settled))
    });
    bench.commit();
    for report in reports {
        assert_eq!(report.join().unwrap(), Ok(vec![]));
    }
    assert_eq!(bench.complete(claims["first"]).settled, [(task, TaskState::Error)]);
    bench.database.assert_sound();
}

#[test]
fn fail_fast_takes_the_next_attempt_from_what_fails_in_the_same_batch() {
    let mut bench = Bench::with(fail_fast(&[("retry", &[]), ("dead", &[])]));
    let (task, claims) = bench.started();
    let (retry, dead) = (claims["retry"], claims["dead"]);
    let reports = [failed(retry, FailureKind::Retryable), failed(dead, FailureKind::Permanent)];
    let changes = commands::fail(&mut bench.conn, &reports, None).unwrap();
    assert_eq!((changes.dead, changes.held), (vec![dead.step_id], vec![retry.step_id]));
    assert_eq!(changes.settled, [(task, TaskState::Error)]);
    let over = |w: &commands::Written| (w.step_id, w.over);
    let written = commands::written(&mut bench.conn, &[retry]).unwrap();
    assert_eq!(written.iter().map(over).collect::<Vec<_>>(), [(retry.step_id, true)]);
    bench.database.assert_sound();
}

#[test]
fn a_claim_that_is_named_twice_is_given_back_once() {
    let mut bench = Bench::new(&[("a", &[])]);
    let (task, claims) = bench.started();
    let twice = [claims["a"]; 2];
    let released = commands::release(&mut bench.conn, &twice, None, None).unwrap();
    assert_eq!(released.accepted, [claims["a"].step_id]);
    assert_eq!(bench.step(task, "a").attempts, 0);
    bench.database.assert_sound();
}

#[test]
fn under_fail_fast_a_running_step_may_finish_but_its_children_are_kept_back() {
    let mut bench = Bench::with(fail_fast(&[("dead", &[]), ("running", &[]), ("child", &["running"])]));
    let (task, claims) = bench.started();
    assert_eq!(bench.fail(claims["dead"], FailureKind::Permanent).settled, []);
    assert_eq!(bench.complete(claims["running"]).settled, [(task, TaskState::Error)]);
    assert_eq!(bench.step_state(task, "running"), StepState::Complete);
    assert!(bench.claim(10).is_empty());
    bench.database.assert_sound();

    assert_eq!(retry(&mut bench, task), "retried");
    assert!(!bench.step(task, "child").held);
    bench.database.assert_sound();
    let mut ran = bench.drain();
    ran.sort();
    assert_eq!(ran, ["child", "dead"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

/// Without the dead step nothing else could lift the hold: a retry needs a failed step.
#[test]
fn resolving_the_last_dead_step_lifts_the_hold_of_fail_fast() {
    let mut parts = fail_fast(&[("x", &[]), ("y", &[]), ("other", &[]), ("child", &["x"])]);
    parts.steps[2].priority = 5;
    let mut bench = Bench::with(parts);
    let task = bench.submit();
    let claims: std::collections::BTreeMap<_, _> =
        bench.claim(2).iter().map(|s| (s.step_name.clone(), s.claim())).collect();
    bench.fail(claims["x"], FailureKind::Permanent);
    bench.fail(claims["y"], FailureKind::Permanent);
    assert_eq!(bench.state(task), TaskState::Error);
    assert_eq!(resolve(&mut bench, task, "x"), "resolved");
    assert!(bench.claim(10).is_empty(), "y is dead still");
    bench.database.assert_sound();
    assert_eq!(resolve(&mut bench, task, "y"), "resolved");
    bench.database.assert_sound();
    let mut ran = bench.drain();
    ran.sort();
    assert_eq!(ran, ["child", "other"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn a_released_step_has_its_attempt_back_and_its_children_untouched() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, claims) = bench.started();
    let child = bench.step(task, "b");
    let released = commands::release(&mut bench.conn, &[claims["a"]], Some("drained"), None).unwrap();
    assert_eq!(released.accepted, [claims["a"].step_id]);
    let step = bench.step(task, "a");
    assert_eq!((step.state, step.attempts), (StepState::Pending, 0));
    assert_eq!(bench.step(task, "b"), child);
    assert_eq!(bench.task(task).live_steps, 1);
    bench.database.assert_sound();
    assert_eq!(bench.drain(), ["a", "b"]);
    assert_eq!(bench.step(task, "a").attempts, 1);
    bench.database.assert_sound();
}

#[test]
fn a_held_step_that_is_released_is_not_claimed_again() {
    let mut bench = Bench::with(fail_fast(&[("dead", &[]), ("held", &[])]));
    let (task, claims) = bench.started();
    bench.fail(claims["dead"], FailureKind::Permanent);
    let changes = commands::release(&mut bench.conn, &[claims["held"]], None, None).unwrap();
    assert_eq!(changes.settled, [(task, TaskState::Error)]);
    assert!(bench.claim(10).is_empty());
    bench.database.assert_sound();
}

#[test]
fn operations_on_a_step_that_runs_are_refused() {
    let mut bench = Bench::new(&[("a", &[])]);
    let (task, claims) = bench.started();
    assert_eq!(resolve(&mut bench, task, "a"), "refused");
    let step = claims["a"].step_id;
    let outcomes = commands::retry_single(&mut bench.conn, &[(task, step)], "ann", None, None).unwrap();
    assert_eq!(outcomes.iter().map(|o| o.outcome.as_str()).collect::<Vec<_>>(), ["refused"]);
    assert_eq!(retry(&mut bench, task), "already_open");
    bench.complete(claims["a"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn a_parent_and_its_child_are_resolved_together() {
    let mut bench = Bench::with(parts(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]));
    let task = bench.submit();
    let steps = [(task, bench.id(task, "b"), None), (task, bench.id(task, "a"), None)];
    let outcomes = commands::resolve(&mut bench.conn, &steps, "ann", None, None).unwrap();
    assert_eq!(outcomes.iter().filter(|o| o.outcome == "resolved").count(), 2);
    bench.database.assert_sound();
    assert_eq!(bench.drain(), ["c"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}
