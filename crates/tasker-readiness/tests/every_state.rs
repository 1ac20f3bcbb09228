//! The functions against the rule written once more in Rust, for every small task, and against answers that
//! were recorded elsewhere.

mod support;

use std::{collections::HashSet, fs, path::PathBuf};

use diesel::prelude::*;
use serde_json::Value;
use support::{Standing, StepCase, TaskCase, noon, write};
use tasker_model::{StepState, TaskId, TaskState};
use tasker_readiness::{
    StepReadinessStatus, TaskExecutionContext, get_step_readiness_status_batch as readiness,
};
use tasker_testkit::{
    TestDatabase,
    recorded::{answer, read_case},
};

/// Every step that the CHECKs allow, with limits up to 2, alone in every kind of task.
fn single_steps() -> HashSet<TaskCase> {
    let mut all = HashSet::new();
    let flags = [false, true];
    for state in StepState::ALL {
        for (attempts, retry_limit) in [0, 1, 2].into_iter().flat_map(|a| [0, 1, 2].map(|l| (a, l))) {
            if *state == StepState::InProgress && attempts == 0 {
                continue;
            }
            for bits in 0..16usize {
                let flag = |n: usize| flags[bits >> n & 1];
                for due in [-1, 0, 1] {
                    let mut step = StepCase::new(*state, attempts);
                    (step.retry_limit, step.retryable, step.permanent) = (retry_limit, flag(0), flag(1));
                    (step.held, step.paused, step.due) = (flag(2), flag(3), due);
                    let mut task = TaskCase::new(vec![step]);
                    if due != 0 && !task.is_claimable(&task.steps[0]) {
                        continue; // It has no instant.
                    }
                    for state in TaskState::ALL {
                        task.state = *state;
                        all.insert(task.clone());
                    }
                    all.insert(TaskCase { paused: true, state: TaskState::Pending, ..task.clone() });
                    all.insert(TaskCase { queue_paused: true, state: TaskState::InProgress, ..task });
                }
            }
        }
    }
    all
}

/// Steps that differ in what they mean to their children and to their task.
fn kinds_of_steps() -> Vec<StepCase> {
    let step = StepCase::new;
    use StepState::*;
    vec![
        step(Pending, 0),
        StepCase { due: 1, ..step(Pending, 1) },
        step(Pending, 3),
        StepCase { held: true, ..step(Pending, 0) },
        step(InProgress, 1),
        step(Error, 1),
        StepCase { due: 1, ..step(Error, 1) },
        step(Error, 3),
        StepCase { permanent: true, ..step(Error, 1) },
        step(Complete, 1),
        step(Cancelled, 0),
        step(ResolvedManually, 0),
    ]
}

/// Every DAG of two and of three steps, each step of every kind.
fn small_tasks() -> Vec<TaskCase> {
    let kinds = kinds_of_steps();
    let mut all = vec![];
    for one in &kinds {
        for two in &kinds {
            for edge in [&[][..], &[0]] {
                all.push(TaskCase::new(vec![one.clone(), two.clone().below(edge)]));
                for three in &kinds {
                    for parents in [&[][..], &[0], &[1], &[0, 1]] {
                        let steps = vec![one.clone(), two.clone().below(edge), three.clone().below(parents)];
                        all.push(TaskCase::new(steps));
                    }
                }
            }
        }
    }
    all
}

type Row = (i64, i64, String, bool, bool, bool, bool, i32, i32, String);

#[test]
fn every_small_task_is_judged_as_the_rule_says() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let mut tasks: Vec<_> = single_steps().into_iter().collect();
    tasks.extend(small_tasks());
    tasks.push(TaskCase::new(vec![]));
    assert!(tasks.len() > 20_000, "{}", tasks.len());
    write(conn, &tasks);

    let ids: Vec<i64> = (1..=tasks.len() as i64).collect();
    let rows: Vec<Row> = readiness(Some(&ids), noon())
        .select((
            readiness::task_id,
            readiness::workflow_step_id,
            readiness::current_state,
            readiness::dependencies_satisfied,
            readiness::retry_eligible,
            readiness::ready_for_execution,
            readiness::retry_due,
            readiness::total_parents,
            readiness::completed_parents,
            readiness::detail,
        ))
        .load(conn)
        .unwrap();
    let expected = (1i64..).zip(&tasks).flat_map(|(id, t)| t.steps.iter().map(move |s| (id, t, s)));
    let (mut compared, mut ready) = (0, 0);
    for ((place, row), (id, task, step)) in (1i64..).zip(&rows).zip(expected) {
        let (task_id, step_id, state, satisfied, eligible, is_ready, due, total, completed, detail) = row;
        let pending = task.pending_parents(step);
        assert_eq!((*task_id, *step_id, state.as_str()), (id, place, step.state.as_str()));
        assert_eq!(*is_ready, task.is_ready(step), "{step:?} in {task:?}");
        assert_eq!(*satisfied, pending == 0, "{step:?} in {task:?}");
        assert_eq!(*eligible, step.attempts < step.retry_limit, "{step:?}");
        assert_eq!(*due, task.is_claimable(step) && step.due <= 0, "{step:?} in {task:?}");
        assert_eq!(
            (*total as usize, *completed as usize),
            (step.parents.len(), step.parents.len() - pending)
        );
        // The one word is a true one, and there is none to give exactly where the step is ready.
        let reasons = task.reasons(step);
        assert_eq!(reasons.is_empty(), *is_ready, "{step:?} in {task:?}");
        assert_eq!(detail == "ready", *is_ready);
        assert!(
            *is_ready || reasons.contains(&detail.as_str()),
            "{detail}, not one of {reasons:?}: {step:?} in {task:?}"
        );
        compared += 1;
        ready += i32::from(*is_ready);
    }
    assert_eq!(compared, tasks.iter().map(|t| t.steps.len()).sum::<usize>());
    assert!(ready > 4_000, "{ready}");

    let ids: Vec<TaskId> = ids.into_iter().map(TaskId).collect();
    let contexts = TaskExecutionContext::for_tasks(conn, Some(&ids), Some(noon())).unwrap();
    assert_eq!(contexts.len(), tasks.len());
    for (context, task) in contexts.iter().zip(&tasks) {
        assert_eq!(Standing::from(context), task.standing(), "{task:?}");
        assert_eq!(context.status, task.state);
        let first = task.steps.iter().any(|s| s.due > 0).then(|| noon() + chrono::TimeDelta::seconds(1));
        assert_eq!(context.next_retry_at, first.filter(|_| context.waiting_for_retry_steps > 0), "{task:?}");
    }

    // Every open one is what no ids mean.
    let open = |id: TaskId| tasks[id.0 as usize - 1].state.is_open();
    let all_open = TaskExecutionContext::for_tasks(conn, None, Some(noon())).unwrap();
    assert_eq!(all_open, contexts.into_iter().filter(|c| open(c.task_id)).collect::<Vec<_>>());
    let steps = StepReadinessStatus::for_tasks(conn, None, Some(noon())).unwrap();
    assert_eq!(steps.len(), tasks.iter().filter(|t| t.state.is_open()).map(|t| t.steps.len()).sum::<usize>());
    for step in &steps {
        assert!(open(step.task_id));
        assert_eq!(step.blocking_reason().is_none(), step.ready_for_execution);
    }
}

/// The cases and answers of the directory that `TASKER_ORACLE` names, else of one beside the project.
fn recorded() -> Option<Vec<(Value, Value)>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle");
    let directory = std::env::var_os("TASKER_ORACLE").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let read = |file: &str| -> Option<Vec<Value>> {
        let text = fs::read_to_string(directory.join(file)).ok()?;
        Some(
            text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{file}: {e}"))).collect(),
        )
    };
    Some(read("cases.jsonl")?.into_iter().zip(read("expected.jsonl")?).collect())
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn the_recorded_answers_are_ours() {
    let Some(cases) = recorded() else {
        eprintln!("skipped: TASKER_ORACLE names no directory with cases.jsonl and expected.jsonl");
        return;
    };
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let tasks: Vec<_> = cases.iter().map(|(case, _)| read_case(case).unwrap()).collect();
    write(conn, &tasks);
    let mut differences = vec![];
    for (id, (case, expected)) in (1i64..).zip(&cases) {
        assert_eq!(case["id"], expected["id"]);
        let ours = answer(conn, TaskId(id), case).unwrap();
        let mut compare = |what: String, ours: &Value, theirs: &Value| {
            if as_text(ours) != as_text(theirs) {
                differences.push(format!("case {}: {what} is {ours}, recorded is {theirs}", case["id"]));
            }
        };
        for (step, fields) in expected["steps"].as_object().expect("steps") {
            for (field, theirs) in fields.as_object().expect("fields") {
                compare(format!("{step}.{field}"), &ours["steps"][step][field], theirs);
            }
            compare(format!("{step}'s level"), &ours["levels"][step], &expected["levels"][step]);
        }
        for (field, theirs) in expected["context"].as_object().expect("fields") {
            compare(field.clone(), &ours["context"][field], theirs);
        }
    }
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

/// Percentages are written with more or fewer decimals.
fn as_text(value: &Value) -> String {
    let number = value.as_str().and_then(|t| t.parse::<f64>().ok());
    number.map_or_else(|| value.to_string(), |n| format!("{n:.2}"))
}
