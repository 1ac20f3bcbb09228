//! Every statement that writes state is refused once with every SQLSTATE that may pass. The statements are
//! those that a recording trigger saw, and the catalog says whether one was missed. Messages are in a language
//! that nothing here understands.
//!
//! Each statement meets one of the codes in turn; with `TASKER_TEST_SIZE=full` it meets them all.

#![expect(clippy::print_stdout, reason = "the number of statements is evidence")]

mod support;

use std::time::Duration;

use diesel::{PgConnection, RunQueryDsl, sql_query, sql_types::BigInt};
use serde_json::json;
use support::{execute, number, parts, texts};
use tasker_engine::{
    commands::{self, FailedAttempt},
    db::{Db, DbError},
    definition::{BackoffPolicy, FailurePolicy, WorkflowDefinition, WorkflowParts},
    handler::{HandlerRegistry, StepContext, StepError},
    identity::Identity,
    submit::{SubmitError, TaskRequest, submit},
    worker::{Worker, WorkerOptions},
};
use tasker_model::{FailureKind, StepId, TaskId};
use tasker_testkit::TestDatabase;
use tokio_util::sync::CancellationToken;

/// 57P01 ends the session for good, the others are raised.
const CODES: [&str; 7] = ["40001", "40P01", "57014", "57P01", "08006", "53300", "25006"];

/// Triggers on every table of the schema that record each writing statement by its place (the stack of
/// functions that led to it), and refuse the armed one once.
const INJECTION: &str = r"
create schema inject;
create table inject.points (point text not null);
create table inject.armed (point text not null, sqlstate text not null);
create sequence inject.hits;
create function inject.statement() returns trigger language plpgsql as $$
declare v_stack text; v_point text; v_armed inject.armed;
begin
  get diagnostics v_stack = pg_context;
  v_point := lower(tg_op) || ' ' || tg_table_name || E'\n' || regexp_replace(v_stack, '^[^\n]*\n?', '');
  select * into v_armed from inject.armed;
  if v_armed.sqlstate = 'record' then
    insert into inject.points values (v_point);
  elsif v_armed.point = v_point and nextval('inject.hits') = 1 then
    if v_armed.sqlstate = '57P01' then
      perform pg_terminate_backend(pg_backend_pid());
      perform pg_sleep(10);
    end if;
    raise exception 'ei onnistu' using errcode = v_armed.sqlstate;
  end if;
  return null;
end $$;
do $$
declare v_table regclass;
begin
  for v_table in select oid from pg_class where relnamespace = 'tasker'::regnamespace and relkind in ('r', 'p') loop
    execute format('create trigger inject before insert or update or delete on %s for each statement execute function inject.statement()', v_table);
  end loop;
end $$;
create table public.effects (task_id bigint primary key)";

const QUICK: BackoffPolicy = BackoffPolicy::Fixed { wait_ms: 1, jitter: 0.0 };

/// A workflow of a namespace that no other scenario has, so that it is registered anew.
fn workflow(
    namespace: &str,
    name: &str,
    steps: &[(&str, &[&str], &str)],
    policy: FailurePolicy,
) -> WorkflowDefinition {
    let graph: Vec<_> = steps.iter().map(|(name, parents, _)| (*name, *parents)).collect();
    let mut parts = WorkflowParts { failure_policy: policy, ..parts(&graph) };
    (parts.name, parts.namespace) = (name.into(), namespace.into());
    for (step, (_, _, handler)) in parts.steps.iter_mut().zip(steps) {
        (step.handler, step.backoff, step.retry_limit) = ((*handler).into(), QUICK, 3);
    }
    WorkflowDefinition::new(parts).unwrap()
}

fn registry() -> HandlerRegistry {
    let mut registry = HandlerRegistry::new();
    registry.register("works", |_: StepContext| async { Ok(json!({"fine": true})) });
    registry.register("fails_once", |c: StepContext| async move {
        if c.attempt == 1 { Err(StepError::retryable("once")) } else { Ok(json!(c.attempt)) }
    });
    registry.register("fails_in_its_first_generation", |c: StepContext| async move {
        if c.generation == 1 { Err(StepError::permanent("at first")) } else { Ok(json!(c.generation)) }
    });
    registry.register_transactional("books", |conn: &mut PgConnection, c: &StepContext| {
        sql_query("insert into public.effects values ($1)").bind::<BigInt, _>(c.task_id.0).execute(conn)?;
        Ok(json!(null))
    });
    registry
}

/// What a caller does who must get something done: again, as long as the database says that it may pass. The
/// bound is what the injection asks for: one refusal, and one more for a session that it ended.
async fn persist<T: Send + 'static, E: Into<Refused> + Send + 'static>(
    db: &Db,
    work: impl Fn(&mut PgConnection) -> Result<T, E> + Clone + Send + 'static,
) -> T {
    for _ in 0..3 {
        match db.run(work.clone()).await.map(|done| done.map_err(Into::into)) {
            Ok(Ok(value)) => return value,
            Ok(Err(Refused(error))) | Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    panic!("refused three times");
}

struct Refused(DbError);

impl From<diesel::result::Error> for Refused {
    fn from(e: diesel::result::Error) -> Self {
        Self(e.into())
    }
}

impl From<SubmitError> for Refused {
    fn from(e: SubmitError) -> Self {
        match e {
            SubmitError::Database(e) => Self(e.into()),
            other => panic!("{other}"),
        }
    }
}

async fn submitted(db: &Db, definition: &WorkflowDefinition) -> TaskId {
    let definition = definition.clone();
    let requests = [TaskRequest::new(json!({}))];
    // The identity makes a repetition after a lost answer find the first.
    let identity = Identity::Random;
    persist(db, move |conn| submit(conn, &definition, &requests, &identity, None)).await[0].task_id
}

async fn work(db: &Db, namespace: &str) {
    let options = WorkerOptions {
        until_idle: true,
        namespaces: Some(vec![namespace.into()]),
        lease: Duration::from_secs(20),
        poll_max: Duration::from_millis(20),
        ..WorkerOptions::default()
    };
    let worker = Worker::new(db.clone(), registry(), options);
    let ran = worker.run(CancellationToken::new());
    let report = tokio::time::timeout(Duration::from_secs(15), ran).await.expect("the worker ends").unwrap();
    assert_eq!(report.incarnations, 1);
}

/// One step of a task, by name.
async fn step(db: &Db, task: TaskId, name: &'static str) -> StepId {
    persist(db, move |conn| {
        let found = tasker_model::StepWithName::of_task(conn, task)?;
        Ok::<_, diesel::result::Error>(found.iter().find(|s| s.name == name).unwrap().step.workflow_step_id)
    })
    .await
}

/// Everything that writes state, once: submit, claim, report, retry, recover, release, renew, settle, the
/// operators' commands.
async fn scenario(db: &Db, namespace: &str) -> Vec<TaskId> {
    let none = FailurePolicy::default();
    let flow = workflow(
        namespace,
        "flow",
        &[
            ("a", &[], "works"),
            ("b", &["a"], "books"),
            ("c", &["a"], "fails_once"),
            ("d", &["b", "c"], "works"),
        ],
        none,
    );
    let doomed = workflow(
        namespace,
        "doomed",
        &[("x", &[], "fails_in_its_first_generation"), ("y", &["x"], "works"), ("z", &["y"], "works")],
        FailurePolicy::FailFast,
    );
    let given_back = workflow(namespace, "given_back", &[("a", &[], "works")], none);
    let (one, two) = (submitted(db, &flow).await, submitted(db, &flow).await);
    orphan(db, namespace).await;
    let (resolved, retried, single) =
        (submitted(db, &doomed).await, submitted(db, &doomed).await, submitted(db, &doomed).await);
    let cancelled = submitted(db, &given_back).await;
    persist(db, move |conn| commands::cancel(conn, &[cancelled], "test", None, None)).await;
    let (dropped, operated) = (submitted(db, &given_back).await, submitted(db, &given_back).await);
    operate(db, namespace, dropped, operated).await;
    work(db, namespace).await;
    let a = step(db, operated, "a").await;
    persist(db, move |conn| commands::reset(conn, &[(operated, a)], "test", None, None)).await;

    let x = step(db, resolved, "x").await;
    persist(db, move |conn| commands::resolve(conn, &[(resolved, x, Some(json!(1)))], "test", None, None))
        .await;
    persist(db, move |conn| commands::retry(conn, &[retried], "test", None, None)).await;
    let x = step(db, single, "x").await;
    persist(db, move |conn| commands::retry_single(conn, &[(single, x)], "test", None, None)).await;
    work(db, namespace).await;
    // By itself, so that each turn is one of one step.
    let chain = workflow(namespace, "chain", &[("a", &[], "works"), ("b", &["a"], "works")], none);
    let lone = submitted(db, &chain).await;
    work(db, namespace).await;
    wake(db, namespace, &given_back).await;
    prune(db, namespace).await;
    vec![one, two, resolved, retried, single, operated, lone]
}

/// A worker finds nothing and waits, then takes two steps at once and waits no more.
async fn wake(db: &Db, namespace: &str, definition: &WorkflowDefinition) {
    let (namespaces, handlers) = ([namespace.to_owned()], registry().names());
    let (worker, _) =
        persist(db, move |conn| commands::register(conn, "idly", Some(&namespaces), &handlers, 60_000, None))
            .await;
    let turn = move |conn: &mut PgConnection| {
        let ask = commands::Ask { limit: 9, further: true, expire: false };
        commands::exchange(conn, worker, ask, &[], &[], None).map(|turn| turn.claimed.len())
    };
    assert_eq!(persist(db, turn).await, 0, "everything has run");
    let tasks = [submitted(db, definition).await, submitted(db, definition).await];
    assert_eq!(persist(db, turn).await, 2);
    persist(db, move |conn| commands::cancel(conn, &tasks, "test", None, None)).await;
    persist(db, move |conn| commands::end_worker(conn, worker, None)).await;
}

/// The operators' commands on tasks of one step that nobody has claimed: one is given up, the other goes on.
async fn operate(db: &Db, namespace: &str, dropped: TaskId, operated: TaskId) {
    let (x, a) = (step(db, dropped, "a").await, step(db, operated, "a").await);
    for pause in [true, false] {
        let namespace = namespace.to_owned();
        persist(db, move |conn| {
            commands::pause_queue(conn, Some(&namespace), None, pause, "test", None, None)
        })
        .await;
        persist(db, move |conn| commands::pause(conn, &[operated], pause, "test", None, None)).await;
        persist(db, move |conn| commands::pause_single(conn, &[(operated, a)], pause, "test", None, None))
            .await;
    }
    persist(db, move |conn| commands::cancel_single(conn, &[(dropped, x)], "test", None, None)).await;
    persist(db, move |conn| commands::resolve_whole(conn, &[dropped], "test", None, None)).await;
    persist(db, move |conn| commands::set_retry_limit(conn, &[(operated, a)], 50, "test", None, None)).await;
    persist(db, move |conn| commands::set_priority(conn, &[(operated, a)], 1, "test", None, None)).await;

    let (namespaces, handlers) = ([namespace.to_owned()], registry().names());
    let (worker, _) = persist(db, move |conn| {
        commands::register(conn, "briefly", Some(&namespaces), &handlers, 60_000, None)
    })
    .await;
    let claims = persist(db, move |conn| commands::claim(conn, worker, 1, None)).await;
    let claim = claims[0].claim();
    let (kind, message) = (FailureKind::Retryable, String::from("in an hour"));
    let failed = FailedAttempt { claim, kind, delay_ms: 3_600_000, message };
    persist(db, move |conn| commands::fail(conn, std::slice::from_ref(&failed), None)).await;
    persist(db, move |conn| commands::retry_now(conn, &[(operated, a)], "test", None, None)).await;
    persist(db, move |conn| commands::end_worker(conn, worker, None)).await;
}

/// One worker renews its lease and ends with nothing; another takes everything, gives one step back, reports
/// another as failed, takes them again and is lost with them.
async fn orphan(db: &Db, namespace: &str) {
    let namespaces = [namespace.to_owned()];
    let past = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let handlers = registry().names();
    let (ghost, _) =
        persist(db, move |conn| commands::register(conn, "ghost", None, &handlers, 100, Some(past))).await;
    persist(db, move |conn| commands::renew(conn, ghost, Some(past))).await;
    let handlers = registry().names();
    let (worker, _) = persist(db, move |conn| {
        commands::register(conn, "short", Some(&namespaces), &handlers, 60_000, None)
    })
    .await;
    let claims = persist(db, move |conn| commands::claim(conn, worker, 100, None)).await;
    let (first, second) = (claims[0].claim(), claims[1].claim());
    persist(db, move |conn| commands::release(conn, &[first], Some("not now"), None)).await;
    let failed =
        FailedAttempt { claim: second, kind: FailureKind::Retryable, delay_ms: 0, message: "no".into() };
    persist(db, move |conn| commands::fail(conn, std::slice::from_ref(&failed), None)).await;
    let again = persist(db, move |conn| commands::claim(conn, worker, 100, None)).await;
    assert_eq!(again.len(), 2);
    // It is never heard of again, and its lease has run out when the next one claims.
    let over = format!("update tasker.workers set lease_until = started_at where worker_id = {worker}");
    persist(db, move |conn| sql_query(&over).execute(conn)).await;
}

/// Deletes what was cancelled, and asks for what is older than everything.
async fn prune(db: &Db, namespace: &str) {
    let tasks =
        format!("select from tasker.prune_tasks(clock_timestamp(), 'cancelled', array['{namespace}'])");
    for sql in [
        tasks.as_str(),
        "select tasker.prune_leftovers('-infinity')",
        // Of a migration that not every build has.
        "do $$ begin
           if to_regproc('tasker.prune_audit_log') is not null then
             execute 'select tasker.prune_audit_log(''-infinity'', 1)';
           end if;
         end $$",
    ] {
        let sql = sql.to_owned();
        persist(db, move |conn| sql_query(&sql).execute(conn)).await;
    }
}

fn summary(conn: &mut PgConnection, tasks: &[TaskId]) -> Vec<String> {
    let ids = tasks.iter().map(|t| t.0.to_string()).collect::<Vec<_>>().join(",");
    texts(
        conn,
        &format!(
            "select format('%s %s %s %s', t.state, n.name, s.state, s.attempts) from tasker.tasks t
             join tasker.workflow_steps s using (task_id) join tasker.named_steps n using (named_step_id)
             where task_id in ({ids}) order by task_id, workflow_step_id"
        ),
    )
}

fn arm(conn: &mut PgConnection, point: &str, code: &str) {
    sql_query("truncate inject.armed").execute(conn).unwrap();
    sql_query("insert into inject.armed values ($1, $2)")
        .bind::<diesel::sql_types::Text, _>(point)
        .bind::<diesel::sql_types::Text, _>(code)
        .execute(conn)
        .unwrap();
    execute(conn, "alter sequence inject.hits restart");
}

/// Functions that write a table of the schema by their text, and that no recorded place names. Retention is no
/// worker's: who prunes sees the refusal and calls again.
const FORGOTTEN: &str = r"
select p.proname::text from pg_proc p
where p.pronamespace = 'tasker'::regnamespace and p.proname not like 'prune%' and p.prorettype <> 'trigger'::regtype
  and p.prosrc ~* '(insert\s+into|update|delete\s+from)\s+tasker\.'
  and not exists (select from inject.points where point ~ ('tasker\.' || p.proname || '\y') or point ~ ('\y' || p.proname || '\y'))
order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn every_writing_statement_is_repeated_after_every_refusal_that_may_pass() {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    execute(&mut conn, INJECTION);
    let db = database.db();
    arm(&mut conn, "", "record");
    let tasks = scenario(&db, "recorded").await;
    let expected = summary(&mut conn, &tasks);
    assert!(expected.iter().all(|line| line.starts_with("complete")), "{expected:#?}");
    let points = texts(&mut conn, "select distinct point from inject.points order by 1");
    assert_eq!(
        texts(&mut conn, FORGOTTEN),
        Vec::<String>::new(),
        "no statement of these was seen: let `scenario` call them"
    );

    let full = std::env::var("TASKER_TEST_SIZE").is_ok_and(|size| size == "full");
    let mut refusals = 0;
    for (i, point) in points.iter().enumerate() {
        for (j, code) in CODES.iter().enumerate() {
            if !full && j != i % CODES.len() {
                continue;
            }
            arm(&mut conn, point, code);
            let tasks = scenario(&db, &format!("refused_{refusals}")).await;
            let place = format!("{code} at {point}");
            assert!(
                number(&mut conn, "select case when is_called then 1 else 0 end::bigint from inject.hits")
                    == 1,
                "{place}: not met"
            );
            assert_eq!(summary(&mut conn, &tasks), expected, "{place}");
            refusals += 1;
        }
    }
    println!("{} writing statements, {refusals} refusals", points.len());
    execute(&mut conn, "truncate inject.armed");
    assert_eq!(
        number(&mut conn, "select count(*) from tasker.workflow_steps where state = 'in_progress'"),
        0
    );
    let booked = "select count(*) from tasker.tasks t join tasker.task_definitions d using (definition_id) left join public.effects e using (task_id) where t.state = 'complete' and d.definition->>'name' = 'flow' and e.task_id is null";
    assert_eq!(number(&mut conn, booked), 0);
    database.assert_sound();
}
