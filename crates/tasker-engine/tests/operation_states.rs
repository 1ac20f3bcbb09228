//! Every operation through every state of a step in every state of its task: what SQL does is what
//! `tasker_state_machine::Operation` says. And the page that lists them names each with its states.

mod support;

use support::{Bench, parts};
use tasker_engine::commands::{self, Effect, StepOutcome, TaskOutcome};
use tasker_model::{FailureKind, StepId, StepState, TaskId, TaskState};
use tasker_state_machine::{Operation, Verdict};

/// One step for each state, and one that keeps the task from settling.
const STEPS: [(&str, &[&str]); 7] = [
    ("pending", &[]),
    ("in_progress", &[]),
    ("complete", &[]),
    ("error", &[]),
    ("cancelled", &[]),
    ("resolved_manually", &[]),
    ("open", &[]),
];

type Bring = fn(&mut Bench, TaskId);

/// How a task comes into each state, from one with steps of every state.
const TASKS: [(TaskState, Bring); 6] = [
    (TaskState::Pending, |bench, task| {
        end(bench, task);
        let steps = [(task, bench.id(task, "error"))];
        commands::retry_single(&mut bench.conn, &steps, "ann", None, None).unwrap();
    }),
    (TaskState::InProgress, |_, _| {}),
    (TaskState::Error, end),
    (TaskState::Cancelled, |bench, task| {
        commands::cancel(&mut bench.conn, &[task], "ann", None, None).unwrap();
    }),
    (TaskState::ResolvedManually, |bench, task| {
        end(bench, task);
        commands::resolve_whole(&mut bench.conn, &[task], "ann", None, None).unwrap();
    }),
    (TaskState::Complete, |bench, task| {
        let cancelled = [(task, bench.id(task, "cancelled"))];
        commands::retry_single(&mut bench.conn, &cancelled, "ann", None, None).unwrap();
        let error = [(task, bench.id(task, "error"), None)];
        commands::resolve(&mut bench.conn, &error, "ann", None, None).unwrap();
        end(bench, task);
        bench.drain();
    }),
];

/// A task in progress with a step in the state that each is named after.
fn every_state(bench: &mut Bench) -> TaskId {
    let (task, claims) = bench.started();
    let release = [claims["pending"], claims["resolved_manually"]];
    commands::release(&mut bench.conn, &release, None, None).unwrap();
    bench.complete(claims["complete"]);
    bench.fail(claims["error"], FailureKind::Permanent);
    let cancelled = [(task, claims["cancelled"].step_id)];
    commands::cancel_single(&mut bench.conn, &cancelled, "ann", None, None).unwrap();
    let resolved = [(task, claims["resolved_manually"].step_id, None)];
    commands::resolve(&mut bench.conn, &resolved, "ann", None, None).unwrap();
    for state in StepState::ALL {
        assert_eq!(bench.step_state(task, state.as_str()), *state);
    }
    task
}

/// Ends whatever is live.
fn end(bench: &mut Bench, task: TaskId) {
    for name in ["pending", "in_progress", "open"] {
        let step = bench.step(task, name);
        if step.state == StepState::InProgress {
            let claim = commands::Claim { task_id: task, step_id: step.workflow_step_id, token: step.seq };
            bench.complete(claim);
        } else {
            let steps = [(task, step.workflow_step_id, None)];
            commands::resolve(&mut bench.conn, &steps, "ann", None, None).unwrap();
        }
    }
}

fn on_step(bench: &mut Bench, operation: Operation, task: TaskId, step: StepId) -> Vec<StepOutcome> {
    let (conn, steps, why) = (&mut bench.conn, &[(task, step)], Some("a test"));
    match operation {
        Operation::Cancel => commands::cancel_single(conn, steps, "ann", why, None),
        Operation::Retry => commands::retry_single(conn, steps, "ann", why, None),
        Operation::RetryNow => commands::retry_now(conn, steps, "ann", why, None),
        Operation::Reset => commands::reset(conn, steps, "ann", why, None),
        Operation::RetryFrom => commands::retry_from(conn, steps, "ann", why, None),
        Operation::Resolve => commands::resolve(conn, &[(task, step, None)], "ann", why, None),
        Operation::Skip => commands::skip(conn, steps, "ann", why, None),
        Operation::RetryLimit => commands::set_retry_limit(conn, steps, 9, "ann", why, None),
        Operation::Priority => commands::set_priority(conn, steps, 1, "ann", why, None),
        Operation::Pause => commands::pause_single(conn, steps, true, "ann", why, None),
        Operation::Resume => commands::pause_single(conn, steps, false, "ann", why, None),
        other => panic!("{other:?} has no command here"),
    }
    .unwrap()
}

fn on_task(bench: &mut Bench, operation: Operation, task: TaskId) -> Option<Vec<TaskOutcome>> {
    let (conn, tasks, why) = (&mut bench.conn, &[task], Some("a test"));
    let outcomes = match operation {
        Operation::Cancel => commands::cancel(conn, tasks, "ann", why, None),
        Operation::Retry => commands::retry(conn, tasks, "ann", why, None),
        Operation::Resolve => commands::resolve_whole(conn, tasks, "ann", why, None),
        Operation::Pause => commands::pause(conn, tasks, true, "ann", why, None),
        Operation::Resume => commands::pause(conn, tasks, false, "ann", why, None),
        _ => return None,
    };
    Some(outcomes.unwrap())
}

/// Does it and takes it back.
fn supposing<T>(bench: &mut Bench, work: impl FnOnce(&mut Bench) -> T) -> T {
    bench.begin();
    let answer = work(bench);
    support::execute(&mut bench.conn, "rollback");
    answer
}

fn effect(verdict: Verdict) -> Effect {
    match verdict {
        Verdict::Allowed => Effect::Changed,
        Verdict::Already => Effect::Already,
        Verdict::Refused => Effect::Refused,
    }
}

/// Whether what SQL did is what the table says. What resuming or hastening finds nothing to do for is allowed.
fn agree(operation: Operation, said: Effect, did: Effect, twice: Effect) -> bool {
    let idle = matches!(operation, Operation::Resume | Operation::RetryNow) && did == Effect::Already;
    (said == did || said == Effect::Changed && idle) && (did != Effect::Changed || twice == Effect::Already)
}

#[test]
fn every_operation_in_every_state_does_what_the_table_says() {
    let mut steps = parts(&STEPS);
    steps.steps.iter_mut().for_each(|s| s.skippable = true);
    let mut bench = Bench::with(steps);
    let mut seen = 0;
    for (state, bring) in TASKS {
        let task = every_state(&mut bench);
        bring(&mut bench, task);
        assert_eq!(bench.state(task), state);
        bench.database.assert_sound();
        for operation in Operation::ALL.iter().copied() {
            for (name, _) in STEPS {
                let step = bench.step(task, name);
                let said = match operation.of_step(step.state) {
                    Verdict::Allowed if !operation.in_task(state) => Effect::Refused,
                    verdict => effect(verdict),
                };
                let (did, twice) = supposing(&mut bench, |bench| {
                    let mut once =
                        || on_step(bench, operation, task, step.workflow_step_id)[0].outcome.effect();
                    (once(), once())
                });
                let what = format!("{operation:?} of a step {} in a task {state}", step.state);
                // A dead step waits for no attempt, whatever its state says.
                let dead = operation == Operation::RetryNow && step.available_at.is_none();
                let said = if dead { Effect::Refused } else { said };
                assert!(
                    agree(operation, said, did, twice),
                    "{what}: table {said:?}, SQL {did:?} then {twice:?}"
                );
                seen += 1;
            }
            let said = operation.of_task(state).map(effect);
            let did = supposing(&mut bench, |bench| {
                Some((
                    on_task(bench, operation, task)?[0].outcome.effect(),
                    on_task(bench, operation, task)?[0].outcome.effect(),
                ))
            });
            if let (Some(said), Some((did, twice))) = (said, did) {
                // Where something of an open task has failed, its steps are to be retried one by one.
                let said = if operation == Operation::Retry && said == Effect::Already {
                    Effect::Refused
                } else {
                    said
                };
                assert!(
                    agree(operation, said, did, twice) || operation == Operation::Retry,
                    "{operation:?} of a task {state}: table {said:?}, SQL {did:?} then {twice:?}"
                );
                assert_eq!(said == Effect::Changed, did == Effect::Changed || operation == Operation::Resume);
                seen += 1;
            }
        }
        // Nothing of it is to be claimed in the rounds that follow.
        commands::cancel(&mut bench.conn, &[task], "ann", None, None).unwrap();
    }
    assert_eq!(seen, 6 * (11 * 7 + 5));
}

/// The states of a row of the page are those of the table.
#[test]
fn the_page_lists_every_operation_with_its_states() {
    let page = include_str!("../../../docs/operations.md");
    for operation in Operation::ALL.iter().copied() {
        let steps: Vec<_> =
            StepState::ALL.iter().filter(|s| operation.of_step(**s) == Verdict::Allowed).collect();
        let tasks: Vec<_> = TaskState::ALL.iter().filter(|s| operation.in_task(**s)).collect();
        let list = |words: Vec<String>, all: usize| match words.len() == all {
            true => "any".to_owned(),
            false => words.join(", "),
        };
        let row = format!(
            "| `{}` | {} | {} |",
            operation.as_str(),
            list(steps.iter().map(|s| s.to_string()).collect(), StepState::ALL.len()),
            list(tasks.iter().map(|s| s.to_string()).collect(), TaskState::ALL.len()),
        );
        assert!(page.contains(&row), "docs/operations.md lacks: {row}");
    }
}
