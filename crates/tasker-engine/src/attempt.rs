//! One attempt of one step: the handler under its timeout, with panics caught.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use diesel::{Connection, PgConnection, RunQueryDsl, result::Error as QueryError};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    commands::{self, Changes, Claim},
    db::{Db, describe, is_transient},
    definition::{JsonLimits, check_json},
    handler::{Handler, StepContext, StepError, StepHandler, StepResult, TransactionalHandler},
    retry::AttemptFailure,
};

/// How long a handler that was told to stop may take before its future is dropped.
const GRACE: Duration = Duration::from_secs(5);

/// How an attempt ended.
#[derive(Debug)]
pub enum AttemptOutcome {
    /// The handler returned a result, still to be reported.
    Succeeded(Value),
    /// A transactional handler's writes, result and release of children are committed.
    Committed(Changes),
    /// It failed.
    Failed(AttemptFailure),
    /// The claim was no longer held; nothing was written.
    LeaseLost,
    /// It was told to stop before it had ended.
    Stopped,
}

/// Runs one attempt to its end. Never panics with the handler.
pub async fn run(
    db: &Db,
    clock: &Clock,
    handler: &Handler,
    claim: Claim,
    context: StepContext,
    timeout_ms: Option<u64>,
) -> AttemptOutcome {
    match handler {
        Handler::Async(h) => run_async(h.clone(), context, timeout_ms).await,
        Handler::Transactional(h) => {
            run_transactional(db, clock, h.clone(), claim, context, timeout_ms).await
        }
    }
}

async fn run_async(
    handler: Arc<dyn StepHandler>,
    context: StepContext,
    timeout_ms: Option<u64>,
) -> AttemptOutcome {
    let cancelled = context.cancellation.clone();
    let mut running = tokio::spawn(async move { handler.call(context).await });
    let ended = tokio::select! {
        // In this order: an attempt that ends because it was told to stop was stopped, it did not fail.
        biased;
        () = cancelled.cancelled() => match tokio::time::timeout(GRACE, &mut running).await {
            Ok(Ok(Ok(value))) => Ok(Ok(value)),
            _ => {
                running.abort();
                return AttemptOutcome::Stopped;
            }
        },
        ended = &mut running => ended,
        after_ms = expiry(timeout_ms) => {
            stop(&cancelled, &mut running).await;
            return AttemptOutcome::Failed(AttemptFailure::TimedOut { after_ms });
        }
    };
    match ended {
        Ok(result) => outcome(result),
        Err(e) if e.is_panic() => {
            AttemptOutcome::Failed(AttemptFailure::Panicked(panic_text(&*e.into_panic())))
        }
        Err(_) => AttemptOutcome::Stopped,
    }
}

/// Ends with the timeout, or never where there is none.
async fn expiry(timeout_ms: Option<u64>) -> u64 {
    match timeout_ms {
        Some(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            ms
        }
        None => std::future::pending().await,
    }
}

async fn stop(cancelled: &CancellationToken, running: &mut tokio::task::JoinHandle<StepResult>) {
    cancelled.cancel();
    if tokio::time::timeout(Duration::from_millis(100), &mut *running).await.is_err() {
        running.abort();
    }
}

fn outcome(result: StepResult) -> AttemptOutcome {
    match result.and_then(storable) {
        Ok(value) => AttemptOutcome::Succeeded(value),
        Err(e) => AttemptOutcome::Failed(AttemptFailure::Refused(e)),
    }
}

/// A result that the database cannot take would fail the whole batch that it is reported in.
fn storable(value: Value) -> StepResult {
    match check_json(&value, JsonLimits::default()) {
        Ok(()) => Ok(value),
        Err(e) => Err(StepError::permanent(format!("the result cannot be stored: {e}")).with_code("RESULT")),
    }
}

/// The panic's message, where it has one.
fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

/// Why a transactional attempt was rolled back.
enum Rollback {
    Step(StepError),
    Panicked(String),
    LeaseLost,
    Database(QueryError),
}

impl From<QueryError> for Rollback {
    fn from(e: QueryError) -> Self {
        Self::Database(e)
    }
}

async fn run_transactional(
    db: &Db,
    clock: &Clock,
    handler: Arc<dyn TransactionalHandler>,
    claim: Claim,
    context: StepContext,
    timeout_ms: Option<u64>,
) -> AttemptOutcome {
    let now = clock.now();
    let done = db.run_long(move |conn| {
        conn.transaction(|conn| {
            let value = call(conn, &*handler, &context, timeout_ms)?;
            let changes = commands::complete(conn, &[(claim, value)], now)?;
            if changes.accepted.is_empty() { Err(Rollback::LeaseLost) } else { Ok(changes) }
        })
    });
    let failed = |e| AttemptOutcome::Failed(AttemptFailure::Refused(e));
    match done.await {
        Ok(Ok(changes)) => AttemptOutcome::Committed(changes),
        Ok(Err(Rollback::LeaseLost)) => AttemptOutcome::LeaseLost,
        // By `?` the handler's error is a sentence: that of the timeout is the step's own.
        Ok(Err(Rollback::Step(e))) => match timeout_ms {
            Some(after_ms) if timed_out(&e.message) => {
                AttemptOutcome::Failed(AttemptFailure::TimedOut { after_ms })
            }
            _ => failed(e),
        },
        Ok(Err(Rollback::Panicked(text))) => AttemptOutcome::Failed(AttemptFailure::Panicked(text)),
        Ok(Err(Rollback::Database(e))) => database_failure(&e, timeout_ms),
        Err(e) => failed(StepError::retryable(e.to_string()).with_code("DATABASE")),
    }
}

/// The handler inside the open transaction; the step's timeout bounds each of its statements.
fn call(
    conn: &mut PgConnection,
    handler: &dyn TransactionalHandler,
    context: &StepContext,
    timeout_ms: Option<u64>,
) -> Result<Value, Rollback> {
    if let Some(ms) = timeout_ms {
        diesel::sql_query(format!("set local statement_timeout = {ms}")).execute(conn)?;
    }
    let result = catch_unwind(AssertUnwindSafe(|| handler.call(conn, context)))
        .map_err(|payload| Rollback::Panicked(panic_text(&*payload)))?;
    let value = result.and_then(storable).map_err(Rollback::Step)?;
    if timeout_ms.is_some() {
        diesel::sql_query("set local statement_timeout = 0").execute(conn)?;
    }
    Ok(value)
}

fn timed_out(message: &str) -> bool {
    message.contains("canceling statement due to statement timeout")
}

fn database_failure(error: &QueryError, timeout_ms: Option<u64>) -> AttemptOutcome {
    let text = describe(error);
    AttemptOutcome::Failed(match timeout_ms {
        Some(after_ms) if timed_out(&text) => AttemptFailure::TimedOut { after_ms },
        _ if is_transient(error) => AttemptFailure::Refused(StepError::retryable(text).with_code("DATABASE")),
        _ => AttemptFailure::Refused(StepError::permanent(text).with_code("DATABASE")),
    })
}
