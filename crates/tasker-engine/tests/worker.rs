//! Workers on tokio: everything runs once, whatever ends, is ended or is lost on the way.

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{PgConnection, RunQueryDsl, sql_query, sql_types::BigInt};
use serde_json::{Value, json};
use support::{HANDLER, execute, number, parts, pool, texts};
use tasker_engine::{
    commands,
    definition::{BackoffPolicy, WorkflowDefinition, WorkflowParts},
    event::{Event, EventSink},
    handler::{Handler, HandlerRegistry, StepContext, StepError, StepResult},
    identity::Identity,
    submit::{TaskRequest, submit},
    worker::{Worker, WorkerOptions, WorkerReport},
};
use tasker_model::{StepId, TaskId, WorkerId};
use tasker_testkit::{TestDatabase, shapes};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const QUICK: BackoffPolicy = BackoffPolicy::Fixed { wait_ms: 20, jitter: 0.0 };

fn quick(parts: WorkflowParts, retry_limit: i32) -> WorkflowDefinition {
    let mut parts = parts;
    for step in &mut parts.steps {
        (step.backoff, step.retry_limit) = (QUICK, retry_limit);
    }
    WorkflowDefinition::new(parts).unwrap()
}

fn submit_many(conn: &mut PgConnection, definition: &WorkflowDefinition, count: usize) -> Vec<TaskId> {
    let requests = vec![TaskRequest::new(json!({})); count];
    let submitted = submit(conn, definition, &requests, &Identity::Random, None).unwrap();
    submitted.into_iter().map(|s| s.task_id).collect()
}

/// A worker that runs, with the events that it told of.
struct Running {
    task: JoinHandle<Result<WorkerReport, tasker_engine::db::DbError>>,
    shutdown: CancellationToken,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Running {
    fn start(database: &TestDatabase, registry: &HandlerRegistry, options: WorkerOptions) -> Self {
        let (events, shutdown) = (Arc::new(Mutex::new(vec![])), CancellationToken::new());
        let heard = events.clone();
        let sink = EventSink::new(move |event| heard.lock().unwrap().push(event.clone()));
        let options = WorkerOptions { events: sink, poll_max: Duration::from_millis(50), ..options };
        let db = pool(database, 6);
        let worker = Worker::new(db, registry.clone(), options);
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { worker.run(shutdown).await }
        });
        Self { task, shutdown, events }
    }

    async fn heard(&self, what: &str, is_it: impl Fn(&Event) -> bool) {
        let heard = || self.events.lock().unwrap().iter().any(&is_it);
        eventually(what, heard).await;
    }

    fn worker_id(&self) -> WorkerId {
        let id = |e: &Event| if let Event::WorkerStarted { worker_id } = e { Some(*worker_id) } else { None };
        self.events.lock().unwrap().iter().find_map(id).unwrap()
    }

    /// Its report, once it ends by itself.
    async fn ended(self) -> WorkerReport {
        let ended = tokio::time::timeout(Duration::from_secs(40), self.task).await;
        ended.expect("the worker ends").unwrap().unwrap()
    }

    async fn stop(self) -> WorkerReport {
        self.shutdown.cancel();
        self.ended().await
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn until_idle() -> WorkerOptions {
    WorkerOptions { until_idle: true, ..WorkerOptions::default() }
}

fn only(handler: impl tasker_engine::handler::StepHandler) -> HandlerRegistry {
    let mut registry = HandlerRegistry::new();
    registry.register(HANDLER, handler);
    registry
}

/// What became of each step, in the order of the steps.
fn rows(conn: &mut PgConnection) -> Vec<String> {
    let sql = "select format('%s %s %s', s.state, coalesce(s.failure_kind, '-'), s.attempts) from tasker.workflow_steps s order by workflow_step_id";
    texts(conn, sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_run_two_hundred_tasks_without_an_attempt_run_twice() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let executions = Arc::new(Mutex::new(HashMap::<(StepId, i32), u32>::new()));
    let mut registry = HandlerRegistry::new();
    let mut expected = 0;
    for shape in shapes::all() {
        let parts: WorkflowParts =
            serde_json::from_value(serde_json::to_value(&shape.definition).unwrap()).unwrap();
        submit_many(&mut conn, &quick(parts, 3), 40);
        expected += 40 * shape.attempts().map(|(_, attempts)| attempts as u64).sum::<u64>();
        let scripts = shape.registry();
        for name in scripts.names() {
            let Some(Handler::Async(inner)) = scripts.get(&name).cloned() else { unreachable!() };
            let executions = executions.clone();
            registry.register(name, move |context: StepContext| {
                *executions.lock().unwrap().entry((context.step_id, context.attempt)).or_default() += 1;
                inner.call(context)
            });
        }
    }
    let workers: Vec<_> = (0..3).map(|_| Running::start(&database, &registry, until_idle())).collect();
    let (mut completed, mut failed) = (0, 0);
    for worker in workers {
        let report = worker.ended().await;
        (completed, failed) = (completed + report.completed, failed + report.failed);
        assert_eq!((report.released, report.lease_lost, report.incarnations), (0, 0, 1));
    }
    assert_eq!(number(&mut conn, "select count(*) from tasker.tasks where state = 'complete'"), 200);
    assert_eq!(completed + failed, expected);
    let executions = executions.lock().unwrap();
    assert_eq!(executions.len() as u64, expected);
    assert!(executions.values().all(|n| *n == 1), "an attempt ran twice");
    let alive = "select count(*) from tasker.workers where ended_at is null or reaped_at is null";
    assert_eq!(number(&mut conn, alive), 0, "all have signed off");
    database.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_drains_and_gives_back_what_does_not_end() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    submit_many(&mut conn, &quick(parts(&[("ends", &[]), ("never", &[]), ("after", &["never"])]), 3), 1);
    let go = Arc::new(Notify::new());
    let registry = only({
        let go = go.clone();
        move |c: StepContext| {
            let go = go.clone();
            async move {
                match c.step_name.as_str() {
                    "ends" => go.notified().await,
                    // Observes its cancellation, without a result.
                    _ => {
                        c.cancellation.cancelled().await;
                        return Err(StepError::retryable("stopped"));
                    }
                }
                Ok(json!({}))
            }
        }
    });
    let options = WorkerOptions { drain: Duration::from_millis(300), ..WorkerOptions::default() };
    let worker = Running::start(&database, &registry, options);
    eventually("both to run", || {
        number(&mut conn, "select count(*) from tasker.workflow_steps where state = 'in_progress'") == 2
    })
    .await;
    worker.shutdown.cancel();
    go.notify_one();
    let report = worker.ended().await;
    assert_eq!((report.completed, report.released, report.failed), (1, 1, 0));
    assert_eq!(rows(&mut conn), ["complete - 1", "pending - 0", "pending - 0"]);
    database.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_ignores_its_cancellation_is_dropped_and_its_step_given_back() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    submit_many(&mut conn, &quick(parts(&[("deaf", &[])]), 3), 1);
    let registry = only(|_: StepContext| std::future::pending::<StepResult>());
    let options = WorkerOptions { drain: Duration::from_millis(10), ..WorkerOptions::default() };
    let worker = Running::start(&database, &registry, options);
    worker.heard("the claim", |e| matches!(e, Event::StepClaimed { .. })).await;
    assert_eq!(worker.stop().await.released, 1);
    assert_eq!(rows(&mut conn), ["pending - 0"]);
    database.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_and_timeouts_are_failures_that_the_worker_outlives() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let mut parts = parts(&[("panics", &[]), ("hangs", &[]), ("unstorable", &[]), ("fine", &[])]);
    parts.steps[1].timeout_ms = Some(50);
    submit_many(&mut conn, &quick(parts, 2), 1);
    let registry = only(|c: StepContext| async move {
        match c.step_name.as_str() {
            "panics" => panic!("made to panic"),
            "hangs" => std::future::pending().await,
            "unstorable" => Ok(json!("a\0b")),
            _ => Ok(json!({})),
        }
    });
    let report = Running::start(&database, &registry, until_idle()).ended().await;
    assert_eq!((report.completed, report.failed, report.incarnations), (1, 5, 1));
    assert_eq!(rows(&mut conn), ["error panic 2", "error timeout 2", "error permanent 1", "complete - 1"]);
    let errors = texts(
        &mut conn,
        "select last_error from tasker.workflow_steps where last_error is not null order by workflow_step_id",
    );
    assert_eq!(errors[0], "the handler panicked: made to panic");
    assert_eq!(errors[1], "the attempt took longer than its timeout of 50 ms");
    assert!(errors[2].contains("cannot be stored"), "{}", errors[2]);
    database.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_handler_learns_that_its_task_was_cancelled() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let task = submit_many(&mut conn, &quick(parts(&[("a", &[])]), 3), 1)[0];
    let observed = Arc::new(AtomicUsize::new(0));
    let registry = only({
        let observed = observed.clone();
        move |c: StepContext| {
            let observed = observed.clone();
            async move {
                c.cancellation.cancelled().await;
                observed.fetch_add(1, Ordering::SeqCst);
                Ok(json!("too late"))
            }
        }
    });
    let options = WorkerOptions { lease: Duration::from_millis(900), ..WorkerOptions::default() };
    let worker = Running::start(&database, &registry, options);
    worker.heard("the claim", |e| matches!(e, Event::StepClaimed { .. })).await;
    commands::cancel(&mut conn, &[task], "ann", None, None).unwrap();
    worker.heard("the refusal", |e| matches!(e, Event::LeaseLost { .. })).await;
    assert_eq!(observed.load(Ordering::SeqCst), 1);
    let report = worker.stop().await;
    assert_eq!((report.lease_lost, report.completed, report.incarnations), (1, 0, 1));
    assert_eq!(rows(&mut conn), ["cancelled - 1"]);
    database.assert_sound();
}

/// The incarnation is ended from outside; another worker runs the step; the first one's result comes late.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_registers_anew_and_its_late_result_is_refused() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    submit_many(&mut conn, &quick(parts(&[("a", &[])]), 3), 1);
    let second = Arc::new(Notify::new());
    let registry = only({
        let second = second.clone();
        move |c: StepContext| {
            let second = second.clone();
            async move {
                if c.attempt == 1 {
                    second.notified().await;
                }
                Ok(json!(c.attempt))
            }
        }
    });
    let options = || WorkerOptions { lease: Duration::from_millis(900), ..WorkerOptions::default() };
    let first = Running::start(&database, &registry, options());
    first.heard("the claim", |e| matches!(e, Event::StepClaimed { .. })).await;
    assert!(commands::end_worker(&mut conn, first.worker_id(), None).unwrap());
    let other = Running::start(&database, &registry, options());
    other.heard("the second attempt", |e| matches!(e, Event::StepCompleted { .. })).await;
    second.notify_one();
    let ended = first.worker_id();
    let renewed = |e: &Event| matches!(e, Event::WorkerStarted { worker_id } if *worker_id != ended);
    first.heard("the new incarnation", renewed).await;
    let report = first.stop().await;
    assert_eq!((report.completed, report.lease_lost, report.incarnations), (0, 1, 2));
    let report = other.stop().await;
    assert_eq!((report.completed, report.lease_lost, report.incarnations), (1, 0, 1));
    assert_eq!(rows(&mut conn), ["complete - 2"]);
    assert_eq!(number(&mut conn, "select (results)::bigint from tasker.workflow_steps"), 2);
    database.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_ends_only_when_nothing_can_come_any_more() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let nothing = Running::start(&database, &only(|_: StepContext| async { Ok(Value::Null) }), until_idle());
    assert_eq!(nothing.ended().await, WorkerReport { incarnations: 1, ..WorkerReport::default() });
    // A retry that is due later is waited for.
    let mut later = parts(&[("a", &[])]);
    later.steps[0].backoff = BackoffPolicy::Fixed { wait_ms: 400, jitter: 0.0 };
    submit_many(&mut conn, &WorkflowDefinition::new(later).unwrap(), 1);
    let registry = only(|c: StepContext| async move {
        if c.attempt == 1 { Err(StepError::retryable("not yet")) } else { Ok(json!({})) }
    });
    let report = Running::start(&database, &registry, until_idle()).ended().await;
    assert_eq!((report.completed, report.failed), (1, 1));
    assert_eq!(rows(&mut conn), ["complete - 2"]);
    database.assert_sound();
}

/// The connection is gone just when the worker asks whether anything is left.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_outlives_a_connection_that_is_terminated() {
    let database = TestDatabase::new();
    execute(
        &mut database.connection(),
        "create sequence public.calls;
         create or replace function tasker.is_drained(p_worker_id bigint) returns boolean language plpgsql as $$ begin
           if nextval('public.calls') <= 2 then perform pg_terminate_backend(pg_backend_pid()); end if;
           return true;
         end $$",
    );
    let worker = Running::start(&database, &only(|_: StepContext| async { Ok(Value::Null) }), until_idle());
    assert_eq!(worker.ended().await.incarnations, 1);
    assert_eq!(number(&mut database.connection(), "select last_value from public.calls"), 3);
}

/// A database that refuses every report for good ends the worker: what it claimed on would never end.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_can_never_report_ends_with_the_reason() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    submit_many(&mut conn, &quick(parts(&[("a", &[])]), 3), 1);
    for function in ["exchange_steps", "complete_steps", "fail_steps"] {
        execute(&mut conn, &format!("alter function tasker.{function} rename to {function}_gone"));
    }
    let registry = only(|_: StepContext| async { Ok(json!({})) });
    let worker = Running::start(&database, &registry, WorkerOptions::default());
    let ended = tokio::time::timeout(Duration::from_secs(20), worker.task).await;
    let error = ended.expect("the worker ends").unwrap().unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

/// The lease is an hour long: no renewal comes in the time of the test.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_hears_of_its_cancellation_without_a_renewal() {
    // Behind a pooler of transactions no notification arrives, and the renewal is what tells.
    if env!("CARGO_CRATE_NAME") == "pooler" {
        return;
    }
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let tasks = submit_many(&mut conn, &quick(parts(&[("a", &[])]), 3), 1);
    let (began, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begin, tell) = (began.clone(), told.clone());
    let registry = only(move |context: StepContext| {
        let (begin, tell) = (begin.clone(), tell.clone());
        async move {
            begin.fetch_add(1, Ordering::Relaxed);
            context.cancellation.cancelled().await;
            tell.fetch_add(1, Ordering::Relaxed);
            Ok(json!({}))
        }
    });
    let lease = Duration::from_secs(3_600);
    let worker = Running::start(&database, &registry, WorkerOptions { lease, ..WorkerOptions::default() });
    let listening = "select count(*) from pg_stat_activity where datname = current_database()
                     and application_name = 'tasker listener' and query like 'notify tasker%' and state = 'idle'";
    let patience = Instant::now();
    while number(&mut conn, listening) == 0 {
        // Through a transaction pooler nobody hears anything, and the renewals tell.
        if patience.elapsed() > Duration::from_secs(5) {
            return worker.shutdown.cancel();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually("the handler", || began.load(Ordering::Relaxed) == 1).await;
    commands::cancel(&mut conn, &tasks, "ann", None, None).unwrap();
    eventually("the cancellation", || told.load(Ordering::Relaxed) == 1).await;
    worker.shutdown.cancel();
    assert_eq!(worker.ended().await.lease_lost, 1);
}

/// Every connection to the database is terminated, again and again, while transactional handlers write.
#[tokio::test(flavor = "multi_thread")]
async fn everything_completes_once_though_the_connections_are_terminated() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    execute(&mut conn, "create table public.effects (step_id bigint)");
    let chain = parts(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])]);
    submit_many(&mut conn, &quick(chain, 1_000), 40);
    let mut registry = HandlerRegistry::new();
    registry.register_transactional(HANDLER, |conn: &mut PgConnection, c: &StepContext| {
        let insert = sql_query("insert into public.effects values ($1)").bind::<BigInt, _>(c.step_id.0);
        insert.execute(conn)?;
        sql_query("select pg_sleep(0.005)").execute(conn)?;
        Ok(json!({}))
    });
    let options = || WorkerOptions { lease: Duration::from_secs(2), ..until_idle() };
    let workers = [0, 1].map(|_| Running::start(&database, &registry, options()));
    for storm in 1..=8 {
        // Each time so much has been done, so that every storm meets work under way.
        let done = "select count(*) from tasker.workflow_steps where state = 'complete'";
        eventually("progress", || number(&mut conn, done) >= storm * 15).await;
        let terminate = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        number(&mut conn, terminate);
    }
    for worker in workers {
        worker.ended().await;
    }
    assert_eq!(number(&mut conn, "select count(*) from tasker.tasks where state = 'complete'"), 40);
    let steps = "select count(*) from public.effects";
    assert_eq!(
        (
            number(&mut conn, steps),
            number(
                &mut conn,
                &format!("{steps} e join tasker.workflow_steps s on s.workflow_step_id = e.step_id")
            )
        ),
        (160, 160)
    );
    assert_eq!(number(&mut conn, "select count(distinct step_id) from public.effects"), 160);
    database.assert_sound();
}

/// It hears no notification and polls never: only what it claims in the commit of the submission can run.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_submitted_through_its_worker_begins_in_the_same_commit() {
    const NEVER: Duration = Duration::from_secs(3_600);
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let go = Arc::new(Notify::new());
    let registry = only({
        let go = go.clone();
        move |context: StepContext| {
            let go = go.clone();
            async move {
                if context.context["waits"] == true {
                    go.notified().await;
                }
                Ok(Value::Null)
            }
        }
    });
    let options = WorkerOptions {
        notifications: false,
        poll_min: NEVER,
        poll_max: NEVER,
        max_in_flight: 1,
        ..WorkerOptions::default()
    };
    let worker = Worker::new(pool(&database, 6), registry, options);
    let definition = quick(parts(&[("a", &[]), ("b", &["a"])]), 3);
    let submit = async |identity: &str, waits: bool| {
        let request = TaskRequest::new(json!({ "waits": waits }));
        let identity = identity.to_owned();
        let identity = Identity::Custom(Arc::new(move |_, _| identity.clone()));
        worker.submit(&definition, &[request], &identity).await.unwrap()[0]
    };
    let state = |conn: &mut PgConnection, task: TaskId| {
        texts(conn, &format!("select state from tasker.tasks where task_id = {task}")).remove(0)
    };
    let before = submit("before", false).await;
    assert_eq!(state(&mut conn, before.task_id), "pending", "nobody runs");

    let shutdown = CancellationToken::new();
    let (runs, stopped) = (worker.clone(), shutdown.clone());
    let running = tokio::spawn(async move { runs.run(stopped).await });
    let waiting = "select count(*) from tasker.workers where waiting";
    eventually("the first look to end", || number(&mut conn, waiting) == 1).await;
    for identity in ["one", "two"] {
        let task = submit(identity, false).await;
        assert!(task.created);
        eventually("the task to end", || state(&mut conn, task.task_id) == "complete").await;
        let again = submit(identity, false).await;
        assert_eq!((again.task_id, again.created), (task.task_id, false));
    }
    let held = submit("held", true).await;
    eventually("the step to begin", || state(&mut conn, held.task_id) == "in_progress").await;
    let late = submit("late", false).await;
    assert_eq!(state(&mut conn, late.task_id), "pending", "the only place is taken");
    shutdown.cancel();
    go.notify_waiters();
    go.notify_one();
    let report = tokio::time::timeout(Duration::from_secs(40), running).await.unwrap().unwrap().unwrap();
    assert_eq!((report.failed, report.lease_lost, report.incarnations), (0, 0, 1));
    let after = submit("after", false).await;
    assert_eq!(state(&mut conn, after.task_id), "pending", "it runs no more");
    database.assert_sound();
}
