//! Retention: what goes goes whole, nothing goes that somebody works on, and nobody waits for it.

mod support;

use std::sync::{
    Barrier,
    atomic::{AtomicBool, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::PgConnection;
use serde_json::json;
use support::{Bench, execute, fail_fast, number, parts, persist, register, texts};
use tasker_engine::{
    commands,
    definition::WorkflowDefinition,
    identity::Identity,
    retention::{Pruned, Pruning, RetentionPolicy, prunable},
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, StepState, TaskId, TaskState, annotate};

fn later() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

/// Every finished state, whatever its age.
fn everything() -> RetentionPolicy {
    let mut policy = RetentionPolicy::before(later());
    policy.states.push(TaskState::Error);
    policy
}

fn prune(conn: &mut PgConnection, policy: RetentionPolicy) -> Pruned {
    let mut pruning = Pruning::new(policy);
    while pruning.next(conn).unwrap().is_some() {}
    pruning.total()
}

/// The tables that still have a row of the task.
fn traces(conn: &mut PgConnection, task: TaskId) -> Vec<String> {
    let tables = texts(
        conn,
        "select table_name::text from information_schema.columns
         where table_schema = 'tasker' and column_name = 'task_id'",
    );
    let mut has = |table: &String| {
        number(conn, &format!("select count(*) from tasker.{table} where task_id = {task}")) > 0
    };
    tables.into_iter().filter(|table| has(table)).collect()
}

/// A task in error that has a row in every table: held, retried, noted.
fn in_error(bench: &mut Bench) -> TaskId {
    let (task, claims) = bench.started();
    bench.fail(claims["a"], FailureKind::Permanent);
    for (_, claim) in claims.into_iter().filter(|(name, _)| name != "a") {
        bench.complete(claim);
    }
    annotate(&mut bench.conn, task, "note", &json!({ "by": "ann" })).unwrap();
    assert_eq!(bench.state(task), TaskState::Error);
    task
}

#[test]
fn a_task_goes_with_everything_that_belongs_to_it() {
    let mut bench = Bench::with(fail_fast(&[("a", &[]), ("b", &[]), ("c", &["b"])]));
    let task = in_error(&mut bench);
    let other = bench.submit();
    assert_eq!(traces(&mut bench.conn, task).len(), 7, "a table that this test does not fill");
    let gone = prune(&mut bench.conn, everything());
    assert_eq!((gone.tasks, gone.steps), (1, 3));
    assert_eq!(traces(&mut bench.conn, task), [""; 0]);
    assert_eq!(bench.state(other), TaskState::Pending);
    bench.database.assert_sound();
}

#[test]
fn its_identity_is_free_again() {
    let mut bench = Bench::new(&[]);
    let ask = |bench: &mut Bench| {
        submit(&mut bench.conn, &bench.definition, &[TaskRequest::new(json!({}))], &Identity::Hash, None)
            .unwrap()[0]
    };
    let first = ask(&mut bench);
    assert!(!ask(&mut bench).created);
    prune(&mut bench.conn, everything());
    let second = ask(&mut bench);
    assert!(second.created && second.task_id > first.task_id);
}

#[test]
fn the_policy_is_kept_to() {
    let mut bench = Bench::new(&[("a", &[])]);
    let failed = in_error(&mut bench);
    let (cancelled, open) = (bench.submit(), bench.submit());
    commands::cancel(&mut bench.conn, &[cancelled], "ann", None, None).unwrap();
    let finished = bench.task(cancelled).finished_at.unwrap();

    assert_eq!(prune(&mut bench.conn, RetentionPolicy::before(finished)).tasks, 0, "not older than itself");
    let other = RetentionPolicy { namespaces: Some(vec!["other".into()]), ..everything() };
    assert!(prunable(&mut bench.conn, &other).unwrap().is_empty());
    assert_eq!(prune(&mut bench.conn, other).tasks, 0);
    let mine = RetentionPolicy {
        namespaces: Some(vec!["other".into(), "default".into()]),
        ..RetentionPolicy::before(later())
    };
    let found = prunable(&mut bench.conn, &mine).unwrap();
    assert_eq!((found.len(), found[0].state, found[0].tasks), (1, TaskState::Cancelled, 1));
    assert_eq!((found[0].first_finished_at, found[0].last_finished_at), (finished, finished));
    assert_eq!(prune(&mut bench.conn, mine).tasks, 1);
    assert_eq!(bench.state(failed), TaskState::Error);
    assert_eq!(bench.state(open), TaskState::Pending);
    let refused = Pruning::new(RetentionPolicy { states: vec![TaskState::InProgress], ..everything() })
        .next(&mut bench.conn)
        .unwrap_err();
    assert_eq!(refused.to_string(), "tasks that are in_progress are not pruned");
}

#[test]
fn a_batch_is_bounded_in_tasks_and_in_steps() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let tasks: Vec<TaskId> = (0..7).map(|_| bench.submit()).collect();
    bench.drain();
    let mut batches = |batch, batch_steps| {
        bench.begin();
        let mut pruning = Pruning::new(RetentionPolicy { batch, batch_steps, ..everything() });
        let mut sizes = vec![];
        while let Some(gone) = pruning.next(&mut bench.conn).unwrap() {
            sizes.push(gone.tasks);
        }
        execute(&mut bench.conn, "rollback");
        sizes
    };
    assert_eq!(batches(3, 1_000), [3, 3, 1]);
    assert_eq!(batches(100, 5), [2, 2, 2, 1]);
    assert_eq!(batches(100, 1), [1; 7]);
    // The first to finish goes first.
    let mut pruning = Pruning::new(RetentionPolicy { batch: 1, ..everything() });
    pruning.next(&mut bench.conn).unwrap();
    assert!(traces(&mut bench.conn, tasks[0]).is_empty() && !traces(&mut bench.conn, tasks[1]).is_empty());
}

/// An operation that has the task in its open transaction is neither waited for nor overtaken.
#[test]
fn a_task_that_is_being_retried_is_passed_over() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let task = in_error(&mut bench);
    bench.begin();
    let retried = commands::retry(&mut bench.conn, &[task], "ann", None, None).unwrap();
    assert_eq!(retried[0].outcome, "retried");
    let mut other = bench.database.connection();
    execute(&mut other, "set lock_timeout = '1ms'");
    assert_eq!(prune(&mut other, everything()).tasks, 0);
    bench.commit();
    assert_eq!(prune(&mut other, everything()).tasks, 0);
    assert_eq!(bench.drain(), ["a", "b"]);
    assert_eq!(prune(&mut other, everything()).tasks, 1);
}

/// Operations lock steps first: one that has come so far would wait for the task, and pruning for its steps.
#[test]
fn a_task_whose_step_is_locked_is_passed_over() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let (task, next) = (in_error(&mut bench), in_error(&mut bench));
    bench.begin();
    let lock =
        format!("select from tasker.workflow_steps where task_id = {task} and state = 'error' for update");
    execute(&mut bench.conn, &lock);
    let mut other = bench.database.connection();
    execute(&mut other, "set lock_timeout = '1ms'");
    assert_eq!(prune(&mut other, everything()).tasks, 1);
    bench.commit();
    assert!(traces(&mut other, next).is_empty() && !traces(&mut other, task).is_empty());
    bench.database.assert_sound();
}

#[test]
fn who_comes_after_it_finds_nothing() {
    type Operation = fn(&mut PgConnection, TaskId, tasker_model::StepId) -> commands::Outcome;
    let operations: [Operation; 4] = [
        |conn, task, _| persist(|| commands::retry(conn, &[task], "ann", None, None)).remove(0).outcome,
        |conn, task, _| persist(|| commands::cancel(conn, &[task], "ann", None, None)).remove(0).outcome,
        |conn, task, step| {
            persist(|| commands::retry_single(conn, &[(task, step)], "ann", None, None)).remove(0).outcome
        },
        |conn, task, step| {
            persist(|| commands::resolve(conn, &[(task, step, None)], "ann", None, None)).remove(0).outcome
        },
    ];
    for operation in operations {
        let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
        let task = in_error(&mut bench);
        let step = bench.id(task, "a");
        bench.begin();
        assert_eq!(prune(&mut bench.conn, everything()).tasks, 1);
        let other = bench.blocked(move |conn| operation(conn, task, step));
        bench.commit();
        assert_eq!(other.join().unwrap(), "not_found");
        assert_eq!(traces(&mut bench.conn, task), [""; 0]);
    }
}

#[test]
fn a_late_report_of_a_pruned_step_is_refused() {
    let mut bench = Bench::new(&[("a", &[])]);
    let (task, claims) = bench.started();
    commands::cancel(&mut bench.conn, &[task], "ann", None, None).unwrap();
    assert_eq!(prune(&mut bench.conn, everything()).tasks, 1);
    let claim = claims["a"];
    assert_eq!(commands::lost(&mut bench.conn, &[claim]).unwrap(), [claim.step_id]);
    assert!(bench.complete(claim).accepted.is_empty());
    assert!(bench.fail(claim, FailureKind::Retryable).accepted.is_empty());
    assert!(commands::release(&mut bench.conn, &[claim], None, None).unwrap().accepted.is_empty());
}

/// A session that dies in the middle of a batch leaves every task of it whole.
#[test]
fn a_crash_undoes_the_batch_that_it_met() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    for _ in 0..6 {
        bench.submit();
    }
    bench.drain();
    let mut victim = bench.database.connection();
    let mut pruning = Pruning::new(RetentionPolicy { batch: 2, ..everything() });
    pruning.next(&mut victim).unwrap();
    execute(&mut victim, "begin");
    assert_eq!(pruning.next(&mut victim).unwrap().unwrap().tasks, 2);
    let pid = number(&mut victim, "select pg_backend_pid()::bigint");
    number(&mut bench.conn, &format!("select pg_terminate_backend({pid}, 10000)::int::bigint"));
    assert!(pruning.next(&mut victim).is_err());
    assert_eq!(number(&mut bench.conn, "select count(*) from tasker.tasks"), 4);
    bench.database.assert_sound();
    assert_eq!(prune(&mut bench.conn, everything()).tasks, 4);
}

/// Sessions that run, fail, retry, resolve and prune the same tasks at once: whatever an operation says it did is
/// there to see, and what is left is sound.
#[test]
fn pruning_beside_everything_else_leaves_only_whole_tasks() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"]), ("c", &["a"])]);
    let (database, stop, start) = (&bench.database, &AtomicBool::new(false), &Barrier::new(5));
    let definition = &bench.definition;
    std::thread::scope(|scope| {
        let load = scope.spawn(move || {
            let mut conn = database.connection();
            let worker = register(&mut conn, 3_600_000);
            start.wait();
            for round in 0..60 {
                let requests = vec![TaskRequest::new(json!({})); 5];
                submit(&mut conn, definition, &requests, &Identity::Random, None).unwrap();
                let steps = persist(|| commands::claim(&mut conn, worker, 20, None));
                for (i, step) in steps.into_iter().enumerate() {
                    let claim = step.claim();
                    if (i + round) % 7 == 0 {
                        persist(|| {
                            commands::fail(&mut conn, &[support::failed(claim, FailureKind::Permanent)], None)
                        });
                    } else {
                        persist(|| commands::complete(&mut conn, &[(claim, json!({}))], None));
                    }
                }
            }
            stop.store(true, Ordering::Release);
        });
        for resolves in [false, true] {
            scope.spawn(move || {
                let mut conn = database.connection();
                start.wait();
                while !stop.load(Ordering::Acquire) {
                    operate(&mut conn, resolves);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(move || {
                let mut conn = database.connection();
                start.wait();
                while !stop.load(Ordering::Acquire) {
                    prune(&mut conn, RetentionPolicy { batch: 7, ..everything() });
                }
            });
        }
        load.join().unwrap();
    });
    bench.database.assert_sound();
    bench.drain();
    bench.database.assert_sound();
    prune(&mut bench.conn, everything());
    assert_eq!(number(&mut bench.conn, "select count(*) from tasker.tasks"), 0);
}

/// Retries or resolves a task in error. One that was retried cannot be finished again without a report.
fn operate(conn: &mut PgConnection, resolves: bool) {
    let sql = "select task_id::text || ' ' || workflow_step_id from tasker.workflow_steps where state = 'error' limit 1";
    let Some(found) = texts(conn, sql).pop() else { return };
    let (task, step) = found.split_once(' ').unwrap();
    let (task, step) = (TaskId(task.parse().unwrap()), tasker_model::StepId(step.parse().unwrap()));
    if resolves {
        persist(|| commands::resolve(conn, &[(task, step, None)], "ann", None, None));
    } else {
        persist(|| commands::retry(conn, &[task], "bob", None, None));
    }
}

fn text(bench: &Bench, description: &str) -> WorkflowDefinition {
    let mut parts = parts(&[("a", &[])]);
    parts.description = Some(description.into());
    assert_eq!(parts.name, bench.definition.name());
    WorkflowDefinition::new(parts).unwrap()
}

#[test]
fn workers_and_texts_that_nothing_needs_go_too() {
    let mut bench = Bench::new(&[("a", &[])]);
    let (first, second, third) = (text(&bench, "1"), text(&bench, "2"), text(&bench, "3"));
    let register = tasker_engine::submit::register;
    register(&mut bench.conn, &first).unwrap();
    bench.definition = second.clone();
    let kept = register(&mut bench.conn, &second).unwrap();
    let task = bench.submit();
    let latest = register(&mut bench.conn, &third).unwrap();
    let ended = support::register(&mut bench.conn, 1_000);
    commands::end_worker(&mut bench.conn, ended, None).unwrap();

    let before = RetentionPolicy::before(Utc::now() - TimeDelta::hours(1));
    assert_eq!(prune(&mut bench.conn, before), Pruned::default(), "they are too young");
    let gone = prune(&mut bench.conn, everything());
    assert_eq!(gone, Pruned { workers: 1, definitions: 1, ..Pruned::default() });
    let left = texts(&mut bench.conn, "select definition_id::text from tasker.task_definitions order by 1");
    assert_eq!(left, [kept.to_string(), latest.to_string()]);
    bench.drain();
    assert_eq!(bench.step_state(task, "a"), StepState::Complete);
    // What went is written anew when somebody brings it again.
    assert!(register(&mut bench.conn, &first).unwrap() > latest);
}

#[test]
fn a_text_that_is_being_submitted_stays() {
    let mut bench = Bench::new(&[("a", &[])]);
    let (old, new) = (text(&bench, "1"), text(&bench, "2"));
    let register = tasker_engine::submit::register;
    let id = register(&mut bench.conn, &old).unwrap();
    register(&mut bench.conn, &new).unwrap();
    let mut other = bench.database.connection();
    bench.begin();
    assert_eq!(register(&mut bench.conn, &old).unwrap(), id);
    assert_eq!(prune(&mut other, everything()).definitions, 0);
    bench.commit();

    // The other way round: who comes second writes it anew.
    bench.begin();
    assert_eq!(prune(&mut bench.conn, everything()).definitions, 1);
    let again = bench.blocked(move |conn| register(conn, &old).unwrap());
    bench.commit();
    assert!(again.join().unwrap() > id);
}

/// What a batch reads does not grow with the history: neither with what it keeps nor with what is not yet old.
#[test]
fn a_batch_reads_what_it_deletes() {
    let mut bench = Bench::new(&[("a", &[]), ("b", &["a"])]);
    let requests = vec![TaskRequest::new(json!({})); 4_000];
    let submitted = submit(&mut bench.conn, &bench.definition, &requests, &Identity::Random, None).unwrap();
    let ids: Vec<TaskId> = submitted.iter().map(|s| s.task_id).collect();
    // The first thousand are in error, which is kept; the rest are cancelled, half of it lately.
    for step in bench.claim(1_000) {
        bench.fail(step.claim(), FailureKind::Permanent);
    }
    let now = Utc::now();
    let old = now - TimeDelta::days(40);
    commands::cancel(&mut bench.conn, &ids[1_000..2_500], "ann", None, Some(old)).unwrap();
    commands::cancel(&mut bench.conn, &ids[2_500..], "ann", None, Some(now)).unwrap();
    execute(&mut bench.conn, "analyze");
    bench.begin();
    let policy = RetentionPolicy { batch: 50, ..RetentionPolicy::before(now - TimeDelta::days(30)) };
    let mut pruning = Pruning::new(policy);
    let sql = |what: &str| {
        format!(
            "select coalesce(sum({what}), 0)::bigint from pg_stat_xact_user_tables where schemaname = 'tasker' and relname in
             ('tasks', 'workflow_steps', 'workflow_step_edges', 'workflow_step_transitions', 'task_transitions')"
        )
    };
    // The counts of earlier transactions may still stand in them.
    let counted = |conn: &mut PgConnection| {
        ["seq_scan", "seq_tup_read + coalesce(idx_tup_fetch, 0)"].map(|what| number(conn, &sql(what)))
    };
    let before = counted(&mut bench.conn);
    assert_eq!(pruning.next(&mut bench.conn).unwrap().unwrap().tasks, 50);
    let after = counted(&mut bench.conn);
    assert_eq!(after[0], before[0]);
    let rows = after[1] - before[1];
    // 50 tasks, 100 steps, 50 edges and as many transitions, looked at a few times each.
    assert!(rows <= 2_500, "{rows} rows");
    execute(&mut bench.conn, "rollback");
}
