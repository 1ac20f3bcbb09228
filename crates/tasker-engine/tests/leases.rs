//! Leases and fencing: who is dead, what comes back, and that nobody reports what he no longer holds. Time is
//! passed in.

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::PgConnection;
use serde_json::json;
use support::{Bench, HANDLER, execute, failed, number, parts, texts};
use tasker_engine::commands::{self, Claim, ClaimedStep};
use tasker_model::{FailureKind, StepState, TaskId, TaskState, WorkerId};

/// The length of every lease here, in milliseconds.
const LEASE: i32 = 10_000;

fn at(seconds: i64) -> Option<DateTime<Utc>> {
    Some(DateTime::from_timestamp(1_893_585_600, 0).unwrap() + TimeDelta::seconds(seconds))
}

fn worker(conn: &mut PgConnection, now: Option<DateTime<Utc>>) -> WorkerId {
    commands::register(conn, "leased", None, &[HANDLER.into()], LEASE, now).unwrap().0
}

fn claim(conn: &mut PgConnection, worker: WorkerId, now: Option<DateTime<Utc>>) -> Vec<ClaimedStep> {
    commands::claim(conn, worker, 10, now).unwrap()
}

fn expire(conn: &mut PgConnection, now: i64) -> i64 {
    let now = at(now).unwrap().to_rfc3339();
    number(conn, &format!("select tasker.expire_leases(100, '{now}')::bigint"))
}

/// A bench whose one task was submitted at 0, and a worker of that instant.
fn bench(steps: &[(&str, &[&str])], retry_limit: i32) -> (Bench, TaskId, WorkerId) {
    let mut parts = parts(steps);
    parts.steps.iter_mut().for_each(|s| s.retry_limit = retry_limit);
    let mut bench = Bench::with(parts);
    // The worker that every bench has lives by the real clock; here it would be a dead one.
    commands::end_worker(&mut bench.conn, bench.worker, None).unwrap();
    let requests = [tasker_engine::submit::TaskRequest::new(json!({}))];
    let random = tasker_engine::identity::Identity::Random;
    let task = tasker_engine::submit::submit(&mut bench.conn, &bench.definition, &requests, &random, at(0));
    let worker = worker(&mut bench.conn, at(0));
    (bench, task.unwrap()[0].task_id, worker)
}

#[test]
fn an_incarnation_whose_lease_ran_out_neither_renews_nor_claims() {
    let (mut bench, _, old) = bench(&[("a", &[])], 3);
    let conn = &mut bench.conn;
    assert_eq!(commands::renew(conn, old, at(9)).unwrap(), at(19));
    assert_eq!(commands::renew(conn, old, at(19)).unwrap(), None, "the lease ended at 19");
    assert!(claim(conn, old, at(19)).is_empty());
    assert_eq!(commands::renew(conn, old, at(5)).unwrap(), None, "not even where the clock went back");
    assert!(claim(conn, old, at(5)).is_empty());
    let new = worker(conn, at(19));
    assert_eq!(claim(conn, new, at(19)).len(), 1);
    assert_eq!(commands::renew(conn, WorkerId(-1), at(0)).unwrap(), None);
    bench.database.assert_sound();
}

#[test]
fn its_steps_come_back_at_once_as_lost_leases_that_cost_an_attempt() {
    let (mut bench, task, old) = bench(&[("a", &[]), ("b", &[])], 3);
    assert_eq!(claim(&mut bench.conn, old, at(0)).len(), 2);
    let new = worker(&mut bench.conn, at(9));
    assert!(claim(&mut bench.conn, new, at(9)).is_empty(), "the lease still holds");
    let taken = claim(&mut bench.conn, new, at(10));
    assert_eq!(taken.iter().map(|s| s.attempt).collect::<Vec<_>>(), [2, 2]);
    let lost = texts(
        &mut bench.conn,
        &format!(
            "select failure_kind || ': ' || reason from tasker.workflow_step_transitions where task_id = {task} and to_state = 'error'"
        ),
    );
    assert_eq!(lost, vec![format!("lost_lease: the lease of worker {old} (leased) ran out"); 2]);
    bench.database.assert_sound();
}

#[test]
fn a_step_that_kills_its_workers_ends_in_error_after_its_attempts() {
    let (mut bench, task, first) = bench(&[("poison", &[]), ("after", &["poison"])], 3);
    let mut holder = first;
    for attempt in 1..=3 {
        let now = i64::from(attempt - 1) * 10;
        let claimed = claim(&mut bench.conn, holder, at(now));
        assert_eq!(claimed.iter().map(|s| s.attempt).collect::<Vec<_>>(), [attempt]);
        holder = worker(&mut bench.conn, at(now + 10));
    }
    assert!(claim(&mut bench.conn, holder, at(30)).is_empty());
    let step = bench.step(task, "poison");
    assert_eq!((step.state, step.failure_kind), (StepState::Error, Some(FailureKind::LostLease)));
    assert_eq!((step.attempts, bench.state(task)), (3, TaskState::Error));
    bench.database.assert_sound();
}

/// Every report of the old holder is refused and leaves no trace.
fn assert_fenced(bench: &mut Bench, claim: Claim, now: i64) {
    let rows = "select x::text from (select to_jsonb(s) from tasker.workflow_steps s union all select to_jsonb(t) from tasker.tasks t
        union all select to_jsonb(l) from tasker.workflow_step_transitions l union all select to_jsonb(l) from tasker.task_transitions l) y (x) order by 1";
    let conn = &mut bench.conn;
    let before = texts(conn, rows);
    assert_eq!(commands::lost(conn, &[claim]).unwrap(), [claim.step_id]);
    let nothing = commands::Changes::default();
    assert_eq!(commands::complete(conn, &[(claim, json!("late"))], at(now)).unwrap(), nothing);
    for kind in FailureKind::ALL {
        assert_eq!(commands::fail(conn, &[failed(claim, *kind)], at(now)).unwrap(), nothing);
    }
    assert_eq!(commands::release(conn, &[claim], None, at(now)).unwrap(), nothing);
    assert_eq!(texts(conn, rows), before);
    bench.database.assert_sound();
}

#[test]
fn a_late_report_changes_nothing_at_any_later_state_of_the_step() {
    let (mut bench, task, old) = bench(&[("a", &[]), ("b", &["a"])], 100);
    let stale = claim(&mut bench.conn, old, at(0))[0].claim();
    assert!(commands::lost(&mut bench.conn, &[stale]).unwrap().is_empty());

    assert_eq!(expire(&mut bench.conn, 10), 1);
    assert_eq!(bench.step_state(task, "a"), StepState::Error);
    assert_fenced(&mut bench, stale, 10);

    let new = worker(&mut bench.conn, at(10));
    let held = claim(&mut bench.conn, new, at(10))[0].claim();
    assert_fenced(&mut bench, stale, 11);

    commands::release(&mut bench.conn, &[held], None, at(12)).unwrap();
    assert_eq!(bench.step_state(task, "a"), StepState::Pending);
    assert_fenced(&mut bench, stale, 12);
    assert_fenced(&mut bench, held, 12);

    let held = claim(&mut bench.conn, new, at(13))[0].claim();
    commands::complete(&mut bench.conn, &[(held, json!("in time"))], at(13)).unwrap();
    assert_fenced(&mut bench, stale, 13);
    assert_fenced(&mut bench, held, 13);
    assert_eq!(bench.step(task, "a").results, Some(json!("in time")));

    let stale = claim(&mut bench.conn, new, at(14))[0].claim();
    commands::cancel(&mut bench.conn, &[task], "ann", None, at(14)).unwrap();
    assert_fenced(&mut bench, stale, 14);
    commands::retry(&mut bench.conn, &[task], "ann", None, at(15)).unwrap();
    assert_fenced(&mut bench, stale, 15);
    let again = claim(&mut bench.conn, new, at(15))[0].claim();
    assert_fenced(&mut bench, stale, 15);
    commands::fail(&mut bench.conn, &[failed(again, FailureKind::Permanent)], at(16)).unwrap();
    assert_fenced(&mut bench, again, 16);
    let step = bench.id(task, "b");
    commands::resolve(&mut bench.conn, &[(task, step, None)], "ann", None, at(17)).unwrap();
    assert_fenced(&mut bench, stale, 17);
    assert_fenced(&mut bench, again, 17);
}

/// One incarnation may have claimed a step twice: what its first attempt says must not stand for the second.
#[test]
fn a_late_report_beside_the_right_one_in_a_batch_is_not_taken_for_it() {
    for late_first in [true, false] {
        let (mut bench, task, old) = bench(&[("a", &[])], 100);
        let conn = &mut bench.conn;
        let stale = claim(conn, old, at(0))[0].claim();
        commands::release(conn, &[stale], None, at(1)).unwrap();
        let held = claim(conn, old, at(2))[0].claim();
        let mut failures = [failed(stale, FailureKind::Permanent), failed(held, FailureKind::Timeout)];
        let mut results = [(stale, json!("late")), (held, json!("right"))];
        if !late_first {
            failures.reverse();
            results.reverse();
        }
        assert_eq!(commands::fail(conn, &failures, at(3)).unwrap().dead, []);
        let right = claim(conn, old, at(4))[0].claim();
        results.iter_mut().filter(|r| r.0 == held).for_each(|r| r.0 = right);
        commands::complete(conn, &results, at(5)).unwrap();
        assert_eq!(bench.step(task, "a").results, Some(json!("right")));
        bench.database.assert_sound();
    }
}

#[test]
fn a_claim_in_its_transaction_keeps_its_worker_from_being_reaped() {
    let (mut bench, task, old) = bench(&[("a", &[])], 3);
    let mut other = bench.database.connection();
    bench.begin();
    let claimed = claim(&mut bench.conn, old, at(9));
    assert_eq!(claimed.len(), 1);
    assert_eq!(expire(&mut other, 20), 0, "the worker is passed over");
    bench.commit();
    assert_eq!(bench.step_state(task, "a"), StepState::InProgress);
    assert_eq!(expire(&mut other, 20), 1);
    bench.database.assert_sound();
}

/// A sign-off from outside must not take an incarnation for empty that is just claiming.
#[test]
fn an_incarnation_that_is_ended_while_it_claims_is_not_taken_for_empty() {
    let (mut bench, task, old) = bench(&[("a", &[])], 3);
    bench.begin();
    let claimed = claim(&mut bench.conn, old, at(0));
    let ending = bench.blocked(move |conn| commands::end_worker(conn, old, at(1)).unwrap());
    bench.commit();
    assert!(ending.join().unwrap());
    bench.database.assert_sound();
    let new = worker(&mut bench.conn, at(1));
    assert_eq!(claim(&mut bench.conn, new, at(1)).len(), 1, "the step comes back");
    assert_fenced(&mut bench, claimed[0].claim(), 1);
    assert_eq!(bench.step(task, "a").attempts, 2);
}

#[test]
fn steps_that_are_just_being_reported_are_passed_over_and_taken_back_later() {
    let (mut bench, task, old) = bench(&[("a", &[]), ("b", &[])], 3);
    let steps = claim(&mut bench.conn, old, at(0));
    let mut other = bench.database.connection();
    bench.begin();
    let a = steps.iter().find(|s| s.step_name == "a").unwrap().claim();
    commands::complete(&mut bench.conn, &[(a, json!({}))], at(5)).unwrap();
    // The report holds the lock of a and of the task: b is taken back, without waiting for a.
    execute(&mut other, "set lock_timeout = '5s'");
    assert_eq!(expire(&mut other, 10), 1);
    execute(&mut bench.conn, "rollback");
    assert_eq!(bench.step_state(task, "a"), StepState::InProgress);
    assert_eq!(expire(&mut other, 10), 1);
    assert_eq!(expire(&mut other, 10), 0);
    assert_eq!(
        number(
            &mut other,
            &format!("select count(*) from tasker.workers where worker_id = {old} and reaped_at is not null")
        ),
        1
    );
    bench.database.assert_sound();
}

#[test]
fn an_incarnation_that_signs_off_gives_its_steps_to_the_next_claim() {
    let (mut bench, task, old) = bench(&[("a", &[])], 3);
    let conn = &mut bench.conn;
    assert_eq!(claim(conn, old, at(0)).len(), 1);
    assert!(commands::end_worker(conn, old, at(1)).unwrap());
    assert!(!commands::end_worker(conn, old, at(1)).unwrap(), "it is over");
    assert_eq!(commands::renew(conn, old, at(1)).unwrap(), None);
    let new = worker(conn, at(1));
    assert_eq!(claim(conn, new, at(1)).len(), 1, "at the same instant of a clock that stands still");
    assert_eq!(bench.step(task, "a").worker_id, Some(new));
    bench.database.assert_sound();
}

#[test]
fn recovery_is_bounded_for_each_call_and_loses_nothing() {
    let names: Vec<String> = (0..150).map(|i| format!("step_{i}")).collect();
    let steps: Vec<(&str, &[&str])> = names.iter().map(|n| (n.as_str(), &[][..])).collect();
    let (mut bench, _, old) = bench(&steps, 3);
    assert_eq!(commands::claim(&mut bench.conn, old, 1_000, at(0)).unwrap().len(), 150);
    assert_eq!(
        [expire(&mut bench.conn, 10), expire(&mut bench.conn, 10), expire(&mut bench.conn, 10)],
        [100, 50, 0]
    );
    bench.database.assert_sound();
}
