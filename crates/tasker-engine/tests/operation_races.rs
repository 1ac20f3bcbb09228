//! Each operation against a claim or a report that happens at the same time, in both orders: whoever comes second
//! sees what the first did.

mod support;

use std::sync::Arc;

use diesel::{
    PgConnection,
    connection::{AnsiTransactionManager, TransactionManager},
};
use serde_json::json;
use support::{Bench, failed, persist};
use tasker_engine::{
    commands::{self, Changes, Claim, Outcome, Refusal, StepOutcome},
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts},
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, StepId, StepState, TaskId, TaskState};

type Steps = [(TaskId, StepId); 1];
type Operation = fn(&mut PgConnection, &Steps) -> Vec<StepOutcome>;

fn reset(conn: &mut PgConnection, steps: &Steps) -> Vec<StepOutcome> {
    persist(|| commands::reset(conn, steps, "ann", None, None))
}

fn retry_from(conn: &mut PgConnection, steps: &Steps) -> Vec<StepOutcome> {
    persist(|| commands::retry_from(conn, steps, "ann", None, None))
}

fn cancel(conn: &mut PgConnection, steps: &Steps) -> Vec<StepOutcome> {
    persist(|| commands::cancel_single(conn, steps, "ann", None, None))
}

fn retry_now(conn: &mut PgConnection, steps: &Steps) -> Vec<StepOutcome> {
    persist(|| commands::retry_now(conn, steps, "ann", None, None))
}

fn limit_to_one(conn: &mut PgConnection, steps: &Steps) -> Vec<StepOutcome> {
    persist(|| commands::set_retry_limit(conn, steps, 1, "ann", None, None))
}

fn prioritize(conn: &mut PgConnection, steps: &Steps) -> Vec<StepOutcome> {
    persist(|| commands::set_priority(conn, steps, 1, "ann", None, None))
}

fn pause(conn: &mut PgConnection, steps: &Steps) -> Vec<StepOutcome> {
    persist(|| commands::pause_single(conn, steps, true, "ann", None, None))
}

fn skip(conn: &mut PgConnection, steps: &Steps) -> Vec<StepOutcome> {
    persist(|| commands::skip(conn, steps, "ann", None, None))
}

/// A task of a → b, each skippable, in which a is complete and b claimable.
fn half_done() -> (Bench, TaskId, Steps, Steps) {
    let mut parts = support::parts(&[("a", &[]), ("b", &["a"])]);
    parts.steps.iter_mut().for_each(|s| s.skippable = true);
    let mut bench = Bench::with(parts);
    let (task, claims) = bench.started();
    bench.complete(claims["a"]);
    let (a, b) = ([(task, bench.id(task, "a"))], [(task, bench.id(task, "b"))]);
    (bench, task, a, b)
}

/// Brings a sound task to its end.
fn ends(mut bench: Bench, task: TaskId) {
    bench.database.assert_sound();
    commands::pause(&mut bench.conn, &[task], false, "ann", None, None).unwrap();
    let steps = [(task, bench.id(task, "b"))];
    commands::pause_single(&mut bench.conn, &steps, false, "ann", None, None).unwrap();
    commands::retry(&mut bench.conn, &[task], "ann", None, None).unwrap();
    bench.drain();
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn an_operation_waits_for_an_open_claim_and_sees_it() {
    let refused = |state| Some(Refusal::Step(state));
    let cases: [(Operation, Outcome, Option<Refusal>, StepState); 7] = [
        (cancel, Outcome::Cancelled, None, StepState::Cancelled),
        (reset, Outcome::Reset, None, StepState::Pending),
        (retry_now, Outcome::Refused, refused(StepState::InProgress), StepState::InProgress),
        (limit_to_one, Outcome::Limited, None, StepState::InProgress),
        (prioritize, Outcome::Prioritized, None, StepState::InProgress),
        (pause, Outcome::Paused, None, StepState::InProgress),
        (skip, Outcome::Refused, refused(StepState::InProgress), StepState::InProgress),
    ];
    for (operation, outcome, refusal, state) in cases {
        let (mut bench, task, _, b) = half_done();
        bench.begin();
        let claim = bench.claims()["b"];
        let other = bench.blocked(move |conn| operation(conn, &b).remove(0));
        bench.commit();
        let answer = other.join().unwrap();
        assert_eq!((answer.outcome, answer.refusal()), (outcome, refusal));
        assert_eq!(bench.step_state(task, "b"), state);
        // The claim holds exactly where the operation let it.
        let accepted = bench.complete(claim).accepted.len();
        assert_eq!(accepted, usize::from(state == StepState::InProgress), "{outcome:?}");
        ends(bench, task);
    }
}

#[test]
fn a_claim_passes_over_what_is_being_operated_on() {
    let cases: [(Operation, usize); 8] = [
        (cancel, 0),
        (reset, 0),
        (retry_from, 0),
        (retry_now, 1),
        (limit_to_one, 1),
        (prioritize, 1),
        (pause, 0),
        (skip, 0),
    ];
    for (place, (operation, after)) in cases.into_iter().enumerate() {
        let (mut bench, task, a, b) = half_done();
        // What goes back is the parent, and with it the child is no longer claimable.
        let steps = if matches!(place, 1 | 2) { a } else { b };
        bench.begin();
        operation(&mut bench.conn, &steps);
        let (mut conn, worker) = (bench.database.connection(), bench.worker);
        assert!(commands::claim(&mut conn, worker, 10, None).unwrap().is_empty());
        bench.commit();
        let claimed = commands::claim(&mut conn, worker, 10, None).unwrap();
        assert_eq!(claimed.iter().filter(|s| s.step_name == "b").count(), after, "case {place}");
        claimed.iter().for_each(|s| _ = bench.complete(s.claim()));
        ends(bench, task);
    }
}

type Report = fn(&mut PgConnection, Claim) -> Changes;

const COMPLETE: Report = |conn, claim| commands::complete(conn, &[(claim, json!({}))], None).unwrap();
const FAIL: Report =
    |conn, claim| commands::fail(conn, &[failed(claim, FailureKind::Retryable)], None).unwrap();
const RELEASE: Report = |conn, claim| commands::release(conn, &[claim], None, None).unwrap();

#[test]
fn a_report_waits_for_the_operation_and_is_refused_where_that_took_the_claim() {
    for report in [COMPLETE, FAIL, RELEASE] {
        let cases: [(Operation, bool); 5] =
            [(cancel, false), (retry_from, false), (limit_to_one, true), (prioritize, true), (pause, true)];
        for (place, (operation, holds)) in cases.into_iter().enumerate() {
            let (mut bench, task, a, b) = half_done();
            let claim = bench.claims()["b"];
            bench.begin();
            operation(&mut bench.conn, if place == 1 { &a } else { &b });
            let other = bench.blocked(move |conn| report(conn, claim));
            bench.commit();
            assert_eq!(other.join().unwrap().accepted.len(), usize::from(holds), "case {place}");
            ends(bench, task);
        }
    }
}

#[test]
fn an_operation_waits_for_a_report_and_goes_on_from_what_it_left() {
    // What each finds after a completion, and after a failure that would be tried again.
    let cases: [(Operation, [Outcome; 2]); 7] = [
        (cancel, [Outcome::Refused, Outcome::Cancelled]),
        (reset, [Outcome::Reset, Outcome::Reset]),
        (retry_now, [Outcome::Refused, Outcome::AlreadyDue]),
        (limit_to_one, [Outcome::Refused, Outcome::Limited]),
        (prioritize, [Outcome::Refused, Outcome::Prioritized]),
        (pause, [Outcome::Refused, Outcome::Paused]),
        (skip, [Outcome::Refused, Outcome::Skipped]),
    ];
    for (operation, outcomes) in cases {
        for (report, outcome) in [COMPLETE, FAIL].into_iter().zip(outcomes) {
            let (mut bench, task, _, b) = half_done();
            let claim = bench.claims()["b"];
            bench.begin();
            assert_eq!(report(&mut bench.conn, claim).accepted.len(), 1);
            let other = bench.blocked(move |conn| operation(conn, &b).remove(0).outcome);
            bench.commit();
            assert_eq!(other.join().unwrap(), outcome);
            ends(bench, task);
        }
    }
}

#[test]
fn a_reset_of_a_parent_meets_the_claim_of_its_child() {
    // The claim comes first: the result is in use.
    let (mut bench, task, a, _) = half_done();
    bench.begin();
    let claim = bench.claims()["b"];
    let other = bench.blocked(move |conn| reset(conn, &a).remove(0).refusal());
    bench.commit();
    assert_eq!(other.join().unwrap(), Some(Refusal::ChildrenRan));
    assert_eq!(bench.complete(claim).accepted.len(), 1);
    ends(bench, task);

    // A retry from the parent takes the child off its claim.
    let (mut bench, task, a, _) = half_done();
    bench.begin();
    let claim = bench.claims()["b"];
    let other = bench.blocked(move |conn| retry_from(conn, &a).len());
    bench.commit();
    assert_eq!(other.join().unwrap(), 2);
    assert!(bench.complete(claim).accepted.is_empty());
    let b = bench.step(task, "b");
    assert_eq!((b.state, b.pending_parents, b.generation), (StepState::Pending, 1, 2));
    ends(bench, task);
}

#[test]
fn of_two_that_reset_the_same_step_one_finds_it_done() {
    let (mut bench, task, a, _) = half_done();
    bench.begin();
    assert_eq!(retry_from(&mut bench.conn, &a)[0].outcome, Outcome::Reset);
    let other = bench.blocked(move |conn| retry_from(conn, &a).remove(0).outcome);
    bench.commit();
    assert_eq!(other.join().unwrap(), Outcome::AlreadyPending);
    assert_eq!(bench.step(task, "a").generation, 2);
    ends(bench, task);
}

#[test]
fn a_retry_from_meets_the_completion_that_would_settle_the_task() {
    for first in ["report", "operation"] {
        let (mut bench, task, a, _) = half_done();
        let claim = bench.claims()["b"];
        bench.begin();
        if first == "report" {
            assert_eq!(bench.complete(claim).settled, [(task, TaskState::Complete)]);
            let other = bench.blocked(move |conn| retry_from(conn, &a).len());
            bench.commit();
            assert_eq!(other.join().unwrap(), 3, "two steps, and the task that opened");
        } else {
            retry_from(&mut bench.conn, &a);
            let other = bench.blocked(move |conn| COMPLETE(conn, claim));
            bench.commit();
            assert_eq!(other.join().unwrap(), Changes::default());
        }
        assert!(bench.state(task).is_open());
        ends(bench, task);
    }
}

#[test]
fn a_paused_task_waits_for_claims_and_stops_the_next() {
    let pause = |conn: &mut PgConnection, task| {
        persist(|| commands::pause(conn, &[task], true, "ann", None, None)).remove(0).outcome
    };
    let (mut bench, task, _, _) = half_done();
    bench.begin();
    let claim = bench.claims()["b"];
    let other = bench.blocked(move |conn| pause(conn, task));
    bench.commit();
    assert_eq!(other.join().unwrap(), Outcome::Paused);
    assert!(bench.fail(claim, FailureKind::Retryable).settled.is_empty());
    assert!(bench.claim(10).is_empty(), "its next attempt waits");
    ends(bench, task);

    let (mut bench, task, _, _) = half_done();
    bench.begin();
    pause(&mut bench.conn, task);
    let (mut conn, worker) = (bench.database.connection(), bench.worker);
    assert!(commands::claim(&mut conn, worker, 10, None).unwrap().is_empty());
    bench.commit();
    assert!(commands::claim(&mut conn, worker, 10, None).unwrap().is_empty());
    ends(bench, task);
}

/// What submits opens a transaction of its own, which has to lie within this one.
fn begin(conn: &mut PgConnection) {
    AnsiTransactionManager::begin_transaction(conn).unwrap();
}

fn commit(conn: &mut PgConnection) {
    AnsiTransactionManager::commit_transaction(conn).unwrap();
}

#[test]
fn a_queue_registered_while_its_namespace_is_paused_is_paused_too() {
    let later = |namespace: &str| {
        let mut parts = WorkflowParts::new("later");
        parts.namespace = namespace.into();
        parts.steps = vec![StepDefinition::new("x", "bench.later")];
        WorkflowDefinition::new(parts).unwrap()
    };
    let register = |conn: &mut PgConnection, definition: &WorkflowDefinition| {
        submit(conn, definition, &[TaskRequest::new(json!({}))], &Identity::Random, None).unwrap();
    };
    let pause = |conn: &mut PgConnection, namespace: &str| {
        commands::pause_queue(conn, Some(namespace), None, true, "ann", None, None).unwrap()
    };
    for first in ["pause", "registration"] {
        let mut bench = Bench::new(&[("a", &[])]);
        bench.submit();
        let namespace = bench.definition.namespace().to_owned();
        let definition = later(&namespace);
        begin(&mut bench.conn);
        let other = if first == "pause" {
            pause(&mut bench.conn, &namespace);
            bench.blocked(move |conn| register(conn, &definition))
        } else {
            register(&mut bench.conn, &definition);
            bench.blocked(move |conn| _ = pause(conn, &namespace))
        };
        commit(&mut bench.conn);
        other.join().unwrap();
        let open = "select count(*) from tasker.queues where paused_at is null";
        assert_eq!(support::number(&mut bench.conn, open), 0, "{first} first");
        bench.database.assert_sound();
    }
}

/// Two batches name the same identities in opposite orders while a third session holds the middle one.
#[test]
fn batches_that_name_the_same_identities_wait_for_each_other_in_one_order() {
    let mut bench = Bench::new(&[("a", &[])]);
    bench.submit();
    let identity = || {
        Identity::Custom(Arc::new(|_, request| {
            request.context["identity"].as_str().unwrap_or_default().into()
        }))
    };
    let batch = |names: [&str; 3]| names.map(|name| TaskRequest::new(json!({ "identity": name })));
    let definition = bench.definition.clone();
    let send = move |conn: &mut PgConnection, requests: &[TaskRequest]| {
        submit(conn, &definition, requests, &identity(), None).map_err(|e| e.to_string())
    };
    begin(&mut bench.conn);
    send(&mut bench.conn, &batch(["m"; 3])).unwrap();
    let (one, two) = (send.clone(), send.clone());
    let forwards = bench.blocked(move |conn| one(conn, &batch(["a", "m", "z"])));
    let backwards = bench.blocked(move |conn| two(conn, &batch(["z", "m", "a"])));
    AnsiTransactionManager::rollback_transaction(&mut bench.conn).unwrap();
    let (forwards, backwards) = (forwards.join().unwrap().unwrap(), backwards.join().unwrap().unwrap());
    let ids = |submitted: &[tasker_engine::submit::Submitted]| -> Vec<TaskId> {
        submitted.iter().map(|s| s.task_id).collect()
    };
    let mut turned = ids(&backwards);
    turned.reverse();
    assert_eq!(ids(&forwards), turned);
    let created = forwards.iter().chain(&backwards).filter(|s| s.created).count();
    assert_eq!(created, 3);
    let order = ids(if forwards[0].created { &forwards } else { &backwards });
    assert!(order.is_sorted(), "ids follow the order of the requests: {order:?}");
    bench.database.assert_sound();
}
