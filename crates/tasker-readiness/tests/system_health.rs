//! `get_system_health_counts`.

mod flow;

use flow::{Flow, at, parts, steps};
use tasker_engine::commands;
use tasker_model::{FailureKind, TaskId};
use tasker_readiness::SystemHealthCounts;

const LINEAR: &[(&str, &[&str])] =
    &[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["c"]), ("e", &["d"]), ("f", &["e"])];

fn counts(flow: &mut Flow, seconds: i64) -> SystemHealthCounts {
    SystemHealthCounts::read(&mut flow.conn, Some(at(seconds))).unwrap()
}

fn linear(flow: &mut Flow, seconds: i64) -> TaskId {
    flow.submit(parts("linear", steps(LINEAR)), seconds)
}

/// All, pending, in progress, complete, in error, cancelled, resolved: of tasks and of steps.
fn states(c: &SystemHealthCounts) -> ([i64; 7], [i64; 7]) {
    let tasks = [
        c.total_tasks,
        c.pending_tasks,
        c.in_progress_tasks,
        c.complete_tasks,
        c.error_tasks,
        c.cancelled_tasks,
        c.resolved_manually_tasks,
    ];
    let steps = [
        c.total_steps,
        c.pending_steps,
        c.in_progress_steps,
        c.complete_steps,
        c.error_steps,
        c.cancelled_steps,
        c.resolved_manually_steps,
    ];
    for all in [tasks, steps] {
        assert_eq!(all[0], all[1..].iter().sum::<i64>(), "each is in one state");
    }
    (tasks, steps)
}

/// Retryable, exhausted, in backoff.
fn errors(c: &SystemHealthCounts) -> [i64; 3] {
    [c.retryable_error_steps, c.exhausted_retry_steps, c.in_backoff_steps]
}

#[test]
fn an_empty_database_counts_nothing_but_its_connections() {
    let mut flow = Flow::new();
    flow.execute("delete from tasker.workers");
    let c = counts(&mut flow, 0);
    assert_eq!(states(&c), ([0; 7], [0; 7]));
    assert_eq!(errors(&c), [0; 3]);
    assert_eq!([c.open_tasks, c.paused_tasks, c.ready_steps, c.held_steps, c.paused_steps], [0; 5]);
    assert_eq!([c.paused_queues, c.live_workers, c.expired_leases], [0; 3]);
    assert!(c.active_connections >= 1 && c.max_connections >= c.active_connections);
    assert_eq!(counts(&mut flow, 0), c, "the same question has the same answer");
    assert_eq!(SystemHealthCounts::read(&mut flow.conn, None).unwrap().total_tasks, 0);
}

#[test]
fn fresh_tasks_are_pending() {
    let mut flow = Flow::new();
    for _ in 0..3 {
        linear(&mut flow, 0);
    }
    let c = counts(&mut flow, 0);
    assert_eq!(states(&c), ([3, 3, 0, 0, 0, 0, 0], [18, 18, 0, 0, 0, 0, 0]));
    assert_eq!((c.open_tasks, c.ready_steps), (3, 3));
    assert_eq!(counts(&mut flow, -1).ready_steps, 0, "before their time nothing is ready");
}

/// Two complete tasks, one that has not started and one whose first step failed once.
#[test]
fn four_linear_tasks() {
    let mut flow = Flow::new();
    linear(&mut flow, 0);
    linear(&mut flow, 0);
    flow.drain(0);
    linear(&mut flow, 30);
    let step = flow.claim(1, 30).remove(0);
    flow.fail(&step, FailureKind::Retryable, 10, 31);
    linear(&mut flow, 32);
    let c = counts(&mut flow, 32);
    assert_eq!(states(&c), ([4, 1, 1, 2, 0, 0, 0], [24, 11, 0, 12, 1, 0, 0]));
    assert_eq!(errors(&c), [1, 0, 1]);
}

#[test]
fn a_step_is_in_backoff_until_its_time_has_come() {
    let mut flow = Flow::new();
    linear(&mut flow, 0);
    let step = flow.claim(1, 0).remove(0);
    flow.fail(&step, FailureKind::Retryable, 10, 1);
    let seen = |flow: &mut Flow, seconds| {
        let c = counts(flow, seconds);
        (errors(&c), c.ready_steps)
    };
    assert_eq!(seen(&mut flow, 10), ([1, 0, 1], 0));
    assert_eq!(seen(&mut flow, 11), ([1, 0, 0], 1), "due: retryable, not in backoff");
    for seconds in [11, 21] {
        let step = flow.claim(1, seconds).remove(0);
        flow.fail(&step, FailureKind::Retryable, 0, seconds + 1);
    }
    let c = counts(&mut flow, 30);
    assert_eq!((errors(&c), c.error_steps, c.error_tasks), ([0, 1, 0], 1, 1));
}

#[test]
fn a_permanent_failure_and_a_step_that_is_not_retryable_are_not_retryable_errors() {
    let mut flow = Flow::new();
    let mut two = steps(&[("a", &[]), ("b", &[])]);
    two[1].retryable = false;
    flow.submit(parts("w", two), 0);
    let claimed = flow.claim(2, 0);
    flow.fail(&claimed[0], FailureKind::Permanent, 0, 1);
    flow.fail(&claimed[1], FailureKind::Retryable, 0, 1);
    let c = counts(&mut flow, 1);
    assert_eq!((errors(&c), c.error_steps), ([0, 0, 0], 2));
}

#[test]
fn every_state_has_its_column() {
    let mut flow = Flow::new();
    let cancelled = linear(&mut flow, 0);
    let step = flow.claim(1, 0).remove(0);
    flow.complete(&step, 1);
    commands::cancel(&mut flow.conn, &[cancelled], "ann", None, Some(at(2))).unwrap();
    let open = linear(&mut flow, 3);
    let a = flow.ids(open)["a"];
    commands::resolve(&mut flow.conn, &[(open, a, None)], "ann", None, Some(at(4))).unwrap();
    let b = flow.claim(1, 5);
    let resolved = linear(&mut flow, 6);
    let step = flow.claim(1, 6).remove(0);
    flow.fail(&step, FailureKind::Permanent, 0, 7);
    flow.execute(&format!(
        "update tasker.tasks set state = 'resolved_manually', seq = seq + 1 where task_id = {resolved};
         insert into tasker.task_transitions select task_id, finished_at, seq, 'error', 'resolved_manually', 'ann' from tasker.tasks where task_id = {resolved}"
    ));
    assert_eq!(b.len(), 1);
    let c = counts(&mut flow, 8);
    assert_eq!(states(&c), ([3, 0, 1, 0, 0, 1, 1], [18, 4 + 5, 1, 1, 1, 5, 1]));
    assert_eq!(c.open_tasks, 1);
}

#[test]
fn held_and_paused_steps_are_not_ready() {
    let mut flow = Flow::new();
    let [one, two, three] =
        [0; 3].map(|s| flow.submit(parts("w", steps(&[("a", &[]), ("b", &[]), ("c", &["a"])])), s));
    let seen = |flow: &mut Flow| {
        let c = counts(flow, 1);
        [c.ready_steps, c.held_steps, c.paused_steps, c.paused_tasks, c.paused_queues]
    };
    assert_eq!(seen(&mut flow), [6, 0, 0, 0, 0]);
    let pause = format!("update tasker.tasks set paused_at = '{}' where task_id = {one};", at(0));
    flow.execute(&format!("{pause} update tasker.workflow_steps set paused = true where task_id = {one}"));
    assert_eq!(seen(&mut flow), [4, 0, 2, 1, 0]);
    let b = flow.ids(two)["b"];
    flow.execute(&format!("update tasker.workflow_steps set paused = true where workflow_step_id = {b}"));
    assert_eq!(seen(&mut flow), [3, 0, 3, 1, 0]);
    let b = flow.ids(three)["b"];
    flow.execute(&format!("update tasker.workflow_steps set held = true where workflow_step_id = {b}"));
    assert_eq!(seen(&mut flow), [2, 1, 3, 1, 0]);
    flow.execute(&format!("update tasker.queues set paused_at = '{}'", at(0)));
    assert_eq!(seen(&mut flow), [0, 1, 5, 1, 1]);
}

#[test]
fn workers_live_while_their_lease_holds_and_expired_leases_wait_to_be_reaped() {
    let mut flow = Flow::new();
    Flow::register(&mut flow.conn, 10_000);
    let signed_off = Flow::register(&mut flow.conn, 20_000);
    commands::end_worker(&mut flow.conn, signed_off, Some(at(1))).unwrap();
    let seen = |flow: &mut Flow, seconds| {
        let c = counts(flow, seconds);
        (c.live_workers, c.expired_leases)
    };
    assert_eq!(seen(&mut flow, 9), (2, 0));
    assert_eq!(seen(&mut flow, 10), (1, 1), "the lease runs out at its instant");
    flow.claim(1, 10);
    assert_eq!(seen(&mut flow, 10), (1, 0), "the next claim reaps it");
}

/// What is complete costs a look at an index or at the tasks, and none at a step.
#[test]
fn complete_history_is_not_read() {
    let mut flow = Flow::new();
    let first = linear(&mut flow, 0);
    flow.drain(0);
    linear(&mut flow, 100);
    let call = "select * from tasker.get_system_health_counts()";
    let before = flow.buffers(call);
    flow.execute(&format!(
        "insert into tasker.tasks (named_task_id, definition_id, live_steps, seq, state, requested_at, created_at, finished_at, identity_hash, context)
         select named_task_id, definition_id, 0, seq, state, requested_at, created_at, finished_at, 'copy ' || n, context
         from tasker.tasks, generate_series(1, 5000) n where task_id = {first};
         insert into tasker.workflow_steps (task_id, named_step_id, queue_id, pending_parents, total_parents, attempts, state, created_at, last_attempted_at, finished_at, seq)
         select t.task_id, s.named_step_id, s.queue_id, 0, s.total_parents, 1, s.state, s.created_at, s.last_attempted_at, s.finished_at, s.seq
         from tasker.tasks t, tasker.workflow_steps s where t.identity_hash like 'copy %' and s.task_id = {first}"
    ));
    flow.execute("vacuum analyze tasker.tasks");
    flow.execute("vacuum analyze tasker.workflow_steps");
    let mut pages = |table: &str| {
        flow.number(&format!(
            "select relpages::bigint as n from pg_class where oid = 'tasker.{table}'::regclass"
        ))
    };
    let (tasks, steps) = (pages("tasks"), pages("workflow_steps"));
    let after = flow.buffers(call);
    // A table this small may be read itself where a larger one is counted by its index.
    assert!(steps > 2 * tasks, "{steps} pages of steps, {tasks} of tasks");
    assert!(after < before + tasks + 30, "{after} buffers with 5,001 complete tasks, {before} with one");
    assert_eq!(
        states(&counts(&mut flow, 100)),
        ([5_002, 1, 0, 5_001, 0, 0, 0], [30_012, 6, 0, 30_006, 0, 0, 0])
    );
}
