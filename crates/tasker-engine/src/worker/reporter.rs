//! The report loop: commits whatever has ended since its last commit, so that batches grow with the load.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tasker_model::StepId;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::WorkerReport;
use crate::{
    clock::Clock,
    commands::Changes,
    db::{Db, DbError},
    event::{Event, EventSink},
    report::{self, Report},
};

/// The most reports that one commit takes.
const BATCH: usize = 500;

/// An ended attempt on its way to the database.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) report: Report,
    pub(super) step_name: String,
    pub(super) attempt: i32,
}

pub(super) struct Reporter {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) events: EventSink,
    pub(super) wake: Arc<Notify>,
    pub(super) totals: WorkerReport,
}

impl Reporter {
    /// Commits until every sender is gone. A report is tried again for as long as the database only refuses
    /// it for now; `give_up` ends that where nobody waits for the answer any more.
    pub(super) async fn run(
        mut self,
        mut ended: mpsc::Receiver<Ended>,
        give_up: CancellationToken,
    ) -> Result<WorkerReport, DbError> {
        let mut batch = Vec::new();
        while ended.recv_many(&mut batch, BATCH).await > 0 {
            let changes = self.commit(&batch, &give_up).await?;
            if let Some(changes) = changes {
                self.tell(&batch, &changes);
            }
            batch.clear();
        }
        Ok(self.totals)
    }

    async fn commit(&self, batch: &[Ended], give_up: &CancellationToken) -> Result<Option<Changes>, DbError> {
        let mut wait = self.db.patience("reporting");
        loop {
            let reports: Vec<Report> = batch.iter().map(|e| e.report.clone()).collect();
            let now = self.clock.now();
            match self.db.query(move |conn| report::apply(conn, &reports, now)).await {
                Ok(changes) => return Ok(Some(changes)),
                Err(e) if e.is_transient() => wait.after(&e, give_up).await,
                Err(e) => return Err(e),
            }
            if give_up.is_cancelled() {
                return Ok(None);
            }
        }
    }

    fn tell(&mut self, batch: &[Ended], changes: &Changes) {
        let by_step: HashMap<StepId, &Ended> = batch.iter().map(|e| (e.report.claim().step_id, e)).collect();
        for step in &changes.accepted {
            if let Some(ended) = by_step.get(step) {
                self.accepted(ended, changes.dead.contains(step));
            }
        }
        for ended in batch.iter().filter(|e| !changes.accepted.contains(&e.report.claim().step_id)) {
            self.totals.lease_lost += 1;
            let claim = ended.report.claim();
            self.events.emit(&Event::LeaseLost { task_id: claim.task_id, step_id: claim.step_id });
        }
        settled(&self.events, changes);
        // Also where nothing became ready: a slot is free, or a retry is due.
        self.wake.notify_one();
    }

    fn accepted(&mut self, ended: &Ended, dead: bool) {
        let claim = ended.report.claim();
        let (task_id, step_id) = (claim.task_id, claim.step_id);
        match &ended.report {
            Report::Completed(..) => {
                self.totals.completed += 1;
                self.events.emit(&Event::StepCompleted {
                    task_id,
                    step_id,
                    step_name: ended.step_name.clone(),
                });
            }
            Report::Released(_) => {
                self.totals.released += 1;
                self.events.emit(&Event::StepReleased { task_id, step_id });
            }
            Report::Failed(failed) => {
                self.totals.failed += 1;
                let delay = Duration::from_millis(failed.delay_ms.unsigned_abs());
                self.events.emit(&Event::StepFailed {
                    task_id,
                    step_id,
                    step_name: ended.step_name.clone(),
                    attempt: ended.attempt,
                    kind: failed.kind,
                    message: failed.message.clone(),
                    retry_in: (!dead).then_some(delay),
                });
            }
        }
    }
}

/// Tells of the tasks that settled.
pub(super) fn settled(events: &EventSink, changes: &Changes) {
    for (task_id, state) in &changes.settled {
        events.emit(&Event::TaskSettled { task_id: *task_id, state: *state });
    }
}
