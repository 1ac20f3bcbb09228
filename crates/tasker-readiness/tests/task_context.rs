//! `get_task_execution_context` and its batch form.

mod support;

use diesel::PgConnection;
use support::{Standing, StepCase, TaskCase, noon, submit_one, workflow, write};
use tasker_engine::{
    commands::{self, FailedAttempt},
    definition::StepDefinition,
};
use tasker_model::{
    FailureKind,
    StepState::{self, Cancelled, Complete, Error, InProgress, Pending, ResolvedManually},
    TaskId, TaskState,
};
use tasker_readiness::TaskExecutionContext;
use tasker_testkit::{TestDatabase, shapes};

fn find(conn: &mut PgConnection, task: TaskId) -> TaskExecutionContext {
    TaskExecutionContext::find(conn, task, Some(noon())).unwrap_or_else(|e| panic!("{e}")).expect("the task")
}

#[test]
fn a_fresh_task_has_work_to_do() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = submit_one(conn, &shapes::dummy().definition);
    let context = find(conn, task);
    assert_eq!((context.task_id, context.status), (task, TaskState::Pending));
    assert_eq!(
        Standing::from(&context),
        Standing {
            counts: [4, 4, 0, 0, 0, 2, 0, 0, 0, 0],
            words: ["has_ready_steps", "execute_ready_steps", "healthy", "has_ready_steps"]
                .map(str::to_owned),
        }
    );
    assert_eq!((context.completion_percentage, context.next_retry_at), (0.0, None));
    assert!(
        context.has_work_to_do() && context.is_healthy() && !context.is_blocked() && !context.is_complete()
    );
    assert_eq!(TaskExecutionContext::find(conn, TaskId(-1), Some(noon())).unwrap(), None);
    assert_eq!(TaskExecutionContext::find(conn, task, None).unwrap().map(|c| c.total_steps), Some(4));
}

#[test]
fn every_step_is_in_one_bucket() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let states = StepState::ALL;
    let mut tasks = vec![];
    for one in states {
        for two in states {
            for three in states {
                tasks.push(TaskCase::new([one, two, three].map(|s| StepCase::new(*s, 1)).to_vec()));
            }
        }
    }
    write(conn, &tasks);
    let contexts = TaskExecutionContext::for_tasks(conn, None, Some(noon())).unwrap();
    assert_eq!(contexts.len(), tasks.len());
    for c in contexts {
        let buckets =
            c.pending_steps + c.in_progress_steps + c.completed_steps + c.failed_steps + c.cancelled_steps;
        assert_eq!((buckets, c.total_steps), (3, 3), "{c:?}");
    }
}

/// The situations of the original's table, with the answers that ours corrects.
#[test]
fn each_situation_has_its_words() {
    let step = StepCase::new;
    let waiting = || StepCase { due: 60, ..step(Error, 1) };
    let not_retryable = || StepCase { retryable: false, ..step(Error, 1) };
    let permanent = || StepCase { permanent: true, ..step(Error, 1) };
    let (processing, blocked, waits) = (
        ["processing", "wait_for_completion"],
        ["blocked_by_failures", "handle_failures"],
        ["waiting_for_dependencies", "wait_for_dependencies"],
    );
    let (run, done) = (["has_ready_steps", "execute_ready_steps"], ["all_complete", "finalize_task"]);
    let paused = TaskCase { paused: true, ..TaskCase::new(vec![step(Pending, 0), step(Complete, 1)]) };
    let held = |s: StepCase| StepCase { held: true, ..s };
    let situations: Vec<(&str, TaskCase, [&str; 2], &str, &str, f64)> = vec![
        (
            "retryable error in backoff",
            TaskCase::new(vec![waiting()]),
            waits,
            "recovering",
            "waiting_for_retry",
            0.0,
        ),
        (
            "error whose time has come",
            TaskCase::new(vec![step(Error, 1)]),
            run,
            "recovering",
            "has_ready_steps",
            0.0,
        ),
        (
            "error, not retryable, attempts 1 of 3",
            TaskCase::new(vec![not_retryable()]),
            blocked,
            "blocked",
            "blocked_by_failures",
            0.0,
        ),
        ("permanent error", TaskCase::new(vec![permanent()]), blocked, "blocked", "blocked_by_failures", 0.0),
        (
            "exhausted alone",
            TaskCase::new(vec![step(Error, 3)]),
            blocked,
            "blocked",
            "blocked_by_failures",
            0.0,
        ),
        (
            "exhausted and a sibling in backoff",
            TaskCase::new(vec![step(Error, 3), waiting()]),
            waits,
            "blocked",
            "waiting_for_retry",
            0.0,
        ),
        (
            "exhausted and one in progress",
            TaskCase::new(vec![step(Error, 3), step(InProgress, 1)]),
            processing,
            "blocked",
            "processing",
            0.0,
        ),
        (
            "exhausted and one ready",
            TaskCase::new(vec![step(Error, 3), step(Pending, 0)]),
            run,
            "recovering",
            "has_ready_steps",
            0.0,
        ),
        (
            "exhausted with a child",
            TaskCase::new(vec![step(Error, 3), step(Pending, 0).below(&[0])]),
            blocked,
            "blocked",
            "blocked_by_failures",
            0.0,
        ),
        (
            "complete and cancelled",
            TaskCase::new(vec![step(Complete, 1), step(Cancelled, 0)]),
            blocked,
            "healthy",
            "blocked_by_failures",
            50.0,
        ),
        ("no steps", TaskCase::new(vec![]), done, "healthy", "all_complete", 0.0),
        (
            "all done",
            TaskCase::new(vec![step(Complete, 1), step(ResolvedManually, 0)]),
            done,
            "healthy",
            "all_complete",
            100.0,
        ),
        (
            "pending with no attempt left",
            TaskCase::new(vec![step(Pending, 3)]),
            blocked,
            "healthy",
            "blocked_by_failures",
            0.0,
        ),
        (
            "in progress and a child",
            TaskCase::new(vec![step(InProgress, 1), step(Pending, 0).below(&[0])]),
            processing,
            "healthy",
            "processing",
            0.0,
        ),
        ("a paused task", paused, waits, "healthy", "held", 50.0),
        (
            "fail-fast",
            TaskCase::new(vec![held(step(Error, 3)), held(step(Pending, 0))]),
            blocked,
            "blocked",
            "blocked_by_failures",
            0.0,
        ),
    ];
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    write(conn, &situations.iter().map(|s| s.1.clone()).collect::<Vec<_>>());
    for (id, (name, task, [execution, action], health, detailed, percentage)) in (1i64..).zip(situations) {
        let context = find(conn, TaskId(id));
        assert_eq!(
            [
                &*context.execution_status,
                &*context.recommended_action,
                &*context.health_status,
                &*context.detailed_status
            ],
            [execution, action, health, detailed],
            "{name}"
        );
        assert_eq!(context.completion_percentage, percentage, "{name}");
        assert_eq!(Standing::from(&context), task.standing(), "{name}");
    }
}

#[test]
fn the_batch_is_the_union_of_the_singles() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let definition = shapes::dummy().definition;
    let ids: Vec<TaskId> = (0..3).map(|_| submit_one(conn, &definition)).collect();
    commands::cancel(conn, &ids[1..2], "ada", None, Some(noon())).unwrap();
    let singles: Vec<_> = ids.iter().map(|id| find(conn, *id)).collect();
    let mut batch =
        |ids: Option<&[TaskId]>| TaskExecutionContext::for_tasks(conn, ids, Some(noon())).unwrap();
    assert_eq!(batch(Some(&ids)), singles);
    assert_eq!(batch(Some(&[ids[2], ids[0], ids[1], ids[0]])), singles, "by id, each once");
    assert_eq!(batch(Some(&[])), []);
    assert_eq!(batch(Some(&[TaskId(-1), ids[2]])), singles[2..]);
    assert_eq!(batch(None), [singles[0].clone(), singles[2].clone()], "the open ones");
    assert_eq!(TaskExecutionContext::for_tasks(conn, None, None).unwrap().len(), 2);
}

/// Every share of up to thirty steps, as PostgreSQL rounds it.
#[test]
fn the_percentage_has_two_decimals() {
    let mut tasks = vec![];
    for total in 1..=30 {
        for done in 0..=total {
            let mut steps = vec![StepCase::new(Complete, 1); done];
            steps.resize(total, StepCase::new(Pending, 0));
            tasks.push(TaskCase::new(steps));
        }
    }
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    write(conn, &tasks);
    let contexts = TaskExecutionContext::for_tasks(conn, None, Some(noon())).unwrap();
    assert_eq!(contexts.len(), tasks.len());
    for c in contexts {
        // Half up, in whole numbers: hundredths of a per cent.
        let hundredths = (c.completed_steps * 20_000 + c.total_steps) / (2 * c.total_steps);
        assert_eq!(
            c.completion_percentage,
            hundredths as f64 / 100.0,
            "{} of {}",
            c.completed_steps,
            c.total_steps
        );
    }
}

/// From submission to the end, by the commands.
#[test]
fn a_run_goes_through_its_situations() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let parent = StepDefinition::new("parent", "h");
    let child = StepDefinition { depends_on: vec!["parent".into()], ..StepDefinition::new("child", "h") };
    let task = submit_one(conn, &workflow("t", vec![parent, child]));
    let worker =
        commands::register(conn, "test", None, &["h".to_owned()], 86_400_000, Some(noon())).unwrap().0;
    let situation = |conn: &mut PgConnection| (find(conn, task).status, find(conn, task).detailed_status);
    assert_eq!(situation(conn), (TaskState::Pending, "has_ready_steps".into()));
    let claimed = commands::claim(conn, worker, 10, Some(noon())).unwrap();
    assert_eq!(situation(conn), (TaskState::InProgress, "processing".into()));
    let failed = FailedAttempt {
        claim: claimed[0].claim(),
        kind: FailureKind::Retryable,
        delay_ms: 250,
        message: "no".into(),
    };
    commands::fail(conn, &[failed], Some(noon())).unwrap();
    assert_eq!(
        situation(conn),
        (TaskState::InProgress, "waiting_for_retry".into()),
        "a started task stays so while it waits"
    );
    let at = noon() + chrono::TimeDelta::milliseconds(250);
    assert_eq!(find(conn, task).next_retry_at, Some(at));
    for percentage in [0.0, 50.0] {
        let context = TaskExecutionContext::find(conn, task, Some(at)).unwrap().expect("the task");
        assert_eq!(
            (context.execution_status.as_str(), context.completion_percentage),
            ("has_ready_steps", percentage)
        );
        let claimed = commands::claim(conn, worker, 10, Some(at)).unwrap();
        commands::complete(conn, &[(claimed[0].claim(), serde_json::json!({}))], Some(at)).unwrap();
    }
    assert_eq!(situation(conn), (TaskState::Complete, "all_complete".into()));
    database.assert_sound();
}
