//! `get_step_readiness_status` and its batch form, on tasks that are brought on by the commands.

mod support;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, connection::SimpleConnection};
use serde_json::json;
use support::{StepCase, TaskCase, micros, noon, submit_one, workflow, write};
use tasker_engine::{
    commands::{self, Claim, ClaimedStep, FailedAttempt},
    definition::StepDefinition,
};
use tasker_model::{FailureKind, StepId, StepState, TaskId, WorkerId};
use tasker_readiness::{BlockingReason, StepReadinessStatus};
use tasker_testkit::{TestDatabase, shapes};

fn status(conn: &mut PgConnection, task: TaskId, now: DateTime<Utc>) -> Vec<StepReadinessStatus> {
    StepReadinessStatus::for_task(conn, task, Some(now)).unwrap_or_else(|e| panic!("{e}"))
}

fn ready(conn: &mut PgConnection, task: TaskId, now: DateTime<Utc>) -> Vec<String> {
    status(conn, task, now).into_iter().filter(|s| s.ready_for_execution).map(|s| s.name).collect()
}

fn one(conn: &mut PgConnection, task: TaskId, name: &str, now: DateTime<Utc>) -> StepReadinessStatus {
    status(conn, task, now).into_iter().find(|s| s.name == name).expect("a step of that name")
}

/// A worker that lives for a day from noon on.
fn worker(conn: &mut PgConnection, handlers: &[&str]) -> WorkerId {
    let handlers: Vec<_> = handlers.iter().map(|h| (*h).to_owned()).collect();
    commands::register(conn, "test", None, &handlers, 86_400_000, Some(noon())).unwrap().0
}

fn dummy_worker(conn: &mut PgConnection) -> WorkerId {
    worker(
        conn,
        &["dummy_task.step-one", "dummy_task.step-two", "dummy_task.step-three", "dummy_task.step-four"],
    )
}

fn claim(conn: &mut PgConnection, worker: WorkerId, now: DateTime<Utc>) -> Vec<ClaimedStep> {
    commands::claim(conn, worker, 100, Some(now)).unwrap_or_else(|e| panic!("{e}"))
}

fn complete(conn: &mut PgConnection, steps: &[ClaimedStep]) {
    let reports: Vec<_> = steps.iter().map(|s| (s.claim(), json!({}))).collect();
    assert_eq!(commands::complete(conn, &reports, Some(noon())).unwrap().accepted.len(), steps.len());
}

fn fail(conn: &mut PgConnection, claim: Claim, kind: FailureKind, delay_ms: i64, now: DateTime<Utc>) {
    let report = FailedAttempt { claim, kind, delay_ms, message: "it broke".into() };
    assert_eq!(commands::fail(conn, &[report], Some(now)).unwrap().accepted.len(), 1);
}

fn far_ahead() -> DateTime<Utc> {
    noon() + TimeDelta::days(365)
}

#[test]
fn a_fresh_task_has_its_roots_ready() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = submit_one(conn, &shapes::dummy().definition);
    let steps = status(conn, task, noon());
    assert_eq!(steps.len(), 4);
    for step in &steps {
        let is_root = ["step-one", "step-two"].contains(&step.name.as_str());
        assert_eq!(step.ready_for_execution, is_root, "{}", step.name);
        assert_eq!((step.current_state, step.attempts, step.retry_limit), (StepState::Pending, 0, 3));
        assert_eq!((step.dependencies_satisfied, step.retry_eligible, step.retryable), (is_root, true, true));
        assert_eq!((step.total_parents, step.completed_parents), (i32::from(!is_root), 0));
        assert_eq!(step.available_at, is_root.then(noon));
        assert_eq!((step.next_retry_at, step.last_failure_at, step.last_attempted_at), (None, None, None));
        assert_eq!(step.handler, format!("dummy_task.{}", step.name));
        let waits = (!is_root).then_some(BlockingReason::WaitingForParents);
        assert_eq!(step.blocking_reason(), waits);
    }
    assert_eq!(ready(conn, task, noon() - micros(1)), [""; 0], "submitted for noon, not for before");
    assert_eq!(
        one(conn, task, "step-one", noon() - micros(1)).blocking_reason(),
        Some(BlockingReason::Scheduled)
    );
    assert_eq!(ready(conn, task, Utc::now() + TimeDelta::days(3650)).len(), 2);
    database.assert_sound();
}

#[test]
fn steps_become_ready_in_the_order_of_the_edges() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = submit_one(conn, &shapes::dummy().definition);
    let worker = dummy_worker(conn);
    for expected in [&["step-one", "step-two"][..], &["step-three"], &["step-four"], &[]] {
        let mut names = ready(conn, task, noon());
        names.sort();
        assert_eq!(names, expected);
        let claimed = claim(conn, worker, noon());
        assert_eq!(claimed.len(), expected.len());
        for step in status(conn, task, far_ahead()).iter().filter(|s| expected.contains(&s.name.as_str())) {
            assert_eq!(step.blocking_reason(), Some(BlockingReason::InProgress));
            assert_eq!((step.worker_id, step.attempts), (Some(worker), 1));
            assert_eq!(step.lease_until, Some(noon() + TimeDelta::days(1)));
            assert_eq!((step.last_attempted_at, step.available_at), (Some(noon()), None));
        }
        assert_eq!(
            ready(conn, task, far_ahead()),
            [""; 0],
            "what is in progress is not ready, whatever the time"
        );
        complete(conn, &claimed);
    }
    for step in status(conn, task, far_ahead()) {
        assert_eq!(
            (step.ready_for_execution, step.blocking_reason()),
            (false, Some(BlockingReason::Finished))
        );
        assert_eq!((step.completed_parents, step.worker_id), (step.total_parents, None));
    }
    database.assert_sound();
}

#[test]
fn cancelled_and_resolved_steps_are_never_ready() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = submit_one(conn, &shapes::dummy().definition);
    let two = one(conn, task, "step-two", noon()).workflow_step_id;
    commands::resolve(conn, &[(task, two, None)], "ada", None, Some(noon())).unwrap();
    assert_eq!(ready(conn, task, noon()), ["step-one", "step-three"], "a resolved parent satisfies");
    assert_eq!(one(conn, task, "step-two", far_ahead()).blocking_reason(), Some(BlockingReason::Finished));
    commands::cancel(conn, &[task], "ada", None, Some(noon())).unwrap();
    assert_eq!(ready(conn, task, far_ahead()), [""; 0]);
    for step in status(conn, task, far_ahead()) {
        assert_eq!(step.blocking_reason(), Some(BlockingReason::Finished), "{}", step.name);
    }
    database.assert_sound();
}

#[test]
fn a_retry_is_ready_at_its_instant_and_not_before() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = submit_one(conn, &workflow("t", vec![StepDefinition::new("a", "h")]));
    let worker = worker(conn, &["h"]);
    let mut now = noon();
    for attempt in 1..=3 {
        let claimed = claim(conn, worker, now);
        assert_eq!((claimed.len(), claimed[0].attempt), (1, attempt));
        let running = one(conn, task, "a", now);
        assert_eq!((running.last_failure_at, running.next_retry_at), (None, None), "of an error only");
        fail(conn, claimed[0].claim(), FailureKind::Retryable, 1_500, now);
        let step = one(conn, task, "a", now);
        assert_eq!((step.current_state, step.last_failure_at), (StepState::Error, Some(now)));
        assert_eq!((step.attempts, step.failure_kind), (attempt, Some(FailureKind::Retryable)));
        assert_eq!((step.backoff_request_seconds, step.last_error.as_deref()), (Some(2), Some("it broke")));
        assert_eq!(step.effective_backoff(), Duration::from_secs(2), "whole seconds, rounded up");
        if attempt == 3 {
            break;
        }
        let at = now + TimeDelta::milliseconds(1_500);
        assert_eq!((step.next_retry_at, step.available_at), (Some(at), Some(at)));
        assert_eq!(step.time_until_ready(now), Some(Duration::from_millis(1_500)));
        for (when, is_ready) in [(now, false), (at - micros(1), false), (at, true), (at + micros(1), true)] {
            let step = one(conn, task, "a", when);
            assert_eq!((step.ready_for_execution, step.retry_due), (is_ready, is_ready), "at {when}");
            assert_eq!(step.blocking_reason(), (!is_ready).then_some(BlockingReason::WaitingForRetry));
            assert_eq!(step.next_retry_at, Some(at), "the instant does not move with the clock");
            assert!(step.retry_eligible, "attempts are left");
            let claimable = commands::next_due_at(conn, worker).unwrap();
            assert_eq!(claimable, Some(at));
        }
        // The claim goes by the same rule.
        assert_eq!(claim(conn, worker, at - micros(1)), []);
        now = at;
    }
    let step = one(conn, task, "a", far_ahead());
    assert_eq!((step.ready_for_execution, step.retry_eligible), (false, false));
    assert_eq!((step.blocking_reason(), step.next_retry_at), (Some(BlockingReason::Exhausted), None));
    assert_eq!(step.retry_status(), "max_retries_reached");
    assert_eq!(claim(conn, worker, far_ahead() - TimeDelta::days(364) - TimeDelta::hours(1)), []);
    database.assert_sound();
}

#[test]
fn limits_and_kinds_end_the_attempts() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let step = |name: &str| StepDefinition::new(name, "h");
    let never = StepDefinition { retry_limit: 0, ..step("never") };
    let once = StepDefinition { retryable: false, ..step("once") };
    let limit_one = StepDefinition { retry_limit: 1, ..step("limit_one") };
    let task =
        submit_one(conn, &workflow("t", vec![never, once, limit_one, step("permanent"), step("again")]));
    let worker = worker(conn, &["h"]);
    assert_eq!(
        ready(conn, task, noon()),
        ["once", "limit_one", "permanent", "again"],
        "what may not be retried runs once"
    );
    assert_eq!(one(conn, task, "never", far_ahead()).blocking_reason(), Some(BlockingReason::Exhausted));

    for claimed in claim(conn, worker, noon()) {
        let kind =
            if claimed.step_name == "permanent" { FailureKind::Permanent } else { FailureKind::Timeout };
        fail(conn, claimed.claim(), kind, 0, noon());
    }
    assert_eq!(ready(conn, task, noon()), ["again"]);
    for (name, reason, eligible, words) in [
        ("never", BlockingReason::Exhausted, false, "max_retries_reached"),
        ("once", BlockingReason::NotRetryable, true, "not_retryable"),
        ("limit_one", BlockingReason::Exhausted, false, "max_retries_reached"),
        ("permanent", BlockingReason::Permanent, true, "not_retryable"),
    ] {
        let step = one(conn, task, name, far_ahead());
        assert_eq!((step.blocking_reason(), step.next_retry_at), (Some(reason), None), "{name}");
        assert_eq!((step.retry_eligible, step.retry_status()), (eligible, words), "{name}");
    }
    database.assert_sound();
}

#[test]
fn the_batch_is_the_union_of_the_singles() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let definition = shapes::dummy().definition;
    let ids: Vec<TaskId> = (0..3).map(|_| submit_one(conn, &definition)).collect();
    let worker = dummy_worker(conn);
    let claimed = claim(conn, worker, noon());
    complete(conn, &claimed[..2]);
    commands::cancel(conn, &ids[2..], "ada", None, Some(noon())).unwrap();
    let singles: Vec<_> = ids.iter().flat_map(|id| status(conn, *id, noon())).collect();
    assert_eq!(singles.len(), 12);
    assert!(singles.is_sorted_by_key(|s| (s.task_id, s.workflow_step_id)));
    let mut batch = |ids: Option<&[TaskId]>| StepReadinessStatus::for_tasks(conn, ids, Some(noon())).unwrap();

    assert_eq!(batch(Some(&ids)), singles);
    assert_eq!(batch(Some(&[ids[2], ids[0], ids[1]])), singles, "the order is by id, not as asked");
    assert_eq!(batch(Some(&[ids[1], ids[0], ids[1], ids[2], ids[1]])), singles, "each counts once");
    assert_eq!(batch(Some(&[])), []);
    assert_eq!(batch(Some(&[TaskId(-1)])), []);
    assert_eq!(batch(Some(&[ids[1], TaskId(i64::MAX)])), singles[4..8]);
    assert_eq!(batch(None), singles[..8], "every open task, and the cancelled one is not");

    let some = [singles[3].workflow_step_id, singles[1].workflow_step_id, singles[3].workflow_step_id];
    let narrowed = StepReadinessStatus::for_steps(conn, ids[0], &some, Some(noon())).unwrap();
    assert_eq!(narrowed, [singles[1].clone(), singles[3].clone()]);
    assert_eq!(StepReadinessStatus::for_steps(conn, ids[0], &[], Some(noon())).unwrap(), []);
    let of_another = [singles[5].workflow_step_id, StepId(-1)];
    assert_eq!(StepReadinessStatus::for_steps(conn, ids[0], &of_another, Some(noon())).unwrap(), []);
    assert_eq!(status(conn, TaskId(-1), noon()), []);
}

#[test]
fn without_an_instant_the_databases_clock_is_read() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = TaskCase::new(vec![StepCase::new(StepState::Error, 1)]);
    write(conn, &[task.clone(), task]);
    // A day either way of the real clock, wherever that stands to the tests' own.
    conn.batch_execute(
        "update tasker.workflow_steps set available_at = clock_timestamp() + (case task_id when 1 then -1 else 1 end) * interval '1 day'",
    )
    .unwrap();
    let both = StepReadinessStatus::for_tasks(conn, None, None).unwrap();
    assert_eq!(both.iter().map(|s| s.ready_for_execution).collect::<Vec<_>>(), [true, false]);
    for (step, is_ready) in both.iter().zip([true, false]) {
        assert_eq!(
            StepReadinessStatus::for_task(conn, step.task_id, None).unwrap()[0].ready_for_execution,
            is_ready
        );
        let by_id =
            StepReadinessStatus::for_steps(conn, step.task_id, &[step.workflow_step_id], None).unwrap();
        assert_eq!(by_id[0].ready_for_execution, is_ready);
    }
}

#[test]
fn the_sessions_time_zone_plays_no_part() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let error = |due| StepCase { due, ..StepCase::new(StepState::Error, 1) };
    write(conn, &[TaskCase::new(vec![error(-1), error(0), error(1), error(3600 * 9)])]);
    let mut answers = vec![];
    for zone in ["UTC", "America/New_York", "Asia/Tokyo", "Pacific/Chatham"] {
        conn.batch_execute(&format!("set timezone = '{zone}'")).unwrap();
        answers.push(status(conn, TaskId(1), noon()));
    }
    assert!(answers.windows(2).all(|w| w[0] == w[1]));
    assert_eq!(
        answers[0].iter().map(|s| s.ready_for_execution).collect::<Vec<_>>(),
        [true, true, false, false]
    );
}

/// Asking changes nothing, and a moved clock does not move the state.
#[test]
fn reading_is_only_reading() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = submit_one(conn, &shapes::dummy().definition);
    conn.batch_execute("set default_transaction_read_only = on").unwrap();
    let before = status(conn, task, noon());
    status(conn, task, far_ahead());
    status(conn, task, noon() - TimeDelta::days(365));
    assert_eq!(status(conn, task, noon()), before);
}
