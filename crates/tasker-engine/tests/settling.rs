//! When a task settles: exactly once, by whoever ends its last live step, however many sessions end at once.

mod support;

use std::sync::{Arc, Barrier};

use diesel::QueryResult;
use serde_json::json;
use support::{Bench, failed, parts, persist};
use tasker_engine::{
    commands::{self, Ask, Changes},
    definition::WorkflowDefinition,
    report::Report,
    submit::TaskRequest,
};
use tasker_model::{FailureKind, StepState, TaskState, WorkerId};

const TWO: &[(&str, &[&str])] = &[("a", &[]), ("b", &[])];

/// Both steps of a task end, the second while the first one's transaction is open.
fn ended_at_once(
    first: impl FnOnce(&mut diesel::PgConnection, commands::Claim) -> Changes,
    second: impl FnOnce(&mut diesel::PgConnection, commands::Claim) -> Changes + Send + 'static,
) -> (TaskState, Vec<TaskState>) {
    let mut bench = Bench::new(TWO);
    let (task, claims) = bench.started();
    let (a, b) = (claims["a"], claims["b"]);
    bench.begin();
    let mut settled = first(&mut bench.conn, a).settled;
    let other = bench.blocked(move |conn| second(conn, b));
    bench.commit();
    settled.extend(other.join().unwrap().settled);
    assert_eq!(bench.settlements(task), 1);
    assert_eq!(bench.task(task).live_steps, 0);
    bench.database.assert_sound();
    (bench.state(task), settled.into_iter().map(|(_, state)| state).collect())
}

fn complete(conn: &mut diesel::PgConnection, claim: commands::Claim) -> Changes {
    commands::complete(conn, &[(claim, json!({}))], None).unwrap()
}

/// A turn of one report, which settles by plain statements.
fn turn(conn: &mut diesel::PgConnection, claim: commands::Claim) -> QueryResult<Changes> {
    let ask = Ask { limit: 0, further: false, expire: false };
    let report = [Report::Completed(claim, json!({}))];
    Ok(commands::exchange(conn, WorkerId(0), ask, &report, &[], None)?.changes)
}

fn complete_alone(conn: &mut diesel::PgConnection, claim: commands::Claim) -> Changes {
    turn(conn, claim).unwrap()
}

fn fail_permanently(conn: &mut diesel::PgConnection, claim: commands::Claim) -> Changes {
    commands::fail(conn, &[failed(claim, FailureKind::Permanent)], None).unwrap()
}

/// A worker whose answer was lost asks what its report brought about.
#[test]
fn the_report_whose_commit_settled_the_task_says_so_when_it_is_asked_for_again() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &[])]);
    let (task, claims) = bench.started();
    let settled = |bench: &mut Bench, claim| {
        let written = commands::written(&mut bench.conn, &[claim]).unwrap();
        written.iter().map(|w| w.settled).collect::<Vec<_>>()
    };
    assert_eq!(settled(&mut bench, claims["a"]), []);
    bench.complete(claims["a"]);
    assert_eq!(settled(&mut bench, claims["a"]), [None]);
    bench.complete(claims["b"]);
    assert_eq!(settled(&mut bench, claims["a"]), [None]);
    assert_eq!(settled(&mut bench, claims["b"]), [Some(TaskState::Complete)]);
    assert_eq!(bench.state(task), TaskState::Complete);
}

#[test]
fn two_branches_that_end_at_once_settle_the_task_once() {
    use TaskState::{Complete, Error};
    assert_eq!(ended_at_once(complete, complete), (Complete, vec![Complete]));
    assert_eq!(ended_at_once(complete_alone, complete_alone), (Complete, vec![Complete]));
    assert_eq!(ended_at_once(complete, complete_alone), (Complete, vec![Complete]));
    assert_eq!(ended_at_once(fail_permanently, complete_alone), (Error, vec![Error]));
    assert_eq!(ended_at_once(complete, fail_permanently), (Error, vec![Error]));
    assert_eq!(ended_at_once(fail_permanently, complete), (Error, vec![Error]));
    assert_eq!(ended_at_once(fail_permanently, fail_permanently), (Error, vec![Error]));
}

/// Joins of 2 to 8 parents, `TASKER_TEST_JOINS` of them (140 by default).
#[test]
fn a_join_becomes_available_once_when_all_its_parents_end_at_once() {
    let joins = std::env::var("TASKER_TEST_JOINS").map_or(140, |n| n.parse().unwrap());
    let mut bench = Bench::new(TWO);
    let names: Vec<String> = (0..8).map(|i| format!("parent_{i}")).collect();
    let mut sessions: Vec<_> = (0..8).map(|_| bench.database.connection()).collect();
    for round in 0..joins {
        let width = 2 + round % 7;
        let parents: Vec<&str> = names[..width].iter().map(String::as_str).collect();
        let mut steps: Vec<(&str, &[&str])> = parents.iter().map(|p| (*p, &[][..])).collect();
        steps.push(("join", &parents));
        bench.definition = WorkflowDefinition::new(parts(&steps)).unwrap();
        let (task, claims) = bench.started();
        assert_eq!(claims.len(), width);

        let barrier = Arc::new(Barrier::new(width));
        let threads: Vec<_> = claims
            .into_values()
            .zip(sessions.drain(..width).collect::<Vec<_>>())
            .map(|(claim, mut conn)| {
                let barrier = barrier.clone();
                std::thread::spawn(move || {
                    barrier.wait();
                    let report = [(claim, json!({}))];
                    let changes = persist(|| commands::complete(&mut conn, &report, None));
                    (conn, changes)
                })
            })
            .collect();
        let mut ready = vec![];
        for thread in threads {
            let (conn, changes) = thread.join().unwrap();
            assert_eq!(changes.accepted.len(), 1);
            assert_eq!(changes.settled, []);
            ready.extend(changes.ready);
            sessions.push(conn);
        }
        let join = bench.step(task, "join");
        assert_eq!(ready, [join.workflow_step_id], "of {width} parents exactly one released the join");
        assert_eq!((join.pending_parents, bench.task(task).live_steps), (0, 1));
        assert_eq!(bench.drain(), ["join"]);
        assert_eq!(bench.state(task), TaskState::Complete);
    }
    bench.database.assert_sound();
}

#[test]
fn a_resolved_sink_does_not_settle_the_task_before_its_parent_ends() {
    let mut bench = Bench::new(&[("parent", &[]), ("sink", &["parent"])]);
    let (task, claims) = bench.started();
    let sink = bench.id(task, "sink");
    let outcomes =
        commands::resolve(&mut bench.conn, &[(task, sink, None)], "ann", Some("not needed"), None).unwrap();
    assert_eq!(outcomes.iter().map(|o| o.outcome.as_str()).collect::<Vec<_>>(), ["resolved"]);
    assert_eq!(bench.state(task), TaskState::InProgress);
    bench.database.assert_sound();
    assert_eq!(bench.complete(claims["parent"]).settled, [(task, TaskState::Complete)]);
    bench.database.assert_sound();
}

#[test]
fn a_skipped_sink_does_not_settle_the_task_before_its_parent_ends() {
    let mut parts = parts(&[("parent", &[]), ("sink", &["parent"])]);
    parts.steps[1].skippable = true;
    let mut bench = Bench::with(parts);
    let task = bench
        .submit_request(TaskRequest { bypass_steps: vec!["sink".into()], ..TaskRequest::new(json!({})) });
    assert_eq!(bench.state(task), TaskState::Pending);
    assert_eq!(bench.step_state(task, "sink"), StepState::ResolvedManually);
    assert_eq!(bench.drain(), ["parent"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn a_task_that_can_run_nothing_settles_as_it_is_submitted() {
    let mut never = parts(&[("root", &[]), ("child", &["root"])]);
    never.steps[0].retry_limit = 0;
    let mut bench = Bench::with(never);
    let task = bench.submit();
    assert_eq!(bench.state(task), TaskState::Error);
    assert!(bench.task(task).finished_at.is_some());
    assert!(bench.claim(1).is_empty());
    bench.database.assert_sound();

    bench.definition = WorkflowDefinition::new(parts(&[])).unwrap();
    let task = bench.submit();
    assert_eq!(bench.state(task), TaskState::Complete);
    assert_eq!(bench.settlements(task), 1);
    bench.database.assert_sound();
}

#[test]
fn a_child_that_may_never_run_ends_the_task_when_its_parent_ends() {
    let mut parts = parts(&[("root", &[]), ("never", &["root"])]);
    parts.steps[1].retry_limit = 0;
    let mut bench = Bench::with(parts);
    let (task, claims) = bench.started();
    assert_eq!(bench.complete(claims["root"]).settled, [(task, TaskState::Error)]);
    bench.database.assert_sound();
}

#[test]
fn a_step_that_is_not_retryable_and_a_permanent_failure_run_once() {
    for (retryable, kind) in [(false, FailureKind::Retryable), (true, FailureKind::Permanent)] {
        let mut parts = parts(&[("only", &[]), ("after", &["only"])]);
        parts.steps[0].retryable = retryable;
        let mut bench = Bench::with(parts);
        let (task, claims) = bench.started();
        let changes = bench.fail(claims["only"], kind);
        assert_eq!(changes.dead, [claims["only"].step_id]);
        assert_eq!(changes.settled, [(task, TaskState::Error)]);
        assert!(bench.claim(10).is_empty());
        let step = bench.step(task, "only");
        assert_eq!((step.attempts, step.state, step.failure_kind), (1, StepState::Error, Some(kind)));
        bench.database.assert_sound();
    }
}

#[test]
fn drain_runs_what_can_run_before_the_task_goes_to_error() {
    let mut bench = Bench::new(&[("dead", &[]), ("other", &[]), ("after_other", &["other"])]);
    let (task, claims) = bench.started();
    assert_eq!(bench.fail(claims["dead"], FailureKind::Permanent).settled, []);
    assert_eq!(bench.fail(claims["other"], FailureKind::Retryable).settled, []);
    assert_eq!(bench.drain(), ["other", "after_other"]);
    assert_eq!(bench.state(task), TaskState::Error);
    bench.database.assert_sound();
}

#[test]
fn a_report_twice_in_one_batch_counts_once() {
    let mut bench = Bench::new(&[("a", &[]), ("join", &["a", "b"]), ("b", &[])]);
    let (task, claims) = bench.started();
    let twice = [(claims["a"], json!(1)), (claims["a"], json!(1)), (claims["b"], json!(2))];
    let changes = commands::complete(&mut bench.conn, &twice, None).unwrap();
    assert_eq!((changes.accepted.len(), changes.ready.len()), (2, 1));
    bench.database.assert_sound();
    let join = bench.claims()["join"];
    let changes = commands::fail(&mut bench.conn, &vec![failed(join, FailureKind::Retryable); 2], None);
    assert_eq!(changes.unwrap().accepted.len(), 1);
    let join = bench.claims()["join"];
    commands::release(&mut bench.conn, &[join, join], None, None).unwrap();
    assert_eq!(bench.step(task, "join").attempts, 1);
    bench.database.assert_sound();
}

/// An operation that needs the task's lock is only right at the isolation level at which each statement sees
/// what was committed while it waited.
#[test]
fn another_isolation_level_is_refused() {
    let mut bench = Bench::new(TWO);
    let (task, claims) = bench.started();
    for level in ["repeatable read", "serializable"] {
        for alone in [false, true] {
            support::execute(&mut bench.conn, &format!("begin isolation level {level}"));
            let conn = &mut bench.conn;
            let answer = if alone {
                turn(conn, claims["a"])
            } else {
                commands::complete(conn, &[(claims["a"], json!({}))], None)
            };
            let refused = answer.unwrap_err();
            assert!(refused.to_string().contains("need isolation level read committed"), "{refused}");
            support::execute(&mut bench.conn, "rollback");
        }
    }
    assert_eq!(bench.step_state(task, "a"), StepState::InProgress);
    bench.database.assert_sound();
}
