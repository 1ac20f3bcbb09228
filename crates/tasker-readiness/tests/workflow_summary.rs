//! `get_task_workflow_summary` and its batch form.

mod flow;

use flow::{Flow, at, parts, steps};
use tasker_engine::{commands, definition::StepDefinition};
use tasker_model::{FailureKind, TaskId, TaskState};
use tasker_readiness::{BlockingReason, TaskExecutionContext, TaskWorkflowSummary};

fn summary(flow: &mut Flow, task: TaskId, seconds: i64) -> TaskWorkflowSummary {
    TaskWorkflowSummary::find(&mut flow.conn, task, Some(at(seconds))).unwrap().expect("the task")
}

/// Names of the root, ready, next and blocked steps, the last with their reasons.
fn named(flow: &mut Flow, task: TaskId, seconds: i64) -> [String; 4] {
    let (summary, ids) = (summary(flow, task, seconds), flow.ids(task));
    let name = |id| ids.iter().find(|(_, i)| **i == id).unwrap().0.as_str();
    let list = |ids: &[_]| ids.iter().map(|id| name(*id)).collect::<Vec<_>>().join(" ");
    let blocked: Vec<_> = summary.blocked().map(|(id, why)| format!("{}:{why}", name(id))).collect();
    assert_eq!(summary.blocked_step_ids.len(), blocked.len(), "each has a reason");
    assert_eq!(summary.blocking_reasons.len(), blocked.len());
    [
        list(&summary.root_step_ids),
        list(&summary.ready_step_ids),
        list(&summary.next_step_ids),
        blocked.join(" "),
    ]
}

fn words(summary: &TaskWorkflowSummary) -> (&str, &str) {
    (&summary.workflow_efficiency, &summary.parallelism_potential)
}

const DIAMOND: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])];

#[test]
fn a_diamond_from_its_first_step_to_its_last() {
    let mut flow = Flow::new();
    let task = flow.submit(parts("w", steps(DIAMOND)), 0);
    let waits = "b:waiting_for_parents c:waiting_for_parents d:waiting_for_parents";
    assert_eq!(named(&mut flow, task, 0), ["a", "a", "a", waits]);
    let fresh = summary(&mut flow, task, 0);
    assert_eq!(words(&fresh), ("optimal", "sequential_only"));
    assert_eq!((fresh.status, fresh.total_steps, fresh.completion_percentage), (TaskState::Pending, 4, 0.0));

    let a = flow.claim(1, 0).remove(0);
    assert_eq!(named(&mut flow, task, 0), ["a", "", "", waits]);
    assert_eq!(words(&summary(&mut flow, task, 0)), ("processing", "no_ready_work"));

    flow.complete(&a, 1);
    assert_eq!(named(&mut flow, task, 1), ["a", "b c", "b c", "d:waiting_for_parents"]);
    assert_eq!(words(&summary(&mut flow, task, 1)), ("optimal", "moderate_parallelism"));
    assert_eq!(
        named(&mut flow, task, 0)[3],
        "b:scheduled c:scheduled d:waiting_for_parents",
        "the clock moves"
    );

    flow.drain(1);
    assert_eq!(named(&mut flow, task, 9), ["a", "", "", ""]);
    let done = summary(&mut flow, task, 9);
    assert_eq!(words(&done), ("complete", "no_ready_work"));
    assert_eq!((done.status, done.completion_percentage), (TaskState::Complete, 100.0));
    flow.database.assert_sound();
}

#[test]
fn the_depth_is_the_longest_path_and_not_the_number_of_parents() {
    let mut flow = Flow::new();
    let wide = steps(&[("a", &[]), ("b", &[]), ("c", &[]), ("join", &["a", "b", "c"])]);
    let long = steps(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a", "c"])]);
    for (steps, depth) in [(wide, Some(1)), (long, Some(3)), (steps(&[("a", &[])]), Some(0)), (vec![], None)]
    {
        let task = flow.submit(parts("w", steps), 0);
        assert_eq!(summary(&mut flow, task, 0).max_dependency_depth, depth);
    }
}

#[test]
fn parallelism_is_the_number_of_ready_steps_in_words() {
    let mut flow = Flow::new();
    for (n, word) in [
        (1, "sequential_only"),
        (2, "moderate_parallelism"),
        (5, "moderate_parallelism"),
        (6, "high_parallelism"),
    ] {
        let roots = (0..n).map(|n| StepDefinition::new(format!("s{n}"), "h")).collect();
        let task = flow.submit(parts("w", roots), 0);
        assert_eq!(words(&summary(&mut flow, task, 0)), ("optimal", word), "{n}");
        assert_eq!(words(&summary(&mut flow, task, -1)).1, "no_ready_work");
    }
}

#[test]
fn the_next_steps_stand_in_the_order_in_which_they_are_claimed() {
    let mut flow = Flow::new();
    let mut some = steps(&[("low", &[]), ("old", &[]), ("new", &[]), ("first", &[]), ("also_old", &[])]);
    some[0].priority = 5;
    some[3].priority = 1;
    let task = flow.submit(parts("w", some), 0);
    let new = flow.ids(task)["new"];
    flow.execute(&format!(
        "update tasker.workflow_steps set available_at = '{}' where workflow_step_id = {new}",
        at(3)
    ));
    let [_, ready, next, _] = named(&mut flow, task, 5);
    assert_eq!(ready, "low old new first also_old");
    assert_eq!(next, "first old also_old new low");
    let claimed: Vec<_> = flow.claim(9, 5).into_iter().map(|s| s.step_name).collect();
    assert_eq!(claimed.join(" "), next);
}

#[test]
fn a_failure_that_is_tried_again_waits_and_one_that_is_not_blocks() {
    let mut flow = Flow::new();
    let task = flow.submit(parts("w", steps(&[("a", &[]), ("b", &["a"])])), 0);
    let a = flow.claim(1, 0).remove(0);
    flow.fail(&a, FailureKind::Retryable, 10, 1);
    assert_eq!(named(&mut flow, task, 5), ["a", "", "", "a:waiting_for_retry b:waiting_for_parents"]);
    assert_eq!(words(&summary(&mut flow, task, 5)).0, "waiting");
    assert_eq!(words(&summary(&mut flow, task, 11)), ("recovering", "sequential_only"));
    let a = flow.claim(1, 11).remove(0);
    flow.fail(&a, FailureKind::Permanent, 0, 12);
    assert_eq!(named(&mut flow, task, 12)[3], "a:permanent b:waiting_for_parents");
    assert_eq!(words(&summary(&mut flow, task, 12)).0, "blocked");
}

/// The first attempt of a step that is not to be retried is as good as any.
#[test]
fn a_step_that_is_not_retryable_is_ready_once_and_then_blocks() {
    let mut flow = Flow::new();
    let mut once = steps(&[("a", &[]), ("b", &[])]);
    once[0].retryable = false;
    once[1].retry_limit = 1;
    let task = flow.submit(parts("w", once), 0);
    assert_eq!(named(&mut flow, task, 0)[1], "a b");
    for step in flow.claim(2, 0) {
        flow.fail(&step, FailureKind::Retryable, 0, 1);
    }
    assert_eq!(named(&mut flow, task, 1)[3], "a:not_retryable b:exhausted");
    let blocked = summary(&mut flow, task, 1);
    assert_eq!((words(&blocked).0, blocked.status), ("blocked", TaskState::Error));
    let reasons: Vec<_> = blocked.blocked().map(|(_, why)| why).collect();
    assert_eq!(reasons, [BlockingReason::NotRetryable, BlockingReason::Exhausted]);
}

#[test]
fn counts_and_words_are_those_of_the_context() {
    let mut flow = Flow::new();
    let mut tasks = vec![];
    for n in 0..4 {
        tasks.push(flow.submit(parts("w", steps(DIAMOND)), n));
    }
    for (n, step) in flow.claim(3, 5).iter().enumerate() {
        match n {
            0 => flow.complete(step, 6),
            1 => flow.fail(step, FailureKind::Permanent, 0, 6),
            _ => {}
        }
    }
    commands::cancel(&mut flow.conn, &tasks[3..], "ann", None, Some(at(7))).unwrap();
    let contexts = TaskExecutionContext::for_tasks(&mut flow.conn, Some(&tasks), Some(at(8))).unwrap();
    let summaries = TaskWorkflowSummary::for_tasks(&mut flow.conn, Some(&tasks), Some(at(8))).unwrap();
    assert_eq!(summaries.len(), 4);
    for (c, s) in contexts.iter().zip(&summaries) {
        let of_context =
            (c.task_id, c.status, c.total_steps, c.pending_steps, c.in_progress_steps, c.completed_steps);
        assert_eq!(
            of_context,
            (s.task_id, s.status, s.total_steps, s.pending_steps, s.in_progress_steps, s.completed_steps)
        );
        assert_eq!(
            (c.failed_steps, c.ready_steps, &c.execution_status),
            (s.failed_steps, s.ready_steps, &s.execution_status)
        );
        assert_eq!((&c.recommended_action, &c.health_status), (&s.recommended_action, &s.health_status));
        assert_eq!(c.ready_steps as usize, s.ready_step_ids.len());
        assert_eq!(
            TaskWorkflowSummary::find(&mut flow.conn, s.task_id, Some(at(8))).unwrap().as_ref(),
            Some(s)
        );
    }
    let twice = [tasks[1], TaskId(-1), tasks[0], tasks[1]];
    let found = TaskWorkflowSummary::for_tasks(&mut flow.conn, Some(&twice), Some(at(8))).unwrap();
    assert_eq!(found, summaries[..2]);
    let open = TaskWorkflowSummary::for_tasks(&mut flow.conn, None, Some(at(8))).unwrap();
    assert_eq!(open, [summaries[0].clone(), summaries[2].clone()]);
    assert_eq!(TaskWorkflowSummary::find(&mut flow.conn, TaskId(-1), None), Ok(None));
}
