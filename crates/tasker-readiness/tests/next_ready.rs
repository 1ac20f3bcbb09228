//! `get_next_ready_steps`.

mod flow;

use flow::{Flow, HANDLERS, at, parts, steps};
use tasker_engine::definition::{StepDefinition, WorkflowParts};
use tasker_model::{FailureKind, StepId};
use tasker_readiness::NextReadyStep;

fn peek(flow: &mut Flow, limit: i32, seconds: i64) -> Vec<NextReadyStep> {
    NextReadyStep::peek(&mut flow.conn, limit, None, None, Some(at(seconds))).unwrap()
}

fn ids(steps: &[NextReadyStep]) -> Vec<StepId> {
    steps.iter().map(|s| s.workflow_step_id).collect()
}

/// One task a second, each of one step, with handlers and priorities that alternate.
fn mixed(flow: &mut Flow, n: i64) {
    for i in 0..n {
        let mut step = StepDefinition::new("s", HANDLERS[(i * 7 % 3) as usize + 1]);
        step.priority = (i * 5 % 4) as i16 + 1;
        let parts = parts(&format!("w{}-{}", step.priority, step.handler), vec![step]);
        flow.submit(parts, i);
    }
}

#[test]
fn the_steps_stand_in_the_order_in_which_they_are_claimed() {
    let mut flow = Flow::new();
    mixed(&mut flow, 40);
    let peeked = peek(&mut flow, 100, 40);
    assert_eq!(peeked.len(), 40);
    assert_eq!(peeked.iter().map(|s| s.place).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert_eq!(ids(&peek(&mut flow, 7, 40)), ids(&peeked)[..7], "a shorter list begins the same");
    flow.execute("begin");
    assert_eq!(flow.claim(100, 40).iter().map(|s| s.step_id).collect::<Vec<_>>(), ids(&peeked));
    flow.execute("rollback");

    // A claim that leaves a part of a queue moves that queue's head, so the next one may begin elsewhere.
    loop {
        let next = peek(&mut flow, 3, 40);
        assert_eq!(flow.claim(3, 40).iter().map(|s| s.step_id).collect::<Vec<_>>(), ids(&next));
        if next.is_empty() {
            break;
        }
    }
}

#[test]
fn a_peek_takes_nothing() {
    let mut flow = Flow::new();
    mixed(&mut flow, 3);
    let first = peek(&mut flow, 10, 5);
    assert_eq!(peek(&mut flow, 10, 5), first);
    let mut other = flow.database.connection();
    diesel::connection::SimpleConnection::batch_execute(
        &mut other,
        "begin; select * from tasker.workflow_steps for update",
    )
    .unwrap();
    assert_eq!(peek(&mut flow, 10, 5), first, "locks of others do not matter");
}

#[test]
fn a_row_says_what_a_person_wants_to_know() {
    let mut flow = Flow::new();
    let mut step = StepDefinition::new("charge", "one");
    step.priority = 2;
    step.retry_limit = 4;
    let parts = WorkflowParts { namespace: "shop".into(), ..parts("order", vec![step]) };
    let task = flow.submit(parts, 0);
    let claimed = flow.claim(1, 0).remove(0);
    flow.fail(&claimed, FailureKind::Retryable, 5, 1);
    assert_eq!(peek(&mut flow, 10, 5), [], "not due");
    let row = peek(&mut flow, 10, 6).remove(0);
    assert_eq!((row.task_id, row.workflow_step_id, row.priority), (task, claimed.step_id, 2));
    assert_eq!(
        [&row.step_name, &row.task_name, &row.namespace_name, &row.handler],
        ["charge", "order", "shop", "one"]
    );
    assert_eq!((row.available_at, row.attempts, row.retry_limit), (at(6), 1, 4));
    assert_eq!(
        NextReadyStep::peek(&mut flow.conn, 10, None, None, None).unwrap(),
        [],
        "not yet by the database's clock"
    );
}

#[test]
fn held_paused_and_waiting_steps_and_paused_queues_are_left_out() {
    let mut flow = Flow::new();
    let mut some = steps(&[("held", &[]), ("paused", &[]), ("child", &["free"]), ("free", &[])]);
    some.push(StepDefinition::new("queue", "two"));
    let task = flow.submit(parts("w", some), 0);
    let ids = flow.ids(task);
    flow.execute(&format!(
        "update tasker.workflow_steps set held = true where workflow_step_id = {};
         update tasker.workflow_steps set paused = true where workflow_step_id = {};
         update tasker.queues set paused_at = now() where handler = 'two'",
        ids["held"], ids["paused"]
    ));
    let names: Vec<_> = peek(&mut flow, 10, 0).into_iter().map(|s| s.step_name).collect();
    assert_eq!(names, ["free"]);
    assert_eq!(peek(&mut flow, 10, -1), []);
}

#[test]
fn namespaces_and_handlers_narrow_it() {
    let mut flow = Flow::new();
    for (namespace, handler) in [("n", "one"), ("n", "two"), ("m", "one"), ("m", "two")] {
        let parts = parts(&format!("{namespace}-{handler}"), vec![StepDefinition::new("s", handler)]);
        flow.submit(WorkflowParts { namespace: namespace.into(), ..parts }, 0);
    }
    let found = |flow: &mut Flow, namespaces: Option<&[&str]>, handlers: Option<&[&str]>| {
        let steps = NextReadyStep::peek(&mut flow.conn, 10, namespaces, handlers, Some(at(0))).unwrap();
        steps.into_iter().map(|s| s.task_name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found(&mut flow, None, None), "n-one n-two m-one m-two");
    assert_eq!(found(&mut flow, Some(&["m"]), None), "m-one m-two");
    assert_eq!(found(&mut flow, None, Some(&["two", "three"])), "n-two m-two");
    assert_eq!(found(&mut flow, Some(&["n"]), Some(&["one"])), "n-one");
    assert_eq!(found(&mut flow, Some(&[]), None), "");
}

/// Copies of the only task, of which one in `ready` is ready and the others are complete.
fn copies(flow: &mut Flow, n: usize, ready: usize) {
    flow.execute(&format!(
        "insert into tasker.tasks (named_task_id, definition_id, live_steps, state, requested_at, created_at, finished_at, identity_hash, context)
         select t.named_task_id, t.definition_id, r::integer, case when r then 'pending' else 'complete' end, t.requested_at, t.created_at,
           case when not r then t.created_at end, n || ' of {n}', t.context
         from tasker.tasks t, generate_series(1, {n}) n cross join lateral (select n % {ready} = 0) r (r) where t.task_id = 1;
         insert into tasker.workflow_steps (task_id, named_step_id, queue_id, pending_parents, total_parents, created_at, available_at, state, finished_at)
         select t.task_id, s.named_step_id, s.queue_id, 0, 0, s.created_at,
           case when t.state = 'pending' then s.available_at + t.task_id % 3 * interval '1 s' end, t.state, t.finished_at
         from tasker.tasks t, tasker.workflow_steps s where s.task_id = 1 and t.identity_hash like '% of {n}'"
    ));
}

/// The same buffers with 10 and with 10,000 ready steps, with and without statistics, and where most are complete.
#[test]
fn the_backlog_costs_nothing() {
    let mut flow = Flow::new();
    flow.submit(parts("w", steps(&[("a", &[])])), 0);
    let call = format!("select * from tasker.get_next_ready_steps(10, p_now => '{}')", at(60));
    copies(&mut flow, 9, 1);
    let few = flow.buffers(&call);
    copies(&mut flow, 10_000, 1);
    let many = flow.buffers(&call);
    assert!(many < few + 30, "{many} buffers of 10,000, {few} of 10");
    flow.execute("analyze tasker.workflow_steps");
    let analyzed = flow.buffers(&call);
    assert!(analyzed < few + 30, "{analyzed} buffers of 10,000 with statistics, {few} of 10");

    let mut flow = Flow::new();
    flow.submit(parts("w", steps(&[("a", &[])])), 0);
    copies(&mut flow, 20_000, 20);
    flow.execute("analyze tasker.workflow_steps");
    let scattered = flow.buffers(&call);
    assert!(scattered < few + 30, "{scattered} buffers of 1,000 among 20,000, {few} of 10");
}
