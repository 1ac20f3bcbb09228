//! Trouble that passes costs no attempt and no connection for good; what does not pass is said in a sentence.

#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod support;

use std::{
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicI32, Ordering},
    },
    thread,
    time::Duration,
};

use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, connection::SimpleConnection, sql_query};
use serde_json::{Value, json};
use support::{HANDLER, execute, number, parts, proxy::Proxy, texts};
use tasker_engine::{
    commands,
    db::{Db, DbError, Fault},
    definition::WorkflowDefinition,
    event::{Event, EventSink},
    handler::{HandlerRegistry, StepContext, StepResult},
    identity::Identity,
    submit::{TaskRequest, submit},
    worker::{Worker, WorkerOptions},
};
use tasker_localpg::{Cluster, ClusterOptions, Search};
use tasker_model::{FailureKind, TaskState};
use tasker_testkit::{TestCoordinator, TestDatabase, TestRun};
use tokio_util::sync::CancellationToken;

const EFFECTS: &str = "create table public.effects (step text primary key, n integer not null default 0)";

/// Runs one step with a transactional handler that is told its how-manieth run it is, with at most two attempts.
/// Returns what came of it and how often the handler ran.
async fn run(
    database: &TestDatabase,
    handler: impl Fn(&mut PgConnection, i32) -> StepResult + Send + Sync + 'static,
) -> (TestRun, i32) {
    execute(&mut database.connection(), EFFECTS);
    let mut parts = parts(&[("a", &[])]);
    parts.steps[0].retry_limit = 2;
    let (runs, mut registry) = (Arc::<AtomicI32>::default(), HandlerRegistry::new());
    let counted = runs.clone();
    registry.register_transactional(HANDLER, move |conn: &mut PgConnection, _: &StepContext| {
        handler(conn, counted.fetch_add(1, Ordering::Relaxed) + 1)
    });
    let mut coordinator = TestCoordinator::new(database, registry);
    let task = coordinator.submit(&WorkflowDefinition::new(parts).unwrap(), json!({})).await;
    let run = coordinator.run(task).await;
    database.assert_sound();
    (run, runs.load(Ordering::Relaxed))
}

fn write(conn: &mut PgConnection, step: &str) -> QueryResult<usize> {
    sql_query(format!("insert into public.effects (step) values ('{step}')")).execute(conn)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_session_costs_no_attempt_and_writes_once() {
    let database = TestDatabase::new();
    let (run, runs) = run(&database, |conn, run| {
        write(conn, "a")?;
        if run == 1 {
            sql_query("select pg_terminate_backend(pg_backend_pid()), pg_sleep(10)").execute(conn)?;
        }
        Ok(json!(run))
    })
    .await;
    assert_eq!((run.state, run.attempts_of("a"), runs), (TaskState::Complete, 1, 2));
    assert_eq!(run.results()["a"], json!(2));
    assert_eq!(number(&mut database.connection(), "select count(*) from public.effects"), 1);
}

/// Two sessions lock two rows crosswise; the one that waits patiently is not the one that is ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_costs_no_attempt() {
    let database = TestDatabase::new();
    let mut enemy = database.connection();
    execute(
        &mut enemy,
        "create table public.locks (id integer primary key); insert into public.locks values (1), (2); set deadlock_timeout = '60s'",
    );
    let meeting = Arc::new(Barrier::new(2));
    let other = meeting.clone();
    let crosswise = thread::spawn(move || {
        execute(&mut enemy, "begin; select from public.locks where id = 2 for update");
        other.wait();
        execute(&mut enemy, "select from public.locks where id = 1 for update; commit");
    });
    let (run, runs) = run(&database, move |conn, run| {
        write(conn, "a")?;
        sql_query("select from public.locks where id = 1 for update").execute(conn)?;
        if run == 1 {
            meeting.wait();
        }
        sql_query("select from public.locks where id = 2 for update").execute(conn)?;
        Ok(Value::Null)
    })
    .await;
    crosswise.join().unwrap();
    assert_eq!((run.state, run.attempts_of("a"), runs), (TaskState::Complete, 1, 2));
}

/// What Diesel does not tell apart from a deadlock is tried twice more, and then it is the handler's failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_does_not_pass_is_a_failure_in_the_end() {
    let database = TestDatabase::new();
    let (run, runs) = run(&database, |conn, _| {
        sql_query("do $$ begin raise exception 'riittämätön saldo'; end $$").execute(conn)?;
        Ok(Value::Null)
    })
    .await;
    assert_eq!((run.state, run.attempts_of("a"), runs), (TaskState::Error, 2, 6));
    let step = &run.step("a").step;
    assert_eq!(step.failure_kind, Some(FailureKind::Retryable));
    assert_eq!(step.last_error.as_deref(), Some("riittämätön saldo"));
}

/// The commit's answer is lost in each way that there is: the writes happen once, the step is complete.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_commit_was_not_answered_is_not_run_again() {
    let database = TestDatabase::new();
    let url = database.url().to_owned();
    let (run, runs) = run(&database, move |conn, run| {
        write(conn, "a")?;
        if run == 1 {
            // The step is completed by somebody who has the same claim, as if this session's commit had
            // happened, and then the connection is gone.
            let mut other = PgConnection::establish(&url)?;
            let claim = "select task_id, workflow_step_id, seq from tasker.workflow_steps where state = 'in_progress'";
            sql_query(format!("select c.* from ({claim}) s, tasker.complete_steps(array[s.task_id], array[s.workflow_step_id], array[s.seq], array['1'::jsonb], (select max(at) from tasker.workflow_step_transitions)) c"))
                .execute(&mut other)?;
            sql_query("select pg_terminate_backend(pg_backend_pid()), pg_sleep(10)").execute(conn)?;
        }
        Ok(json!(run))
    })
    .await;
    assert_eq!((run.state, run.attempts_of("a"), runs), (TaskState::Complete, 1, 1));
}

/// Answers are lost one after the other, each at every place of a worker's life: nothing is lost, nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_may_be_lost() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    execute(&mut conn, EFFECTS);
    // Of one the last step is transactional, of the other it reports like most.
    let ends = [&[("a", &[][..]), ("b", &["a"])][..], &[("a", &[]), ("b", &["a"]), ("c", &["b"])]];
    let definitions = ends.map(|steps| {
        let mut parts = parts(steps);
        parts.steps[1].handler = "books".into();
        WorkflowDefinition::new(parts).unwrap()
    });
    let mut registry = HandlerRegistry::new();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let called = calls.clone();
    registry.register(HANDLER, move |c: StepContext| {
        called.lock().unwrap().push((c.step_id, c.attempt));
        async { Ok(Value::Null) }
    });
    registry.register_transactional("books", |conn: &mut PgConnection, c: &StepContext| {
        write(conn, &c.task_id.to_string())?;
        Ok(Value::Null)
    });
    let Some(proxy) = Proxy::start(&mut conn) else {
        return println!("skipped: the server has no socket here");
    };
    let mut tasks = 0;
    let settled = Arc::new(Mutex::new(Vec::new()));
    let told = settled.clone();
    let events = EventSink::new(move |event| {
        if let Event::TaskSettled { task_id, state } = event {
            told.lock().unwrap().push((*task_id, *state));
        }
    });
    for lost in 1..=45 {
        let request = [TaskRequest::new(json!({}))];
        let ids = definitions
            .each_ref()
            .map(|d| submit(&mut conn, d, &request, &Identity::Random, None).unwrap()[0].task_id);
        tasks += 2;
        let db = Db::connect(&proxy.url(database.name()), 4).unwrap();
        let options = WorkerOptions {
            until_idle: true,
            lease: Duration::from_millis(1_500),
            poll_max: Duration::from_millis(20),
            events: events.clone(),
            ..WorkerOptions::default()
        };
        let worker = Worker::new(db, registry.clone(), options);
        proxy.lose(lost);
        let worked = worker.run(CancellationToken::new());
        let report = tokio::time::timeout(Duration::from_secs(20), worked)
            .await
            .unwrap_or_else(|_| panic!("answer {lost}: the worker does not end"))
            .unwrap();
        assert_eq!((report.completed, report.lease_lost), (5, 0), "answer {lost}: {report:?}");
        proxy.lose(i64::MAX);
        let mut settled = std::mem::take(&mut *settled.lock().unwrap());
        settled.sort_unstable_by_key(|(task, _)| *task);
        let expected = ids.map(|id| (id, TaskState::Complete));
        assert_eq!(settled, expected, "answer {lost}: each task is told to have settled, and once");
    }
    assert_eq!(number(&mut conn, "select count(*) from tasker.tasks where state = 'complete'"), tasks);
    assert_eq!(number(&mut conn, "select count(*) from public.effects"), tasks);
    let calls = calls.lock().unwrap();
    let once: std::collections::HashSet<_> = calls.iter().collect();
    assert_eq!(
        (calls.len(), once.len() >= usize::try_from(tasks).unwrap() * 3 / 2),
        (once.len(), true),
        "an attempt ran twice"
    );
    database.assert_sound();
}

/// Asks again while a busy machine takes longer to connect than a worker would wait.
async fn reached<T>(ask: impl AsyncFn() -> Result<T, DbError>) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(DbError::Unreachable(why)) if why.contains("no connection within") => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_take_no_writes_are_made_anew() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let read_only = |conn: &mut PgConnection, value: &str| {
        execute(
            conn,
            &format!("alter database {} set default_transaction_read_only = {value}", database.name()),
        );
    };
    read_only(&mut conn, "on");
    let db = database.db();
    let register = || db.query(|conn| commands::register(conn, "w", None, &[], 1_000, None));
    // Several connections, all of them read only.
    let refused = tokio::join!(register(), register(), register());
    for refused in [refused.0, refused.1, refused.2] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.fault(), Fault::ReadOnly);
        assert!(refused.to_string().contains("target_session_attrs=read-write"), "{refused}");
    }
    execute(&mut conn, "set default_transaction_read_only = off");
    read_only(&mut conn, "off");
    for _ in 0..8 {
        reached(async || register().await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_waited_unused_is_asked_before_its_first_use() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let read_only = format!("alter database {} set default_transaction_read_only", database.name());
    execute(&mut conn, &format!("{read_only} = on"));
    let db = database.db();
    let waits =
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                 and state = 'idle'";
    support::until("the pool has a connection", || number(&mut conn, waits) == 1);
    execute(&mut conn, &format!("set default_transaction_read_only = off; {read_only} = off"));
    let register = async || db.query(|conn| commands::register(conn, "w", None, &[], 1_000, None)).await;
    reached(register).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_lost_connection_finds_out_all_others() {
    let database = TestDatabase::new();
    let db = database.db();
    let look = || db.query(|conn| sql_query("select pg_sleep(0.05)").execute(conn));
    let (a, b, c, d) = tokio::join!(look(), look(), look(), look());
    assert!([a, b, c, d].iter().all(Result::is_ok));
    let others = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    assert!(number(&mut database.connection(), others) >= 2);
    assert_eq!(look().await.unwrap_err().fault(), Fault::Connection);
    let (a, b, c, d) = tokio::join!(look(), look(), look(), look());
    assert!([a, b, c, d].iter().all(Result::is_ok), "one failure for all connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_and_not_waited_for() {
    let database = TestDatabase::new();
    let (mut conn, role) = (database.connection(), format!("role_of_{}", database.name()));
    execute(
        &mut conn,
        &format!(
            "create role {role}; grant usage on schema tasker to {role}; grant select on all tables in schema tasker to {role}"
        ),
    );
    let db = database.db();
    let as_role = format!("set role {role}");
    let refused = db
        .query(move |conn| {
            conn.batch_execute(&as_role)?;
            commands::register(conn, "w", None, &[], 1_000, None)
        })
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, DbError::Forbidden { missing, .. } if missing == "update on table tasker.tasks"),
        "{refused:?}"
    );
    assert!(!refused.is_transient());
    drop(db);
    execute(&mut conn, &format!("drop owned by {role}; drop role {role}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_not_there_is_not_waited_for() {
    let database = TestDatabase::empty();
    let refused =
        database.db().query(|conn| commands::register(conn, "w", None, &[], 1_000, None)).await.unwrap_err();
    assert_eq!(refused.fault(), Fault::Statement);
    assert!(refused.to_string().contains("run `tasker migrate`"), "{refused}");
    let mut conn = database.connection();
    assert_eq!(texts(&mut conn, "select 'the server is well'").len(), 1);
}

/// Two servers under one URL; the first one stops to take writes, as after a switch of roles.
#[tokio::test(flavor = "multi_thread")]
async fn a_url_of_several_hosts_leads_to_the_one_that_takes_writes() {
    let Some(binaries) = Search::from_env().find() else {
        return println!("skipped: the programs of a server are not here");
    };
    let start = || Cluster::start(&binaries, ClusterOptions::throw_away()).unwrap();
    let (one, two) = (start(), start());
    let dir = |cluster: &Cluster| cluster.dir().display().to_string();
    let url = format!(
        "postgres://postgres@/postgres?host={},{}&port=5432,5432&target_session_attrs=read-write",
        dir(&one),
        dir(&two)
    );
    for cluster in [&one, &two] {
        execute(
            &mut PgConnection::establish(&cluster.url()).unwrap(),
            "create table public.place (n integer)",
        );
    }
    let db = Db::connect(&url, 4).unwrap();
    let write = || {
        db.query(|conn| {
            sql_query("insert into public.place values (1)").execute(conn)?;
            let place = "select setting as value from pg_settings where name = 'unix_socket_directories'";
            Ok(texts(conn, place).remove(0))
        })
    };
    assert!(write().await.unwrap().contains(&dir(&one)));
    let mut admin = PgConnection::establish(&one.url()).unwrap();
    execute(&mut admin, "alter system set default_transaction_read_only = on");
    execute(&mut admin, "select pg_reload_conf()");
    let refused = loop {
        match write().await {
            Err(refused) => break refused,
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(refused.fault(), Fault::ReadOnly);
    for _ in 0..4 {
        assert!(reached(async || write().await).await.contains(&dir(&two)), "the other server");
    }
}
