//! Transactional handlers: what they write, the step's result and the release of its children are one commit,
//! or none of it happens.

mod support;

use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, sql_query, sql_types::Text};
use serde_json::json;
use support::{HANDLER, execute, number, parts};
use tasker_engine::{
    commands,
    definition::WorkflowDefinition,
    handler::{HandlerRegistry, StepContext, StepError, StepResult},
};
use tasker_model::{FailureKind, StepState, TaskState};
use tasker_testkit::{TestCoordinator, TestDatabase, TestRun};

/// A row that says that the step ran.
fn write(conn: &mut PgConnection, step: &str) -> QueryResult<usize> {
    sql_query("insert into public.effects (step) values ($1)").bind::<Text, _>(step).execute(conn)
}

struct Outcome {
    database: TestDatabase,
    run: TestRun,
    effects: i64,
}

impl Outcome {
    fn failure(&self) -> (Option<FailureKind>, &str) {
        let step = &self.run.step("a").step;
        (step.failure_kind, step.last_error.as_deref().unwrap_or_default())
    }
}

/// Runs `a` with the handler, then `b` with one that always works, each at most twice; the table of effects
/// is made by `table`.
async fn run(
    table: &str,
    timeout_ms: Option<u64>,
    handler: impl Fn(&mut PgConnection, &StepContext) -> StepResult + Send + Sync + 'static,
) -> Outcome {
    run_on(TestDatabase::new(), table, timeout_ms, handler).await
}

async fn run_on(
    database: TestDatabase,
    table: &str,
    timeout_ms: Option<u64>,
    handler: impl Fn(&mut PgConnection, &StepContext) -> StepResult + Send + Sync + 'static,
) -> Outcome {
    let mut conn = database.connection();
    execute(&mut conn, &format!("create table public.effects (step text {table})"));
    let mut parts = parts(&[("a", &[]), ("b", &["a"])]);
    for step in &mut parts.steps {
        (step.retry_limit, step.timeout_ms) = (2, timeout_ms);
    }
    parts.steps[1].handler = "next".into();
    let definition = WorkflowDefinition::new(parts).unwrap();
    let mut registry = HandlerRegistry::new();
    registry.register_transactional(HANDLER, handler);
    registry.register_transactional("next", |conn: &mut PgConnection, c: &StepContext| {
        write(conn, &c.step_name)?;
        Ok(json!({"after": c.results["a"]}))
    });
    let mut coordinator = TestCoordinator::new(&database, registry);
    let task = coordinator.submit(&definition, json!({})).await;
    let run = coordinator.run(task).await;
    database.assert_sound();
    let effects = number(&mut conn, "select count(*) from public.effects");
    Outcome { database, run, effects }
}

#[tokio::test(flavor = "multi_thread")]
async fn effect_result_and_release_of_the_children_are_one_commit() {
    let outcome = run("", None, |conn, c| {
        write(conn, &c.step_name)?;
        Ok(json!("done"))
    })
    .await;
    assert_eq!((outcome.run.state, outcome.effects), (TaskState::Complete, 2));
    assert_eq!(outcome.run.results()["b"], json!({"after": "done"}));
    // The effect, the step, its log and its child were written by one transaction.
    let mut conn = outcome.database.connection();
    let transactions = "select count(distinct x) from (
        select xmin::text as x from public.effects where step = 'a'
        union all select l.xmin::text from tasker.workflow_step_transitions l join tasker.workflow_steps s using (task_id, workflow_step_id)
        join tasker.named_steps n using (named_step_id) where n.name = 'a' and l.to_state = 'complete') y";
    assert_eq!(number(&mut conn, transactions), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_rolls_the_effect_back() {
    let outcome = run("", None, |conn, c| {
        write(conn, &c.step_name)?;
        if c.attempt == 1 { Err(StepError::retryable("not yet")) } else { Ok(json!(c.attempt)) }
    })
    .await;
    assert_eq!((outcome.run.state, outcome.effects), (TaskState::Complete, 2));
    assert_eq!(outcome.run.attempts_of("a"), 2);

    let outcome = run("", None, |conn, c| {
        write(conn, &c.step_name)?;
        Err(StepError::permanent("never"))
    })
    .await;
    assert_eq!((outcome.run.state, outcome.effects), (TaskState::Error, 0));
    assert_eq!(
        (outcome.failure(), outcome.run.attempts_of("a")),
        ((Some(FailureKind::Permanent), "never"), 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_rolls_the_effect_back_even_from_a_transaction_within() {
    let outcome = run("", None, |conn, c| {
        write(conn, &c.step_name)?;
        if c.attempt == 2 {
            return Ok(json!("at last"));
        }
        conn.transaction(|conn| {
            write(conn, "within")?;
            panic!("inside a savepoint")
        })
    })
    .await;
    assert_eq!((outcome.run.state, outcome.effects), (TaskState::Complete, 2));
    let failed = outcome.run.history.iter().find(|t| t.failure_kind.is_some()).unwrap();
    assert_eq!(failed.failure_kind, Some(FailureKind::Panic));
    assert_eq!(failed.reason.as_deref(), Some("the handler panicked: inside a savepoint"));
}

/// The handler's own claim is taken away while it runs: another worker has the step when it comes to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_lost_on_the_way_rolls_the_effect_back() {
    let database = TestDatabase::new();
    let url = database.url().to_owned();
    let outcome = run_on(database, "", None, move |conn, c| {
        write(conn, &format!("attempt {}", c.attempt))?;
        if c.attempt == 1 {
            // Ends the incarnation in a session of its own, and lets another take the step back.
            let mut other = tasker_engine::db::connect(&url)?;
            let holder = "select worker_id from tasker.workflow_steps where worker_id is not null";
            let holder = tasker_model::WorkerId(number(&mut other, holder));
            assert!(commands::end_worker(&mut other, holder, Some(c.now))?);
            assert_eq!(
                number(
                    &mut other,
                    &format!("select tasker.expire_leases(100, '{}')::bigint", c.now.to_rfc3339())
                ),
                1
            );
        }
        Ok(json!(c.attempt))
    })
    .await;
    assert_eq!(outcome.run.state, TaskState::Complete);
    assert_eq!(outcome.run.results()["a"], json!(2));
    let mut conn = outcome.database.connection();
    assert_eq!(support::texts(&mut conn, "select step from public.effects order by 1"), ["attempt 2", "b"]);
    let kinds: Vec<_> = outcome.run.history.iter().filter_map(|t| t.failure_kind).collect();
    assert_eq!(kinds, [FailureKind::LostLease]);
}

/// What the database refuses for the data, it refuses again: no further attempt, and its own sentence.
#[tokio::test(flavor = "multi_thread")]
async fn a_violated_constraint_is_permanent_whether_at_once_or_at_the_commit() {
    let sentence = "duplicate key value violates unique constraint \"effects_step_key\"";
    for table in ["unique", "unique deferrable initially deferred"] {
        let outcome = run(table, None, |conn, _| {
            write(conn, "same")?;
            write(conn, "same")?;
            Ok(json!({}))
        })
        .await;
        assert_eq!((outcome.run.state, outcome.effects), (TaskState::Error, 0), "{table}");
        let (kind, error) = outcome.failure();
        assert_eq!(
            (kind, outcome.run.attempts_of("a")),
            (Some(FailureKind::Permanent), 1),
            "{table}: {error}"
        );
        assert_eq!(error, format!("DATABASE: {sentence}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_outlasts_the_steps_timeout_is_a_timeout() {
    let outcome = run("", Some(50), |conn, c| {
        write(conn, &c.step_name)?;
        sql_query("select pg_sleep(20)").execute(conn)?;
        Ok(json!({}))
    })
    .await;
    assert_eq!((outcome.run.state, outcome.effects), (TaskState::Error, 0));
    let expected = "the attempt took longer than its timeout of 50 ms";
    assert_eq!(outcome.failure(), (Some(FailureKind::Timeout), expected));
    assert_eq!(outcome.run.attempts_of("a"), 2);
    assert_eq!(outcome.run.step("b").step.state, StepState::Pending);
}

/// A handler that goes on after a failed statement has nothing to commit: the transaction is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_swallowed_database_error_completes_nothing() {
    let outcome = run("", None, |conn, c| {
        write(conn, &c.step_name)?;
        let _swallowed = sql_query("select 1 / 0").execute(conn);
        Ok(json!({}))
    })
    .await;
    assert_eq!((outcome.run.state, outcome.effects), (TaskState::Error, 0));
    assert!(outcome.failure().1.contains("current transaction is aborted"), "{:?}", outcome.failure());
}
