//! `get_analytics_metrics`, `get_slowest_steps` and `get_slowest_tasks`.

mod flow;

use flow::{Flow, at, parts, steps};
use serde_json::json;
use tasker_engine::{commands, definition::Version};
use tasker_model::{FailureKind, StepState, TaskState};
use tasker_readiness::{AnalyticsMetrics, Slowest, SlowestStep, SlowestTask};

fn metrics(flow: &mut Flow, since: Option<i64>, seconds: i64) -> AnalyticsMetrics {
    AnalyticsMetrics::read(&mut flow.conn, since.map(at), Some(at(seconds))).unwrap()
}

fn slowest(seconds: i64) -> Slowest {
    Slowest { now: Some(at(seconds)), ..Slowest::default() }
}

fn names(steps: &[SlowestStep]) -> Vec<(&str, f64, f64)> {
    steps.iter().map(|s| (s.step_name.as_str(), s.duration_seconds, s.queueing_seconds)).collect()
}

const PAIR: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"])];

#[test]
fn nothing_has_no_average_and_a_perfect_score() {
    let mut flow = Flow::new();
    let m = metrics(&mut flow, None, 0);
    assert_eq!((m.active_tasks_count, m.total_namespaces_count, m.unique_task_types_count), (0, 0, 0));
    assert_eq!((m.system_health_score, m.completion_rate, m.error_rate), (1.0, 0.0, 0.0));
    assert_eq!((m.avg_task_duration, m.avg_step_duration, m.task_throughput), (None, None, 0));
    assert_eq!((m.analysis_period_start, m.calculated_at), (at(-3600), at(0)));
    assert!(AnalyticsMetrics::read(&mut flow.conn, None, None).is_ok());
    assert_eq!(SlowestStep::find(&mut flow.conn, &Slowest::default()), Ok(vec![]));
    assert_eq!(SlowestTask::find(&mut flow.conn, &Slowest::default()), Ok(vec![]));
}

#[test]
fn fresh_tasks_are_active_and_cancelled_ones_are_not() {
    let mut flow = Flow::new();
    let tasks = [0; 3].map(|s| flow.submit(parts("w", steps(PAIR)), s));
    assert_eq!(metrics(&mut flow, None, 1).active_tasks_count, 3);
    commands::cancel(&mut flow.conn, &tasks[..1], "ann", None, Some(at(1))).unwrap();
    let m = metrics(&mut flow, None, 1);
    assert_eq!((m.active_tasks_count, m.open_count, m.cancelled_count, m.task_throughput), (2, 2, 1, 3));
}

/// A task with one complete step is not complete, and one with a failed step that is tried again has not failed.
#[test]
fn tasks_are_counted_by_their_own_state_and_each_once() {
    let mut flow = Flow::new();
    for _ in 0..2 {
        flow.submit(parts("w", steps(PAIR)), 0);
    }
    let first = flow.claim(2, 0);
    flow.complete(&first[0], 1);
    flow.fail(&first[1], FailureKind::Retryable, 5, 1);
    let half = metrics(&mut flow, None, 2);
    assert_eq!((half.completion_count, half.error_count, half.system_health_score), (0, 0, 1.0));
    assert_eq!((half.task_throughput, half.step_throughput), (2, 4));
    let second = flow.claim(2, 2).remove(0);
    flow.complete(&second, 3);
    let again = flow.claim(2, 6).remove(0);
    flow.fail(&again, FailureKind::Permanent, 0, 7);
    flow.submit(parts("w", steps(PAIR)), 8);
    let m = metrics(&mut flow, None, 8);
    assert_eq!((m.completion_count, m.error_count, m.open_count, m.task_throughput), (1, 1, 1, 3));
    assert_eq!((m.completion_rate, m.error_rate, m.system_health_score), (33.33, 33.33, 0.5));
}

#[test]
fn a_task_lasts_from_created_to_finished_and_a_step_from_claim_to_completion() {
    let mut flow = Flow::new();
    flow.submit(parts("w", steps(PAIR)), 0);
    let a = flow.claim(1, 100).remove(0);
    flow.complete(&a, 104);
    let b = flow.claim(1, 200).remove(0);
    flow.complete(&b, 210);
    flow.submit(parts("w", steps(&[("a", &[])])), 300);
    let c = flow.claim(1, 301).remove(0);
    flow.complete(&c, 302);
    let m = metrics(&mut flow, None, 400);
    assert_eq!(m.avg_task_duration, Some((210.0 + 2.0) / 2.0));
    assert_eq!(m.avg_step_duration, Some((4.0 + 10.0 + 1.0) / 3.0));
    let of_log = flow.number(
        "select sum(extract(epoch from c.at - b.at))::bigint as n
         from tasker.workflow_step_transitions c join tasker.workflow_step_transitions b
           on b.task_id = c.task_id and b.workflow_step_id = c.workflow_step_id and b.seq = c.seq - 1
         where c.to_state = 'complete' and b.to_state = 'in_progress'",
    );
    assert_eq!(of_log, 15, "the rows carry what the log says");
}

#[test]
fn the_period_ends_with_now_and_begins_after_since() {
    let mut flow = Flow::new();
    for seconds in [-3600, -3599, 0, 5, 6] {
        flow.submit(parts("w", steps(&[("a", &[])])), seconds);
    }
    let count = |flow: &mut Flow, since, seconds| metrics(flow, since, seconds).task_throughput;
    assert_eq!(count(&mut flow, None, 0), 2, "an hour, without its first instant");
    assert_eq!(count(&mut flow, Some(0), 5), 1);
    assert_eq!(count(&mut flow, Some(-4000), 6), 5);
}

#[test]
fn workflows_are_counted_by_namespace_and_name_and_only_if_they_have_tasks() {
    let mut flow = Flow::new();
    let version = |major| Version::new(major, 0, 0);
    for (namespace, name, major) in [("n", "w", 1), ("n", "w", 2), ("m", "w", 1), ("m", "v", 1)] {
        let parts = parts(name, steps(&[("a", &[])]));
        flow.submit(
            tasker_engine::definition::WorkflowParts {
                namespace: namespace.into(),
                version: version(major),
                ..parts
            },
            -9_000,
        );
    }
    flow.execute(
        "insert into tasker.task_namespaces (name) values ('unused');
         insert into tasker.named_tasks (task_namespace_id, name, version) select task_namespace_id, 'unused', '1.0.0' from tasker.task_namespaces",
    );
    let m = metrics(&mut flow, None, 0);
    assert_eq!((m.total_namespaces_count, m.unique_task_types_count, m.task_throughput), (2, 3, 0));
}

#[test]
fn the_slowest_steps_are_those_that_ran_longest_not_those_that_waited() {
    let mut flow = Flow::new();
    let task = flow.submit(parts("w", steps(&[("a", &[]), ("b", &["a"]), ("c", &["b"])])), 0);
    let a = flow.claim(1, 500).remove(0);
    flow.complete(&a, 501);
    let b = flow.claim(1, 507).remove(0);
    flow.complete(&b, 527);
    let running = flow.claim(1, 530);
    let found = SlowestStep::find(&mut flow.conn, &slowest(600)).unwrap();
    assert_eq!(names(&found), [("b", 20.0, 6.0), ("a", 1.0, 500.0)]);
    let b = &found[0];
    assert_eq!((b.task_id, b.attempts, b.retryable, b.step_status), (task, 1, true, StepState::Complete));
    assert_eq!((b.created_at, b.claimed_at, b.completed_at), (at(0), at(507), at(527)));
    assert_eq!(
        (b.task_name.as_str(), b.namespace_name.as_str(), b.version.as_str()),
        ("w", "default", "0.1.0")
    );
    assert_eq!(running.len(), 1, "what runs is not there");
}

/// One row a step whatever its history, and only the last attempt counts.
#[test]
fn attempts_and_transitions_do_not_multiply() {
    let mut flow = Flow::new();
    flow.submit(parts("w", steps(&[("a", &[])])), 0);
    let a = flow.claim(1, 10).remove(0);
    flow.fail(&a, FailureKind::Retryable, 30, 110);
    let a = flow.claim(1, 143).remove(0);
    commands::release(&mut flow.conn, &[a.claim()], None, Some(at(150))).unwrap();
    let a = flow.claim(1, 154).remove(0);
    flow.complete(&a, 156);
    let found = SlowestStep::find(&mut flow.conn, &slowest(200)).unwrap();
    assert_eq!(names(&found), [("a", 2.0, 4.0)]);
    assert_eq!(found[0].attempts, 2);
    let tasks = SlowestTask::find(&mut flow.conn, &slowest(200)).unwrap();
    let counts: Vec<_> = tasks.iter().map(|t| (t.step_count, t.completed_steps, t.error_steps)).collect();
    assert_eq!(counts, [(1, 1, 0)]);
    assert_eq!(tasks[0].duration_seconds, 156.0);
}

#[test]
fn backoff_is_not_queueing() {
    let mut flow = Flow::new();
    flow.submit(parts("w", steps(&[("a", &[])])), 0);
    let a = flow.claim(1, 10).remove(0);
    flow.fail(&a, FailureKind::Retryable, 30, 110);
    let a = flow.claim(1, 143).remove(0);
    flow.complete(&a, 144);
    assert_eq!(names(&SlowestStep::find(&mut flow.conn, &slowest(200)).unwrap()), [("a", 1.0, 3.0)]);
}

#[test]
fn the_slowest_tasks_are_those_that_have_finished_by_themselves() {
    let mut flow = Flow::new();
    let complete = flow.submit(parts("w", steps(PAIR)), 0);
    let a = flow.claim(1, 0).remove(0);
    flow.complete(&a, 1);
    let b = flow.ids(complete)["b"];
    let skip = [(complete, b, Some(json!({})))];
    commands::resolve(&mut flow.conn, &skip, "ann", None, Some(at(30))).unwrap();
    let failed = flow.submit(parts("w", steps(PAIR)), 40);
    let a = flow.claim(1, 40).remove(0);
    flow.fail(&a, FailureKind::Permanent, 0, 90);
    let cancelled = flow.submit(parts("w", steps(PAIR)), 100);
    commands::cancel(&mut flow.conn, &[cancelled], "ann", None, Some(at(900))).unwrap();
    flow.submit(parts("w", steps(PAIR)), 100);
    let found = SlowestTask::find(&mut flow.conn, &slowest(1_000)).unwrap();
    let seen: Vec<_> = found
        .iter()
        .map(|t| {
            (t.task_id, t.duration_seconds, t.step_count, t.completed_steps, t.error_steps, t.task_status)
        })
        .collect();
    assert_eq!(
        seen,
        [(failed, 50.0, 2, 0, 1, TaskState::Error), (complete, 30.0, 2, 2, 0, TaskState::Complete)]
    );
    assert_eq!((found[0].created_at, found[0].completed_at), (at(40), at(90)));
    assert_eq!((found[0].initiator.as_str(), found[0].source_system.as_str()), ("unknown", "unknown"));
}

#[test]
fn slowest_rows_are_ordered_limited_and_narrowed() {
    let mut flow = Flow::new();
    for (n, (name, version)) in [("v", 1), ("w", 1), ("w", 2), ("w", 2)].into_iter().enumerate() {
        let parts = parts(name, steps(&[("a", &[])]));
        let namespace = if name == "v" { "other" } else { "default" };
        flow.submit(
            tasker_engine::definition::WorkflowParts {
                namespace: namespace.into(),
                version: Version::new(version, 0, 0),
                ..parts
            },
            n as i64 * 10,
        );
        let step = flow.claim(1, n as i64 * 10).remove(0);
        flow.complete(&step, n as i64 * 10 + 5);
    }
    let ids = |flow: &mut Flow, of: &Slowest| {
        let steps: Vec<i64> =
            SlowestStep::find(&mut flow.conn, of).unwrap().iter().map(|s| s.task_id.0).collect();
        let tasks: Vec<i64> =
            SlowestTask::find(&mut flow.conn, of).unwrap().iter().map(|s| s.task_id.0).collect();
        assert_eq!(steps, tasks);
        tasks
    };
    let all = slowest(100);
    assert_eq!(ids(&mut flow, &all), [1, 2, 3, 4], "equal ones by id");
    assert_eq!(ids(&mut flow, &Slowest { limit: Some(2), ..all.clone() }), [1, 2]);
    assert_eq!(ids(&mut flow, &Slowest { limit: None, ..all.clone() }), [1, 2, 3, 4]);
    assert_eq!(ids(&mut flow, &Slowest { namespace: Some("other".into()), ..all.clone() }), [1]);
    assert_eq!(ids(&mut flow, &Slowest { task_name: Some("w".into()), ..all.clone() }), [2, 3, 4]);
    assert_eq!(ids(&mut flow, &Slowest { version: Some("2.0.0".into()), ..all.clone() }), [3, 4]);
    assert_eq!(ids(&mut flow, &Slowest { since: Some(at(10)), ..all.clone() }), [3, 4]);
    assert_eq!(ids(&mut flow, &slowest(86_410)), [3, 4], "24 hours");
    assert_eq!(ids(&mut flow, &slowest(-1)), [0; 0]);
}

/// An hour and a half across a change to summer time, read by sessions that live elsewhere.
#[test]
fn the_sessions_time_zone_changes_no_answer() {
    let mut flow = Flow::new();
    flow.submit(parts("w", steps(PAIR)), 0);
    flow.drain(0);
    let mut answers = vec![];
    for zone in ["UTC", "America/New_York", "Asia/Tokyo", "Asia/Kathmandu"] {
        flow.execute(&format!("set time zone '{zone}'"));
        let m = metrics(&mut flow, None, 3600);
        let s = SlowestStep::find(&mut flow.conn, &slowest(86_399)).unwrap();
        let t = SlowestTask::find(&mut flow.conn, &slowest(86_399)).unwrap();
        answers.push((m.task_throughput, m.avg_task_duration, s, t));
    }
    assert_eq!(answers[0].2.len(), 2);
    assert!(answers.iter().all(|a| *a == answers[0]));
}

/// The tasks before the period are told apart by a few pages of an index, and their steps are not read.
#[test]
fn what_was_created_before_the_period_is_not_read() {
    let mut flow = Flow::new();
    flow.submit(parts("w", steps(PAIR)), -900_000);
    flow.drain(-900_000);
    flow.execute(
        "insert into tasker.tasks (named_task_id, definition_id, live_steps, seq, state, requested_at, created_at, finished_at, identity_hash, context)
         select named_task_id, definition_id, 0, seq, state, requested_at, created_at, finished_at, 'copy ' || n, context from tasker.tasks, generate_series(1, 5000) n;
         insert into tasker.workflow_steps (task_id, named_step_id, queue_id, pending_parents, total_parents, attempts, state, created_at, last_attempted_at, finished_at, seq)
         select t.task_id, s.named_step_id, s.queue_id, 0, s.total_parents, 1, s.state, s.created_at, s.last_attempted_at, s.finished_at, s.seq
         from tasker.tasks t, tasker.workflow_steps s where t.task_id > 1 and s.task_id = 1",
    );
    flow.submit(parts("w", steps(PAIR)), 0);
    flow.drain(0);
    flow.execute("vacuum analyze tasker.tasks");
    flow.execute("vacuum analyze tasker.workflow_steps");
    let pages = flow.number("select sum(relpages)::bigint as n from pg_class where oid in ('tasker.workflow_steps'::regclass, 'tasker.tasks'::regclass)");
    assert!(pages > 200, "{pages}");
    let (since, now) = (at(-60), at(60));
    for call in [
        format!("get_analytics_metrics('{since}', '{now}')"),
        format!("get_slowest_steps('{since}', p_now => '{now}')"),
        format!("get_slowest_tasks('{since}', p_now => '{now}')"),
    ] {
        let buffers = flow.buffers(&format!("select * from tasker.{call}"));
        assert!(buffers < 80, "{call} touched {buffers} of {pages} pages");
    }
}
