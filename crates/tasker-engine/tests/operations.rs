//! Every operation: what it changes of the step, its descendants and its task, what a second call says, and what
//! it refuses.

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use support::{Bench, HANDLER, fail_fast, parts, texts};
use tasker_engine::{
    commands::{self, Outcome, Refusal, StepOutcome},
    definition::{StepDefinition, WorkflowDefinition},
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, StepId, StepState, TaskId, TaskState};

const ANN: &str = "ann";
const WHY: Option<&str> = Some("a test");

/// a → b → c, and d beside them.
const CHAIN: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])];

impl Bench {
    fn named(&mut self, task: TaskId, names: &[&str]) -> Vec<(TaskId, StepId)> {
        names.iter().map(|n| (task, self.id(task, n))).collect()
    }

    /// Who and why, as the logs of the task have it for what is in the present generation.
    fn logged(&mut self, sql: &str) -> Vec<String> {
        texts(&mut self.conn, sql)
    }
}

/// The outcomes of the steps, without those of the tasks.
fn of_steps(outcomes: &[StepOutcome]) -> Vec<Outcome> {
    outcomes.iter().filter(|o| o.step_id.is_some()).map(|o| o.outcome).collect()
}

fn of_tasks(outcomes: &[StepOutcome]) -> Vec<Option<&str>> {
    outcomes.iter().filter(|o| o.step_id.is_none()).map(|o| o.state.as_deref()).collect()
}

fn refusal(outcomes: &[StepOutcome]) -> Option<Refusal> {
    outcomes.iter().find_map(StepOutcome::refusal)
}

fn reset(bench: &mut Bench, task: TaskId, names: &[&str]) -> Vec<StepOutcome> {
    let steps = bench.named(task, names);
    commands::reset(&mut bench.conn, &steps, ANN, WHY, None).unwrap()
}

fn retry_from(bench: &mut Bench, task: TaskId, names: &[&str]) -> Vec<StepOutcome> {
    let steps = bench.named(task, names);
    commands::retry_from(&mut bench.conn, &steps, ANN, WHY, None).unwrap()
}

fn limit(bench: &mut Bench, task: TaskId, name: &str, limit: i32) -> Vec<StepOutcome> {
    let steps = bench.named(task, &[name]);
    commands::set_retry_limit(&mut bench.conn, &steps, limit, ANN, WHY, None).unwrap()
}

#[test]
fn a_cancelled_step_leaves_its_task_going_and_its_descendants_waiting() {
    let mut bench = Bench::new(CHAIN);
    let (task, claims) = bench.started();
    let steps = bench.named(task, &["a"]);
    let outcomes = commands::cancel_single(&mut bench.conn, &steps, ANN, WHY, None).unwrap();
    assert_eq!((of_steps(&outcomes), of_tasks(&outcomes)), (vec![Outcome::Cancelled], vec![]));
    assert!(bench.complete(claims["a"]).accepted.is_empty(), "a late report is refused");
    assert_eq!(bench.step(task, "b").pending_parents, 1);
    bench.database.assert_sound();
    let again = commands::cancel_single(&mut bench.conn, &steps, ANN, WHY, None).unwrap();
    assert_eq!(of_steps(&again), [Outcome::AlreadyCancelled]);
    assert_eq!(bench.complete(claims["d"]).settled, [(task, TaskState::Error)]);
    assert_eq!(
        of_tasks(&commands::retry_single(&mut bench.conn, &steps, ANN, WHY, None).unwrap()),
        [Some("pending")]
    );
    assert_eq!(bench.drain(), ["a", "b", "c"]);
    let outcomes = commands::cancel_single(&mut bench.conn, &steps, ANN, WHY, None).unwrap();
    assert_eq!(refusal(&outcomes), Some(Refusal::Step(StepState::Complete)));
    let log = bench.logged("select concat_ws(' ', from_state, to_state, actor, reason) from tasker.workflow_step_transitions where to_state = 'cancelled'");
    assert_eq!(log, ["in_progress cancelled ann a test"]);
    bench.database.assert_sound();
}

#[test]
fn under_fail_fast_a_cancelled_step_holds_the_rest() {
    let mut bench = Bench::with(fail_fast(CHAIN));
    let task = bench.submit();
    let steps = bench.named(task, &["a"]);
    let outcomes = commands::cancel_single(&mut bench.conn, &steps, ANN, WHY, None).unwrap();
    assert_eq!(of_tasks(&outcomes), [Some("error")]);
    assert!(bench.step(task, "d").held);
    bench.database.assert_sound();
    commands::retry_single(&mut bench.conn, &steps, ANN, WHY, None).unwrap();
    assert!(!bench.step(task, "d").held);
    bench.database.assert_sound();
    assert_eq!(bench.drain().len(), 4);
}

#[test]
fn a_reset_runs_a_step_anew_and_makes_its_children_wait() {
    let mut bench = Bench::new(CHAIN);
    let (task, claims) = bench.started();
    bench.complete(claims["a"]);
    assert!(bench.step(task, "b").available_at.is_some());
    assert_eq!(of_steps(&reset(&mut bench, task, &["a"])), [Outcome::Reset]);
    let (a, b) = (bench.step(task, "a"), bench.step(task, "b"));
    assert_eq!((a.state, a.attempts, a.generation, a.results), (StepState::Pending, 0, 2, None));
    assert_eq!((b.pending_parents, b.available_at), (1, None), "a child of what went back is not claimable");
    bench.database.assert_sound();
    assert_eq!(of_steps(&reset(&mut bench, task, &["a"])), [Outcome::AlreadyPending]);
    bench.complete(claims["d"]);
    assert_eq!(bench.drain(), ["a", "b", "c"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn a_reset_is_refused_where_a_child_has_run_on_the_result() {
    let mut bench = Bench::new(CHAIN);
    let task = bench.submit();
    bench.drain();
    let before = bench.step(task, "a");
    for names in [&["a"][..], &["b"], &["a", "b"]] {
        let outcomes = reset(&mut bench, task, names);
        assert_eq!(refusal(&outcomes), Some(Refusal::ChildrenRan), "{names:?}");
        assert!(of_steps(&outcomes).iter().all(|o| *o == Outcome::Refused), "{names:?}: {outcomes:?}");
    }
    assert_eq!((bench.step(task, "a"), bench.state(task)), (before, TaskState::Complete));
    let outcomes = reset(&mut bench, task, &["a", "b", "c"]);
    assert_eq!((of_steps(&outcomes), of_tasks(&outcomes)), (vec![Outcome::Reset; 3], vec![Some("pending")]));
    bench.database.assert_sound();
    assert_eq!(bench.drain(), ["a", "b", "c"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn a_retry_from_a_step_takes_everything_after_it_along_whatever_its_state() {
    let mut bench = Bench::new(&[
        ("a", &[]),
        ("b", &["a"]),
        ("running", &["b"]),
        ("failed", &["b"]),
        ("resolved", &["b"]),
        ("cancelled", &["b"]),
        ("beside", &[]),
    ]);
    let (task, claims) = bench.started();
    bench.complete(claims["beside"]);
    bench.complete(claims["a"]);
    let b = bench.claims()["b"];
    bench.complete(b);
    let claims = bench.claims();
    bench.fail(claims["failed"], FailureKind::Permanent);
    for name in ["resolved", "cancelled"] {
        bench.fail(claims[name], FailureKind::Retryable);
    }
    let steps = bench.named(task, &["resolved"]);
    commands::resolve(&mut bench.conn, &[(task, steps[0].1, None)], ANN, None, None).unwrap();
    let steps = bench.named(task, &["cancelled"]);
    commands::cancel_single(&mut bench.conn, &steps, ANN, None, None).unwrap();

    let outcomes = retry_from(&mut bench, task, &["a"]);
    assert_eq!(of_steps(&outcomes), vec![Outcome::Reset; 6]);
    for name in ["a", "b", "running", "failed", "resolved", "cancelled"] {
        let step = bench.step(task, name);
        assert_eq!((step.state, step.generation, step.results), (StepState::Pending, 2, None), "{name}");
    }
    assert_eq!(
        (bench.step(task, "beside").state, bench.step(task, "beside").generation),
        (StepState::Complete, 1)
    );
    assert!(bench.complete(claims["running"]).accepted.is_empty(), "taken off its claim");
    assert_eq!(commands::lost(&mut bench.conn, &[claims["running"]]).unwrap(), [claims["running"].step_id]);
    bench.database.assert_sound();
    assert_eq!(bench.drain().len(), 6);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn a_retry_from_leaves_out_what_the_task_bypasses() {
    let mut diamond = parts(&[("a", &[]), ("skipped", &["a"]), ("b", &["skipped"])]);
    diamond.steps[1].skippable = true;
    let mut bench = Bench::with(diamond);
    let request = TaskRequest { bypass_steps: vec!["skipped".into()], ..TaskRequest::new(json!({})) };
    let task = bench.submit_request(request);
    assert_eq!(bench.drain(), ["a", "b"]);
    assert_eq!(of_steps(&retry_from(&mut bench, task, &["a"])), vec![Outcome::Reset; 2]);
    let skipped = bench.step(task, "skipped");
    assert_eq!((skipped.state, skipped.pending_parents), (StepState::ResolvedManually, 1));
    bench.database.assert_sound();
    let mut ran = bench.drain();
    ran.sort();
    assert_eq!(ran, ["a", "b"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn a_reset_of_a_step_that_never_runs_opens_a_complete_task_and_settles_it_in_error() {
    let mut never = parts(&[("a", &[]), ("b", &["a"])]);
    never.steps[1].retry_limit = 0;
    never.steps[1].skippable = true;
    let mut bench = Bench::with(never);
    let request = TaskRequest { bypass_steps: vec!["b".into()], ..TaskRequest::new(json!({})) };
    let task = bench.submit_request(request);
    bench.drain();
    assert_eq!(bench.state(task), TaskState::Complete);
    assert_eq!(of_tasks(&reset(&mut bench, task, &["b"])), [Some("error")]);
    bench.database.assert_sound();
    assert_eq!(of_tasks(&limit(&mut bench, task, "b", 1)), [Some("pending")]);
    assert_eq!(bench.drain(), ["b"]);
    bench.database.assert_sound();
}

#[test]
fn retry_now_brings_the_next_attempt_forward_and_nothing_else() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, claims) = bench.started();
    let failure = commands::FailedAttempt {
        claim: claims["a"],
        kind: FailureKind::Retryable,
        delay_ms: 3_600_000,
        message: "later".into(),
    };
    commands::fail(&mut bench.conn, &[failure], None).unwrap();
    assert!(bench.claim(10).is_empty());
    let before = bench.step(task, "a");
    let steps = bench.named(task, &["a", "b"]);
    let outcomes = commands::retry_now(&mut bench.conn, &steps, ANN, WHY, None).unwrap();
    assert_eq!(of_steps(&outcomes), [Outcome::Due, Outcome::Refused]);
    assert_eq!(refusal(&outcomes), Some(Refusal::NotClaimable));
    let after = bench.step(task, "a");
    assert!(after.available_at < before.available_at);
    assert_eq!(tasker_model::Step { available_at: before.available_at, ..after }, before);
    let again = commands::retry_now(&mut bench.conn, &steps[..1], ANN, WHY, None).unwrap();
    assert_eq!(of_steps(&again), [Outcome::AlreadyDue]);
    bench.database.assert_sound();
    let step = bench.claim(10).remove(0);
    assert_eq!((step.attempt, step.generation), (2, 1), "the same idempotency key");
}

#[test]
fn a_raised_limit_revives_and_a_lowered_one_kills_and_each_settles() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, claims) = bench.started();
    bench.fail(claims["a"], FailureKind::Retryable);
    let outcomes = limit(&mut bench, task, "a", 1);
    assert_eq!((of_steps(&outcomes), of_tasks(&outcomes)), (vec![Outcome::Limited], vec![Some("error")]));
    bench.database.assert_sound();
    assert_eq!(refusal(&limit(&mut bench, task, "a", 0)), Some(Refusal::Attempts(1)));
    assert_eq!(of_steps(&limit(&mut bench, task, "a", 1)), [Outcome::Unchanged]);
    let outcomes = limit(&mut bench, task, "a", 2);
    assert_eq!((of_steps(&outcomes), of_tasks(&outcomes)), (vec![Outcome::Limited], vec![Some("pending")]));
    bench.database.assert_sound();
    let step = bench.claim(10).remove(0);
    assert_eq!((step.attempt, step.generation), (2, 1));
    bench.complete(step.claim());
    assert_eq!(refusal(&limit(&mut bench, task, "a", 9)), Some(Refusal::Step(StepState::Complete)));
    assert!(commands::set_retry_limit(&mut bench.conn, &[], -1, ANN, None, None).is_err());
    bench.database.assert_sound();
}

#[test]
fn a_limit_holds_and_frees_under_fail_fast() {
    let mut bench = Bench::with(fail_fast(&[("a", &[]), ("b", &[])]));
    let task = bench.submit();
    assert_eq!(of_tasks(&limit(&mut bench, task, "a", 0)), [Some("error")]);
    assert!(bench.step(task, "b").held && bench.claim(10).is_empty());
    bench.database.assert_sound();
    assert_eq!(of_tasks(&limit(&mut bench, task, "a", 1)), [Some("pending")]);
    bench.database.assert_sound();
    assert_eq!(bench.drain().len(), 2);
    bench.database.assert_sound();
}

#[test]
fn a_raised_limit_keeps_the_wait_that_the_failure_set() {
    let mut bench = Bench::new(&[("a", &[])]);
    let start: DateTime<Utc> = "2030-01-02T12:00:00Z".parse().unwrap();
    let at = |s: i64| Some(start + TimeDelta::seconds(s));
    let task =
        submit(&mut bench.conn, &bench.definition, &[TaskRequest::new(json!({}))], &Identity::Random, at(0))
            .unwrap()[0]
            .task_id;
    let conn = &mut bench.conn;
    let worker = commands::register(conn, "w", None, &[HANDLER.into()], 3_600_000, at(0)).unwrap().0;
    let claim = commands::claim(conn, worker, 1, at(1)).unwrap()[0].claim();
    let failure = commands::FailedAttempt {
        claim,
        kind: FailureKind::Retryable,
        delay_ms: 60_000,
        message: "later".into(),
    };
    commands::fail(conn, &[failure], at(2)).unwrap();
    let steps = [(task, claim.step_id)];
    commands::set_retry_limit(conn, &steps, 1, ANN, None, at(3)).unwrap();
    commands::set_retry_limit(conn, &steps, 2, ANN, None, at(4)).unwrap();
    assert_eq!(bench.step(task, "a").available_at, at(62));
}

#[test]
fn a_limit_of_zero_under_fail_fast_holds_its_siblings_from_the_start() {
    let mut never = fail_fast(&[("never", &[]), ("a", &[]), ("b", &["a"])]);
    never.steps[0].retry_limit = 0;
    never.steps[0].skippable = true;
    let mut bench = Bench::with(never);
    let task = bench.submit();
    assert_eq!(bench.state(task), TaskState::Error);
    assert!(bench.claim(10).is_empty() && bench.step(task, "b").held);
    bench.database.assert_sound();
    let steps = bench.named(task, &["never"]);
    commands::skip(&mut bench.conn, &steps, ANN, None, None).unwrap();
    assert_eq!(bench.drain(), ["a", "b"]);
    bench.database.assert_sound();
    let bypassed = TaskRequest { bypass_steps: vec!["never".into()], ..TaskRequest::new(json!({})) };
    bench.submit_request(bypassed);
    assert_eq!(bench.drain(), ["a", "b"]);
    bench.database.assert_sound();
}

#[test]
fn a_priority_decides_which_step_is_claimed_first() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &[]), ("c", &["a"])]);
    let task = bench.submit();
    let steps = bench.named(task, &["b", "c"]);
    let outcomes = commands::set_priority(&mut bench.conn, &steps, 1, ANN, WHY, None).unwrap();
    assert_eq!(of_steps(&outcomes), vec![Outcome::Prioritized; 2]);
    let again = commands::set_priority(&mut bench.conn, &steps, 1, ANN, WHY, None).unwrap();
    assert_eq!(of_steps(&again), vec![Outcome::Unchanged; 2]);
    assert_eq!(bench.claim(1)[0].step_name, "b");
    let log = bench.logged("select concat_ws(' ', kind, old_value, new_value, actor, reason) from tasker.control_log order by control_id");
    assert_eq!(log, vec!["priority 3 1 ann a test"; 2]);
    assert!(commands::set_priority(&mut bench.conn, &[], 6, ANN, None, None).is_err());
    bench.database.assert_sound();
}

#[test]
fn only_what_is_skippable_is_skipped() {
    let mut skippable = parts(CHAIN);
    skippable.steps[0].skippable = true;
    let mut bench = Bench::with(skippable);
    let task = bench.submit();
    let steps = bench.named(task, &["a", "d"]);
    let outcomes = commands::skip(&mut bench.conn, &steps, ANN, WHY, None).unwrap();
    assert_eq!(refusal(&outcomes), Some(Refusal::NotSkippable));
    assert_eq!(of_steps(&outcomes), [Outcome::Refused, Outcome::Skipped]);
    assert!(bench.step(task, "b").available_at.is_some());
    let again = commands::skip(&mut bench.conn, &steps[..1], ANN, WHY, None).unwrap();
    assert_eq!(of_steps(&again), [Outcome::AlreadyResolved]);
    let log =
        bench.logged("select concat_ws(' ', to_state, actor, reason) from tasker.workflow_step_transitions");
    assert_eq!(log, ["resolved_manually ann skipped: a test"]);
    let nowhere = commands::skip(&mut bench.conn, &[(task, StepId(-1))], ANN, None, None).unwrap();
    assert_eq!(of_steps(&nowhere), [Outcome::NotFound]);
    bench.database.assert_sound();
}

#[test]
fn a_task_in_error_is_resolved_as_it_stands_and_opened_by_a_reset() {
    let mut bench = Bench::new(CHAIN);
    let (task, claims) = bench.started();
    let resolve = |bench: &mut Bench| {
        commands::resolve_whole(&mut bench.conn, &[task], ANN, WHY, None).unwrap().remove(0)
    };
    assert_eq!(resolve(&mut bench).refusal(), Some(Refusal::Task(TaskState::InProgress)));
    bench.fail(claims["a"], FailureKind::Permanent);
    bench.complete(claims["d"]);
    assert_eq!(resolve(&mut bench).outcome, Outcome::Resolved);
    assert_eq!(resolve(&mut bench).outcome, Outcome::AlreadyResolved);
    assert_eq!(
        (bench.state(task), bench.step_state(task, "a")),
        (TaskState::ResolvedManually, StepState::Error)
    );
    bench.database.assert_sound();
    let steps = bench.named(task, &["a"]);
    let outcomes = commands::retry_single(&mut bench.conn, &steps, ANN, None, None).unwrap();
    assert_eq!(refusal(&outcomes), Some(Refusal::Task(TaskState::ResolvedManually)));
    assert_eq!(of_tasks(&reset(&mut bench, task, &["a"])), [Some("pending")]);
    assert_eq!(bench.drain(), ["a", "b", "c"]);
    bench.database.assert_sound();
}

#[test]
fn nothing_of_a_paused_task_is_claimed_and_what_runs_may_end() {
    let mut bench = Bench::new(CHAIN);
    let (task, claims) = bench.started();
    let pause = |bench: &mut Bench, pause| {
        commands::pause(&mut bench.conn, &[task], pause, ANN, WHY, None).unwrap().remove(0)
    };
    assert_eq!(pause(&mut bench, true).outcome, Outcome::Paused);
    assert_eq!(pause(&mut bench, true).outcome, Outcome::AlreadyPaused);
    assert_eq!(bench.complete(claims["a"]).ready.len(), 1);
    assert!(bench.claim(10).is_empty());
    assert_eq!(bench.state(task), TaskState::InProgress, "a pause ends no task");
    bench.database.assert_sound();
    retry_from(&mut bench, task, &["a"]);
    assert!(bench.claim(10).is_empty(), "a reset leaves the pause");
    let steps = bench.named(task, &["b"]);
    let single = commands::pause_single(&mut bench.conn, &steps, false, ANN, None, None).unwrap();
    assert_eq!(refusal(&single), Some(Refusal::TaskPaused));
    assert_eq!(pause(&mut bench, false).outcome, Outcome::Resumed);
    assert_eq!(pause(&mut bench, false).outcome, Outcome::NotPaused);
    bench.database.assert_sound();
    bench.complete(claims["d"]);
    assert_eq!(bench.drain(), ["a", "b", "c"]);
    assert_eq!(pause(&mut bench, true).refusal(), Some(Refusal::Task(TaskState::Complete)));
    bench.database.assert_sound();
}

#[test]
fn a_single_step_is_paused_and_a_pause_of_its_task_takes_it_over() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &[])]);
    let task = bench.submit();
    let steps = bench.named(task, &["a"]);
    let single = |bench: &mut Bench, pause| {
        of_steps(&commands::pause_single(&mut bench.conn, &steps, pause, ANN, WHY, None).unwrap()).remove(0)
    };
    assert_eq!(single(&mut bench, true), Outcome::Paused);
    assert_eq!(single(&mut bench, true), Outcome::AlreadyPaused);
    assert_eq!(bench.drain(), ["b"]);
    bench.database.assert_sound();
    for pause in [true, false] {
        commands::pause(&mut bench.conn, &[task], pause, ANN, WHY, None).unwrap();
        bench.database.assert_sound();
    }
    assert_eq!(single(&mut bench, false), Outcome::NotPaused);
    assert_eq!(bench.drain(), ["a"]);
    bench.database.assert_sound();
}

#[test]
fn a_paused_namespace_pauses_its_queues_and_those_to_come() {
    let mut bench = Bench::new(&[("a", &[])]);
    let namespace = bench.definition.namespace().to_owned();
    bench.submit();
    let queue = |bench: &mut Bench, namespace: Option<&str>, handler: Option<&str>, pause| {
        let outcomes =
            commands::pause_queue(&mut bench.conn, namespace, handler, pause, ANN, WHY, None).unwrap();
        outcomes.into_iter().map(|o| (o.handler, o.outcome, o.steps)).collect::<Vec<_>>()
    };
    let name = Some(namespace.as_str());
    assert_eq!(queue(&mut bench, name, None, true), [(HANDLER.into(), Outcome::Paused, 1)]);
    assert_eq!(queue(&mut bench, name, None, true), [(HANDLER.into(), Outcome::AlreadyPaused, 1)]);
    assert!(bench.claim(10).is_empty());
    let mut later = parts(&[("x", &[])]);
    later.namespace.clone_from(&namespace);
    later.name = "later".into();
    later.steps = vec![StepDefinition::new("x", "bench.later")];
    let later = WorkflowDefinition::new(later).unwrap();
    submit(&mut bench.conn, &later, &[TaskRequest::new(json!({}))], &Identity::Random, None).unwrap();
    bench.database.assert_sound();
    let worker =
        commands::register(&mut bench.conn, "w", None, &["bench.later".into()], 60_000, None).unwrap().0;
    assert!(commands::claim(&mut bench.conn, worker, 10, None).unwrap().is_empty());
    assert_eq!(
        queue(&mut bench, None, Some("bench.later"), false),
        [("bench.later".into(), Outcome::Resumed, 1)]
    );
    assert_eq!(commands::claim(&mut bench.conn, worker, 10, None).unwrap().len(), 1);
    let resumed = queue(&mut bench, name, None, false);
    assert_eq!(
        resumed,
        [("bench.later".into(), Outcome::NotPaused, 0), (HANDLER.into(), Outcome::Resumed, 1)]
    );
    assert_eq!(bench.drain(), ["a"]);
    assert_eq!(queue(&mut bench, Some("nowhere"), None, true), []);
    assert!(commands::pause_queue(&mut bench.conn, None, None, true, ANN, None, None).is_err());
    bench.database.assert_sound();
}

#[test]
fn a_dry_run_lists_every_step_that_would_change_and_changes_none() {
    let mut bench = Bench::new(CHAIN);
    let (task, claims) = bench.started();
    bench.complete(claims["a"]);
    let b = bench.claims()["b"];
    bench.fail(b, FailureKind::Permanent);
    bench.complete(claims["d"]);
    let steps = bench.named(task, &["a"]);
    let retry = |conn: &mut _| commands::retry_from(conn, &steps, ANN, WHY, None);
    let planned = commands::perform(&mut bench.conn, &[task], true, retry).unwrap();
    let listed = |changes: &[commands::Change]| {
        let line =
            |c: &commands::Change| format!("{}: {} → {}", c.step.as_deref().unwrap_or("task"), c.from, c.to);
        changes.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(
        listed(&planned.changes),
        [
            "task: error → pending",
            "a: complete, generation 1 → pending, claimable, generation 2",
            "b: error, dead, generation 1 → pending, waiting for 1 parent, generation 2",
        ]
    );
    assert_eq!((bench.state(task), bench.step_state(task, "a")), (TaskState::Error, StepState::Complete));
    let done = commands::perform(&mut bench.conn, &[task], false, retry).unwrap();
    assert_eq!(done, planned);
    assert_eq!((bench.state(task), bench.step_state(task, "a")), (TaskState::Pending, StepState::Pending));
    bench.database.assert_sound();
}
