//! What explain says of each kind of standing: the sentence, since when, and what would change it.

mod explain_world;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use explain_world::{World, start};
use serde_json::{Value, json};
use tasker_engine::{
    commands::{self, ClaimedStep, FailedAttempt},
    definition::{FailurePolicy, StepDefinition, WorkflowDefinition, WorkflowParts},
};
use tasker_model::{FailureKind, StepId, StepState, TaskId, WorkerId};
use tasker_readiness::{
    Explanation, Moment, Paused, Reason, explain, explain_steps, explain_task, explain_tasks,
};

/// So many seconds after the start.
fn second(n: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(n)
}

/// A task of these steps (name and parents), whose clock stands at the start.
fn world(fail_fast: bool, steps: &[(&str, &[&str])]) -> (World, TaskId) {
    let mut world = World::new(0);
    let mut parts = WorkflowParts::new("w");
    if fail_fast {
        parts.failure_policy = FailurePolicy::FailFast;
    }
    for (name, parents) in steps {
        let mut step = StepDefinition::new(*name, "ask");
        step.depends_on = parents.iter().map(|p| (*p).to_owned()).collect();
        parts.steps.push(step);
    }
    world.definitions.push(WorkflowDefinition::new(parts).unwrap());
    let task = world.submit(0, vec![]);
    (world, task)
}

impl World {
    fn worker(&mut self, lease_ms: i32) -> WorkerId {
        commands::register(&mut self.conn, "the one", None, &["ask".into()], lease_ms, Some(self.now))
            .unwrap()
            .0
    }

    fn claim(&mut self, worker: WorkerId) -> Vec<ClaimedStep> {
        commands::claim(&mut self.conn, worker, 10, Some(self.now)).unwrap()
    }

    fn fail(&mut self, step: &ClaimedStep, kind: FailureKind, delay_ms: i64) {
        let message = "no answer".into();
        let report = FailedAttempt { claim: step.claim(), kind, delay_ms, message };
        commands::fail(&mut self.conn, &[report], Some(self.now)).unwrap();
    }

    /// The step of this name, now.
    fn step(&mut self, task: TaskId, name: &str) -> Explanation {
        let at = Moment::Clock(self.now);
        self.step_at(task, name, at)
    }

    fn step_at(&mut self, task: TaskId, name: &str, at: Moment) -> Explanation {
        let all = explain_task(&mut self.conn, task, at).unwrap();
        all.into_iter().find(|e| e.name == name).unwrap()
    }
}

/// The sentences of a step with their since, in seconds after the start, and what would change each.
fn told(step: &Explanation) -> Vec<(String, Option<i64>, String)> {
    let told =
        |r: &Reason| (r.to_string(), r.since().map(|s| (s - start()).num_seconds()), r.change().to_string());
    step.reasons.iter().map(told).collect()
}

fn tell(step: &Explanation) -> (String, Option<i64>, String) {
    assert_eq!(step.reasons.len(), 1, "{step:#?}");
    told(step).remove(0)
}

fn line(sentence: &str, since: i64, change: &str) -> (String, Option<i64>, String) {
    (sentence.into(), Some(since), change.into())
}

#[test]
fn a_step_is_told_from_its_parents_to_its_end() {
    let (mut w, task) = world(false, &[("fetch", &[]), ("ship", &["fetch"])]);
    w.now = second(1);
    let fetch = w.step(task, "fetch");
    assert_eq!((fetch.claimable, fetch.claimable_since), (Some(true), Some(start())));
    assert_eq!(fetch.blocking().count(), 0);
    let nobody = "is ready, but no living worker serves handler `ask` in namespace `default`";
    let start_one = "a worker that has handler `ask` and serves namespace `default`";
    assert_eq!(tell(&fetch), line(nobody, 0, start_one));
    let waits = "waits for `fetch` (pending since 2030-01-02T12:00:00Z); 0 of 1 parents are done";
    assert_eq!(tell(&w.step(task, "ship")), line(waits, 0, "it becomes ready when all its parents are done"));

    let worker = w.worker(10_000);
    assert_eq!(w.step(task, "fetch").reasons, [], "a worker is about to take it");
    w.now = second(2);
    let claim = w.claim(worker).remove(0);
    w.now = second(3);
    let runs = "is being run (attempt 1 of 3) by worker 1 (the one), whose lease";
    assert_eq!(
        tell(&w.step(task, "fetch")),
        line(
            &format!("{runs} holds until 2030-01-02T12:00:11Z"),
            2,
            "its handler's answer, its timeout, or the end of the lease"
        )
    );
    assert_eq!(
        tell(&w.step_at(task, "fetch", Moment::Clock(second(11)))),
        line(
            &format!("{runs} ran out at 2030-01-02T12:00:11Z"),
            2,
            "the next worker that claims takes the step back"
        )
    );
    w.fail(&claim, FailureKind::Retryable, 60_000);
    let waits =
        "waits for attempt 2 of 3 at 2030-01-02T12:01:03Z, because the last attempt failed: no answer";
    assert_eq!(tell(&w.step(task, "fetch")), line(waits, 3, "time alone, at 2030-01-02T12:01:03Z"));
    let waits = "waits for `fetch` (error since 2030-01-02T12:00:03Z, attempt 1 of 3, next at 2030-01-02T12:01:03Z); 0 of 1 parents are done";
    assert_eq!(tell(&w.step(task, "ship")).0, waits);
    w.now = second(63);
    assert_eq!(w.step(task, "fetch").blocking().count(), 0);

    let worker = w.worker(60_000);
    let claim = w.claim(worker).remove(0);
    w.now = second(64);
    commands::complete(&mut w.conn, &[(claim.claim(), json!({}))], Some(w.now)).unwrap();
    assert_eq!(tell(&w.step(task, "fetch")), line("is complete", 64, "nothing; it counts as done"));
    let ship = w.step(task, "ship");
    assert_eq!((ship.claimable_since, ship.reasons), (Some(second(64)), vec![]));
    let id = ship.step_id;
    commands::cancel(&mut w.conn, &[task], "ann", Some("not\nwanted"), Some(second(65))).unwrap();
    w.now = second(66);
    assert_eq!(
        tell(&w.step(task, "ship")),
        line("was cancelled by ann: not wanted", 65, "an operator's retry")
    );
    commands::retry(&mut w.conn, &[task], "ann", None, Some(w.now)).unwrap();
    commands::resolve(&mut w.conn, &[(task, id, None)], "bob", Some("by phone"), Some(w.now)).unwrap();
    assert_eq!(
        tell(&w.step(task, "ship")),
        line("was resolved by hand by bob: by phone", 66, "nothing; it counts as done")
    );
}

#[test]
fn every_reason_of_a_dead_step_is_told_and_what_it_holds_back() {
    let (mut w, task) = world(true, &[("charge", &[]), ("other", &[]), ("ship", &["charge"])]);
    let worker = w.worker(60_000);
    let mut claims = w.claim(worker);
    let other = claims.pop().unwrap();
    w.execute("update tasker.workflow_steps set retry_limit = 1, retryable = false where named_step_id = (select min(named_step_id) from tasker.workflow_steps)");
    w.now = second(1);
    w.fail(&claims[0], FailureKind::Permanent, 0);
    let repair = "an operator's retry, or declaring it done";
    let held = "is held back, because `charge` is dead and the workflow fails fast";
    let lift = "somebody has to retry or resolve `charge`";
    assert_eq!(
        told(&w.step(task, "charge")),
        [
            line("failed for good: no answer", 1, repair),
            line("has used up its attempts (1 of 1): no answer", 1, repair),
            line("failed and is not to be tried again: no answer", 1, repair),
            line(held, 1, lift),
        ]
    );
    w.now = second(2);
    w.fail(&other, FailureKind::LostLease, 0);
    let finished = "is not claimed, because its task is error";
    let reopen = "retrying or resolving what failed or was cancelled opens the task again";
    assert_eq!(told(&w.step(task, "other")), [line(held, 1, lift), line(finished, 2, reopen)]);
    let waits = "waits for `charge` (error since 2030-01-02T12:00:01Z, attempt 1 of 1, dead); 0 of 1 parents are done";
    assert_eq!(
        told(&w.step(task, "ship")),
        [line(waits, 0, lift), line(held, 1, lift), line(finished, 2, reopen)]
    );
    w.execute(
        "update tasker.workflow_steps set retry_limit = 0, available_at = null where state = 'pending'",
    );
    assert_eq!(
        told(&w.step(task, "ship"))[0],
        line("never runs, because its retry limit is 0", 0, "a higher retry limit, or declaring it done")
    );
}

#[test]
fn pauses_are_told_apart_and_a_schedule_is_told() {
    let (mut w, task) = world(false, &[("fetch", &[])]);
    let step = w.step(task, "fetch").step_id;
    let queue = Paused::Queue { namespace: "default".into(), handler: "ask".into() };
    w.worker(60_000);
    for (n, what, sentence, change) in [
        (1, Paused::Step, "is paused", "it becomes ready when it is resumed"),
        (
            2,
            Paused::Task,
            "is not claimed, because its task is paused",
            "it becomes ready when its task is resumed",
        ),
        (
            3,
            queue,
            "is not claimed, because the queue of handler `ask` in namespace `default` is paused",
            "it becomes ready when the queue is resumed",
        ),
    ] {
        w.now = second(10 * n);
        w.pause(&what, task, step);
        w.now = second(10 * n + 5);
        assert_eq!(tell(&w.step(task, "fetch")), line(sentence, 10 * n, change));
        w.resume(&what, task, step);
        let then = w.step_at(task, "fetch", Moment::Past(second(10 * n + 4)));
        assert_eq!(tell(&then), line(sentence, 10 * n, change));
        assert_eq!(w.step(task, "fetch").claimable_since, Some(w.now));
    }
    w.execute("update tasker.workflow_steps set available_at = '2030-01-02T13:00:00Z'");
    let waits = "waits for its first attempt at 2030-01-02T13:00:00Z";
    assert_eq!(tell(&w.step(task, "fetch")), line(waits, 0, "time alone, at 2030-01-02T13:00:00Z"));
}

#[test]
fn the_past_knows_what_did_not_exist_what_was_renewed_and_what_was_pruned() {
    let (mut w, task) = world(false, &[("fetch", &[]), ("ship", &["fetch"])]);
    let before = w.step_at(task, "fetch", Moment::Past(second(-1)));
    assert_eq!((before.state, before.since, before.claimable), (None, None, Some(false)));
    assert_eq!(before.reasons, [Reason::NotCreated { created_at: start() }]);
    assert_eq!(before.reasons[0].to_string(), "did not exist yet; it was created at 2030-01-02T12:00:00Z");

    let worker = w.worker(10_000);
    let claim = w.claim(worker).remove(0);
    w.now = second(5);
    commands::renew(&mut w.conn, worker, Some(w.now)).unwrap();
    let lease = |e: &Explanation| match e.reasons[..] {
        [Reason::InProgress { lease_until, lease_ran_out, .. }] => (lease_until, lease_ran_out),
        _ => panic!("{e:#?}"),
    };
    let at = |n| Moment::Past(second(n));
    assert_eq!(lease(&w.step_at(task, "fetch", at(4))), (None, false));
    assert!(
        w.step_at(task, "fetch", at(4)).reasons[0]
            .to_string()
            .ends_with("whose lease held and was renewed later")
    );
    assert_eq!(lease(&w.step_at(task, "fetch", at(5))), (Some(second(15)), false));
    assert_eq!(lease(&w.step_at(task, "fetch", at(15))), (Some(second(15)), true));

    w.now = second(6);
    commands::complete(&mut w.conn, &[(claim.claim(), json!({}))], Some(w.now)).unwrap();
    w.execute("delete from tasker.workflow_step_transitions where seq = 1");
    let fetch = w.step_at(task, "fetch", at(3));
    assert_eq!((fetch.state, fetch.claimable), (None, None));
    assert_eq!(fetch.reasons, [Reason::Pruned { logged_from: Some(second(6)) }]);
    assert_eq!(tell(&fetch).0, "has no answer: its log begins at 2030-01-02T12:00:06Z");
    let ship = w.step_at(task, "ship", at(3));
    assert_eq!(ship.reasons, [Reason::Pruned { logged_from: None }], "its parent's log is gone");
    assert_eq!(w.step_at(task, "fetch", at(6)).state, Some(StepState::Complete));
    assert_eq!(w.step_at(task, "ship", at(6)).claimable, Some(true));
    w.execute("delete from tasker.workflow_step_transitions");
    assert_eq!(w.step_at(task, "fetch", at(6)).reasons, [Reason::Pruned { logged_from: None }]);
    assert_eq!(w.step(task, "fetch").state, Some(StepState::Complete), "the present needs no log");
}

#[test]
fn one_step_a_task_and_many_are_explained_and_none_is_no_error() {
    let (mut w, task) = world(false, &[("fetch", &[]), ("ship", &["fetch"])]);
    let second_task = w.submit(0, vec![]);
    let conn = &mut w.conn;
    let all = explain_tasks(conn, &[second_task, task, task], None).unwrap();
    assert_eq!(
        all.iter().map(|e| (e.task_id, e.name.as_str())).collect::<Vec<_>>(),
        [(task, "fetch"), (task, "ship"), (second_task, "fetch"), (second_task, "ship")]
    );
    let one = explain(conn, task, all[1].step_id, Moment::Clock(all[1].at)).unwrap();
    assert_eq!(one.as_ref(), Some(&all[1]));
    assert_eq!(explain(conn, task, StepId(99), None).unwrap(), None);
    assert_eq!(explain(conn, second_task, all[1].step_id, None).unwrap(), None, "it is of another task");
    assert_eq!(explain_task(conn, TaskId(99), Some(start())).unwrap(), []);
    assert_eq!(explain_tasks(conn, &[], None).unwrap(), []);
}

#[test]
fn the_json_of_a_reason_is_what_the_database_says() {
    let (mut w, task) = world(true, &[("charge", &[]), ("other", &[]), ("ship", &["charge"])]);
    w.execute("set time zone 'Asia/Kathmandu'");
    let worker = w.worker(60_000);
    let claims = w.claim(worker);
    w.fail(&claims[0], FailureKind::Timeout, 5000);
    w.fail(&claims[1], FailureKind::Permanent, 0);
    let typed = w.explain_now();
    let said: Vec<Value> = explain_steps(vec![task.0], None::<Vec<i64>>, None::<DateTime<Utc>>, w.now)
        .select(explain_steps::reasons)
        .load(&mut w.conn)
        .unwrap();
    for (typed, said) in typed.iter().zip(said) {
        let again: Vec<Reason> = serde_json::from_value(said.clone()).unwrap();
        assert_eq!(again, typed.reasons);
        let typed = serde_json::to_value(&typed.reasons).unwrap();
        let keys = |v: &Value| -> Vec<Vec<String>> {
            let object = |v: &Value| v.as_object().unwrap().keys().cloned().collect();
            v.as_array().unwrap().iter().map(object).collect()
        };
        assert_eq!(keys(&typed), keys(&said));
        assert_eq!(typed[0]["reason"], said[0]["reason"]);
    }
    assert!(typed.iter().flat_map(|e| &e.reasons).count() >= 5);
}
