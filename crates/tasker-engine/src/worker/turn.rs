//! One turn as a unit of database work: failures and releases, then what succeeded together with the claim.
//!
//! Each command is a transaction of its own, so that a batch never holds the locks of one command while it
//! waits for those of the next. What could not be written comes back to be tried again.

use std::collections::HashMap;

use diesel::{PgConnection, QueryResult, result::Error as QueryError};
use serde_json::Value;
use tasker_model::{StepId, WorkerId};

use crate::{
    commands::{self, Ask, Changes, Claim, ClaimedStep, Exchanged, Head, NewTasks, Written},
    db::{Fault, fault},
    report::{self, Report},
    runner::Runner,
    submit::Submitted,
};

use super::core::Exchange;

/// What a turn brought about, as far as it came.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// What the reports changed.
    pub(super) changes: Changes,
    /// Reports that were decided: written, or refused because the claim was no longer held.
    pub(super) decided: Vec<Report>,
    /// Of those that were refused, the ones that had been written before.
    pub(super) written: Vec<Written>,
    /// Claimed steps.
    pub(super) steps: Vec<ClaimedStep>,
    /// Results of all ancestors for those that read them.
    pub(super) ancestors: HashMap<StepId, Value>,
    /// Where the claim came to.
    pub(super) heads: Vec<Head>,
    /// Milliseconds until something may become claimable, where nothing was claimed.
    pub(super) due_in_ms: Option<i32>,
    /// What is still to be written.
    pub(super) unreported: Vec<Report>,
    /// What ended it early.
    pub(super) error: Option<QueryError>,
}

/// Reports and claims. Never in a transaction of the caller's.
pub(super) fn take(
    conn: &mut PgConnection,
    runner: &Runner,
    worker: WorkerId,
    exchange: &Exchange,
    after: &[Head],
) -> Turn {
    let mut turn = Turn::default();
    let (completed, others): (Vec<_>, Vec<_>) =
        exchange.reports.iter().cloned().partition(|r| matches!(r, Report::Completed(..)));
    turn.write(conn, runner, others);
    if turn.error.is_some() {
        turn.unreported.extend(completed);
        return turn;
    }
    let limit = i32::try_from(exchange.claim).unwrap_or(i32::MAX);
    let ask = Ask { limit, further: exchange.further, expire: exchange.expire };
    match commands::exchange(conn, worker, ask, &completed, after, runner.clock.now()) {
        Ok(exchanged) => {
            turn.decided.extend(completed);
            turn.take_in(exchanged);
            turn.prepare(conn, runner);
        }
        // The data of one report may be refused: it is found, and the claim waits for the next turn.
        Err(e) if !completed.is_empty() && matches!(fault(&e), Fault::Data | Fault::Unclear) => {
            turn.write(conn, runner, completed);
        }
        Err(e) => {
            turn.unreported.extend(completed);
            turn.error = Some(e);
        }
    }
    turn.look_back(conn);
    turn
}

/// Creates tasks and claims, in one commit. An error is one of the whole; whatever else goes wrong is the turn's.
pub(super) fn submit(
    conn: &mut PgConnection,
    runner: &Runner,
    worker: WorkerId,
    exchange: &Exchange,
    after: &[Head],
    tasks: &NewTasks,
) -> QueryResult<(Vec<Submitted>, Turn)> {
    let limit = i32::try_from(exchange.claim).unwrap_or(i32::MAX);
    let (created, exchanged) =
        commands::submit_and_exchange(conn, tasks, worker, limit, after, runner.clock.now())?;
    let mut turn = Turn::default();
    turn.take_in(exchanged);
    turn.prepare(conn, runner);
    Ok((created.into_iter().map(Submitted::from).collect(), turn))
}

impl Turn {
    fn write(&mut self, conn: &mut PgConnection, runner: &Runner, reports: Vec<Report>) {
        if reports.is_empty() {
            return;
        }
        match report::apply(conn, &reports, runner.clock.now()) {
            Ok(changes) => {
                self.changes.extend(changes);
                self.decided.extend(reports);
            }
            Err(e) => {
                self.unreported.extend(reports);
                self.error = Some(e);
            }
        }
    }

    /// A refused report may be the second try of one whose answer was lost. What cannot be asked counts as refused.
    fn look_back(&mut self, conn: &mut PgConnection) {
        let refused = |r: &&Report| !self.changes.accepted.contains(&r.claim().step_id);
        if self.changes.accepted.len() >= self.decided.len() {
            return;
        }
        let refused: Vec<Claim> = self.decided.iter().filter(refused).map(Report::claim).collect();
        self.written = commands::written(conn, &refused).unwrap_or_default();
    }

    fn take_in(&mut self, exchanged: Exchanged) {
        self.changes.extend(exchanged.changes);
        self.steps = exchanged.claimed;
        self.heads = exchanged.heads;
        self.due_in_ms = exchanged.due_in_ms;
    }

    /// What cannot be prepared is given back: it is claimed already.
    fn prepare(&mut self, conn: &mut PgConnection, runner: &Runner) {
        match runner.prepare(conn, &self.steps) {
            Ok(ancestors) => self.ancestors = ancestors,
            Err(e) => {
                self.unreported.extend(self.steps.drain(..).map(|s| Report::Released(s.claim())));
                self.error = Some(e);
            }
        }
    }
}
