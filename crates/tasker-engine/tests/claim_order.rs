//! Which step comes first: what counts as waiting, in one queue and between queues, and what stands above a child.

mod support;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::PgConnection;
use serde_json::json;
use support::{Bench, HANDLER, execute, number, parts};
use tasker_engine::{
    commands::{self, Ask, Head, exchange},
    definition::{StepDefinition, WorkflowDefinition},
    report::Report,
};
use tasker_model::{Step, StepId, TaskId};

/// The handler of the second queue.
const OTHER: &str = "bench.other";

/// A bench whose worker serves two queues, and a task of the steps `first` and `third` in one and `second` in the
/// other, which are available since 3, 1 and 2 seconds.
struct Queues {
    bench: Bench,
    task: TaskId,
    now: DateTime<Utc>,
}

impl Queues {
    fn new() -> Self {
        let mut steps = parts(&[("first", &[]), ("third", &[])]);
        steps.steps.push(StepDefinition::new("second", OTHER));
        let mut bench = Bench::with(steps);
        let handlers = [HANDLER.to_owned(), OTHER.to_owned()];
        bench.worker =
            commands::register(&mut bench.conn, "both", None, &handlers, 3_600_000, None).unwrap().0;
        let task = bench.submit();
        let mut queues = Self { bench, task, now: Utc::now().trunc_subsecs(6) };
        for (name, seconds) in [("first", 3), ("second", 2), ("third", 1)] {
            let at = queues.since(seconds);
            queues.set(name, &format!("available_at = '{}'", at.to_rfc3339()));
        }
        queues
    }

    fn since(&self, seconds: i64) -> DateTime<Utc> {
        self.now - TimeDelta::seconds(seconds)
    }

    fn set(&mut self, name: &str, what: &str) {
        let step = self.bench.id(self.task, name);
        set(&mut self.bench.conn, step, what);
    }

    /// Where a claim came to that took `first`.
    fn head(&mut self) -> Head {
        head(&mut self.bench, self.task, "first")
    }

    fn claimed(&mut self, limit: i32, heads: &[Head]) -> Vec<String> {
        let ask = Ask { limit, further: true, expire: false };
        let turned =
            exchange(&mut self.bench.conn, self.bench.worker, ask, &[], heads, Some(self.now)).unwrap();
        turned.claimed.into_iter().map(|s| s.step_name).collect()
    }
}

/// Where a claim came to that took this step.
fn head(bench: &mut Bench, task: TaskId, name: &str) -> Head {
    let Step { workflow_step_id: StepId(step_id), priority, available_at, .. } = bench.step(task, name);
    let queue =
        format!("select queue_id::bigint from tasker.workflow_steps where workflow_step_id = {step_id}");
    let queue_id = number(&mut bench.conn, &queue) as i32;
    Head { queue_id, priority: priority.into(), at: available_at.unwrap(), step_id }
}

fn set(conn: &mut PgConnection, step: StepId, what: &str) {
    execute(conn, &format!("update tasker.workflow_steps set {what} where workflow_step_id = {step}"));
}

#[test]
fn of_two_queues_that_one_comes_first_whose_step_waits_longest() {
    assert_eq!(Queues::new().claimed(1, &[]), ["first"]);
    assert_eq!(Queues::new().claimed(2, &[]), ["first", "third"], "a queue is read on while there is room");
}

#[test]
fn a_step_that_cannot_be_claimed_brings_its_queue_no_nearer() {
    for what in ["held = true", "paused = true"] {
        let mut queues = Queues::new();
        queues.set("first", what);
        assert_eq!(queues.claimed(1, &[]), ["second"], "{what}");
        assert_eq!(queues.claimed(9, &[]), ["third"], "{what}: it is not claimed");
    }
    let mut queues = Queues::new();
    let head = queues.head();
    assert_eq!(queues.claimed(1, &[head]), ["second"], "what stands at the head is not read again");
}

#[test]
fn what_stands_at_the_head_is_not_read_again() {
    let mut queues = Queues::new();
    let head = queues.head();
    assert_eq!(queues.claimed(9, &[head]), ["second", "third"]);
    assert_eq!(queues.claimed(9, &[]), ["first"]);
}

/// A turn that has one place for a child `b` of priority 3, while a step of another task stands beside it as `what` says.
fn turn_beside(priority: i16, what: impl Fn(DateTime<Utc>) -> String, at_head: bool) -> Vec<String> {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (_, claims) = bench.started();
    let mut beside = parts(&[("beside", &[])]);
    beside.name = "beside".into();
    beside.steps[0].priority = priority;
    bench.definition = WorkflowDefinition::new(beside).unwrap();
    let task = bench.submit();
    let now = Utc::now().trunc_subsecs(6);
    let step = bench.id(task, "beside");
    set(&mut bench.conn, step, &what(now));
    let heads = if at_head { vec![head(&mut bench, task, "beside")] } else { vec![] };
    let ask = Ask { limit: 1, further: false, expire: false };
    let report = [Report::Completed(claims["a"], json!({}))];
    let turned = exchange(&mut bench.conn, bench.worker, ask, &report, &heads, Some(now)).unwrap();
    turned.claimed.into_iter().map(|s| s.step_name).collect()
}

#[test]
fn a_child_goes_on_before_what_waits_at_its_own_priority() {
    let waits = |now: DateTime<Utc>| format!("available_at = '{}'", now.to_rfc3339());
    for (priority, goes_on) in [(2, vec![]), (3, vec!["b"]), (4, vec!["b"])] {
        assert_eq!(turn_beside(priority, waits, false), goes_on, "{priority}");
    }
}

#[test]
fn only_what_could_be_claimed_now_stands_above_a_child() {
    let available = |at: DateTime<Utc>| format!("available_at = '{}'", at.to_rfc3339());
    let (second, micro) = (TimeDelta::seconds(1), TimeDelta::microseconds(1));
    let none: [&str; 0] = [];
    assert_eq!(turn_beside(1, |now| available(now - second), false), none, "it waits");
    assert_eq!(turn_beside(1, available, false), none, "it waits from this instant on");
    assert_eq!(turn_beside(1, |now| available(now + micro), false), ["b"], "it is due later");
    assert_eq!(turn_beside(1, |now| available(now - second), true), ["b"], "it stands at the head");
    for what in ["held = true", "paused = true"] {
        let set = |now| format!("{what}, {}", available(now - second));
        assert_eq!(turn_beside(1, set, false), ["b"], "{what}");
    }
}
