//! Reports of ended attempts, applied in batches that commit together.

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, sql_query, sql_types::Jsonb};
use serde_json::Value;
use tasker_model::FailureKind;

use crate::{
    commands::{self, Changes, Claim, FailedAttempt},
    db::{Fault, describe, fault},
};

/// What is to be written about one claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// It succeeded.
    Completed(Claim, Value),
    /// It failed.
    Failed(FailedAttempt),
    /// It was given back unrun.
    Released(Claim),
}

impl Report {
    /// The claim that it is about.
    pub fn claim(&self) -> Claim {
        match self {
            Self::Completed(claim, _) | Self::Released(claim) => *claim,
            Self::Failed(failed) => failed.claim,
        }
    }
}

/// Writes reports in one transaction. A batch that the database refuses for its data is split until the bad
/// report stands alone and fails permanently, and the rest commits. An error that may pass is returned, with
/// nothing of the remaining reports written: the same call may be repeated, since a report that was written
/// no longer holds its claim.
pub fn apply(
    conn: &mut PgConnection,
    reports: &[Report],
    now: Option<DateTime<Utc>>,
) -> QueryResult<Changes> {
    match commit(conn, reports, now) {
        Ok(changes) => Ok(changes),
        Err(e) if !is_for_the_data(conn, &e, reports) => Err(e),
        Err(e) => match reports {
            [Report::Completed(claim, _)] => commit(conn, &[refused(*claim, &describe(&e))], now),
            [] | [_] => Err(e),
            _ => {
                let (left, right) = reports.split_at(reports.len() / 2);
                let mut changes = apply(conn, left, now)?;
                changes.extend(apply(conn, right, now)?);
                Ok(changes)
            }
        },
    }
}

/// Whether the reports themselves are at fault. Where the database does not pass on why it refuses, it is
/// asked to read the results alone: if it can, the trouble is another and passes.
fn is_for_the_data(conn: &mut PgConnection, error: &diesel::result::Error, reports: &[Report]) -> bool {
    match fault(error) {
        Fault::Data => true,
        Fault::Unclear => !reports.iter().all(|report| match report {
            Report::Completed(_, value) => is_readable(conn, value),
            Report::Failed(_) | Report::Released(_) => true,
        }),
        _ => false,
    }
}

fn is_readable(conn: &mut PgConnection, value: &Value) -> bool {
    let read = sql_query("select $1 is not null").bind::<Jsonb, _>(value).execute(conn);
    read.is_ok() || sql_query("select 1").execute(conn).is_err()
}

fn refused(claim: Claim, why: &str) -> Report {
    let message = format!("the database refused the result: {why}");
    Report::Failed(FailedAttempt { claim, kind: FailureKind::Permanent, delay_ms: 0, message })
}

/// Lock order: each command locks its own steps by id, and all of them before any task; over the three
/// commands of one batch that order does not hold, so the database may find a deadlock, which is transient.
fn commit(conn: &mut PgConnection, reports: &[Report], now: Option<DateTime<Utc>>) -> QueryResult<Changes> {
    let (mut completed, mut failed, mut released) = (vec![], vec![], vec![]);
    for report in reports {
        match report {
            Report::Completed(claim, value) => completed.push((*claim, value.clone())),
            Report::Failed(attempt) => failed.push(attempt.clone()),
            Report::Released(claim) => released.push(*claim),
        }
    }
    let kinds = usize::from(!completed.is_empty())
        + usize::from(!failed.is_empty())
        + usize::from(!released.is_empty());
    let all = |conn: &mut PgConnection| {
        let mut changes = commands::complete(conn, &completed, now)?;
        changes.extend(commands::fail(conn, &failed, now)?);
        changes.extend(commands::release(conn, &released, Some("given back by the worker"), now)?);
        Ok(changes)
    };
    // One command is a transaction by itself: no BEGIN and COMMIT to pay for.
    if kinds == 1 { all(conn) } else { conn.transaction(all) }
}
