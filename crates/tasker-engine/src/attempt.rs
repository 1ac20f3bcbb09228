//! One attempt of one step: the handler under its timeout, with panics caught.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use diesel::{PgConnection, prelude::*, result::Error as QueryError};
use serde_json::Value;
use tasker_model::StepState;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    commands::{self, Changes, Claim},
    db::{Db, DbError, Fault, describe, fault},
    definition::{JsonLimits, check_json},
    failpoint::around,
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
    Unreached(DbError),
}

impl Rollback {
    /// Whose fault it is, where it is the database's or the connection's.
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Step(e) => e.fault,
            Self::Database(e) => Some(fault(e)),
            Self::Unreached(e) => Some(e.fault()),
            Self::Panicked(_) | Self::LeaseLost => None,
        }
    }

    /// For the log.
    fn into_error(self) -> DbError {
        match self {
            Self::Database(e) => e.into(),
            Self::Unreached(e) => e,
            Self::Step(e) => DbError::Query(QueryError::QueryBuilderError(e.message.into())),
            Self::Panicked(_) | Self::LeaseLost => DbError::Panicked,
        }
    }

    fn outcome(self, timed_out: Option<u64>) -> AttemptOutcome {
        if let (Some(after_ms), Some(_)) = (timed_out, self.fault()) {
            return AttemptOutcome::Failed(AttemptFailure::TimedOut { after_ms });
        }
        AttemptOutcome::Failed(match self {
            Self::LeaseLost => return AttemptOutcome::LeaseLost,
            Self::Step(e) => AttemptFailure::Refused(e),
            Self::Panicked(text) => AttemptFailure::Panicked(text),
            Self::Database(e) => {
                let (may_pass, text) = (fault(&e).may_pass(), describe(&e));
                let error = if may_pass { StepError::retryable(text) } else { StepError::permanent(text) };
                AttemptFailure::Refused(error.with_code("DATABASE"))
            }
            Self::Unreached(e) => {
                AttemptFailure::Refused(StepError::retryable(e.to_string()).with_code("DATABASE"))
            }
        })
    }
}

impl From<QueryError> for Rollback {
    fn from(e: QueryError) -> Self {
        Self::Database(e)
    }
}

/// How often a transactional attempt is run again that the database ended: everything that it wrote there
/// was rolled back, or else its claim is gone, so that it can do no harm. Waits of up to two seconds between
/// the runs outlast a restart of the server; what Diesel does not tell apart may be a handler's own refusal.
fn reruns(fault: Fault) -> u32 {
    match fault {
        Fault::Connection | Fault::ReadOnly | Fault::Conflict => 10,
        Fault::Unclear => 2,
        _ => 0,
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
    let mut patience = db.patience("a transactional step");
    let cancellation = context.cancellation.clone();
    let mut run = Run { handler, claim, context, timeout_ms, now: clock.now(), uncertain: false };
    for runs in 1.. {
        let (started, once) = (Instant::now(), run.clone());
        let ended =
            db.run_long(move |conn| once.on(conn)).await.unwrap_or_else(|e| Err(Rollback::Unreached(e)));
        let refused = match ended {
            Ok(changes) => return AttemptOutcome::Committed(changes),
            Err(refused) => refused,
        };
        // Time is up for the run and for the attempt, and a timeout is the step's own failure.
        let timed_out = timeout_ms.filter(|ms| started.elapsed() >= Duration::from_millis(*ms));
        match refused.fault() {
            Some(fault) if timed_out.is_none() && runs <= reruns(fault) => {
                run.uncertain |= fault == Fault::Connection;
                run.now = clock.now();
                patience.after(&refused.into_error(), &cancellation).await;
            }
            _ => return refused.outcome(timed_out),
        }
        if cancellation.is_cancelled() {
            break;
        }
    }
    AttemptOutcome::Stopped
}

/// One transaction of a transactional attempt.
#[derive(Clone)]
struct Run {
    handler: Arc<dyn TransactionalHandler>,
    claim: Claim,
    context: StepContext,
    timeout_ms: Option<u64>,
    now: Option<DateTime<Utc>>,
    /// Whether an earlier run may have been committed, its answer being lost.
    uncertain: bool,
}

impl Run {
    fn on(&self, conn: &mut PgConnection) -> Result<Changes, Rollback> {
        if self.uncertain
            && let Some(changes) = committed(conn, self.claim)?
        {
            return Ok(changes);
        }
        around("transaction", || {
            conn.transaction(|conn| {
                let value = around("writes", || call(conn, &*self.handler, &self.context, self.timeout_ms))?;
                let changes = commands::complete(conn, &[(self.claim, value)], self.now)?;
                if changes.accepted.is_empty() { Err(Rollback::LeaseLost) } else { Ok(changes) }
            })
        })
    }
}

/// What an earlier run under this claim changed whose commit came about although its answer was lost.
fn committed(conn: &mut PgConnection, claim: Claim) -> QueryResult<Option<Changes>> {
    let written = commands::written(conn, &[claim])?;
    let completed = written.iter().find(|w| w.state == StepState::Complete);
    Ok(completed.map(|w| Changes {
        accepted: vec![claim.step_id],
        settled: w.settled.map(|state| (claim.task_id, state)).into_iter().collect(),
        ..Changes::default()
    }))
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
