//! What a worker counts and tells: events after their commit, and totals.

use std::{collections::HashMap, time::Duration};

use tasker_model::{StepId, StepState};

use super::WorkerReport;
use crate::{
    commands::{Changes, Claim, ClaimedStep, Written},
    event::{Event, EventSink},
    report::Report,
};

#[derive(Debug)]
pub(super) struct Telling {
    events: EventSink,
    totals: WorkerReport,
    /// Name and attempt of what was claimed and is not reported yet.
    known: HashMap<Claim, (String, i32)>,
}

/// Whether this is the report that was written.
fn is_of(written: &Written, report: &Report) -> bool {
    let state = match report {
        Report::Completed(..) => StepState::Complete,
        Report::Failed(_) => StepState::Error,
        Report::Released(_) => StepState::Pending,
    };
    let claim = report.claim();
    (written.step_id, written.token, written.state) == (claim.step_id, claim.token, state)
}

impl Telling {
    pub(super) fn new(events: EventSink) -> Self {
        Self { events, totals: WorkerReport::default(), known: HashMap::new() }
    }

    pub(super) fn add_to(&self, total: &mut WorkerReport) {
        total.completed += self.totals.completed;
        total.failed += self.totals.failed;
        total.released += self.totals.released;
        total.lease_lost += self.totals.lease_lost;
    }

    pub(super) fn claimed(&mut self, step: &ClaimedStep) {
        self.known.insert(step.claim(), (step.step_name.clone(), step.attempt));
        self.events.emit(&Event::StepClaimed {
            task_id: step.task_id,
            step_id: step.step_id,
            step_name: step.step_name.clone(),
            attempt: step.attempt,
        });
    }

    /// What became of reports that the database has decided, some of them on an earlier try.
    pub(super) fn reported(&mut self, reports: &[Report], changes: &Changes, written: &[Written]) {
        let accepted: HashMap<StepId, bool> = changes.accepted.iter().map(|s| (*s, false)).collect();
        let over = changes.dead.iter().chain(&changes.held).map(|s| (*s, true));
        let accepted: HashMap<StepId, bool> = accepted.into_iter().chain(over).collect();
        let mut settled = changes.settled.clone();
        for report in reports {
            match accepted.get(&report.claim().step_id) {
                Some(over) => self.accepted(report, *over),
                None => match written.iter().find(|w| is_of(w, report)) {
                    Some(w) => {
                        self.accepted(report, w.over);
                        // Several steps of one task may have been in the commit that settled it.
                        let state = w.settled.map(|state| (report.claim().task_id, state));
                        settled.extend(state.filter(|s| !settled.contains(s)));
                    }
                    None => self.lost(report.claim()),
                },
            }
        }
        for (task_id, state) in settled {
            self.events.emit(&Event::TaskSettled { task_id, state });
        }
    }

    pub(super) fn lost(&mut self, claim: Claim) {
        self.known.remove(&claim);
        self.totals.lease_lost += 1;
        self.events.emit(&Event::LeaseLost { task_id: claim.task_id, step_id: claim.step_id });
    }

    fn accepted(&mut self, report: &Report, over: bool) {
        let claim = report.claim();
        let (task_id, step_id) = (claim.task_id, claim.step_id);
        let (step_name, attempt) = self.known.remove(&claim).unwrap_or_default();
        match report {
            Report::Completed(..) => {
                self.totals.completed += 1;
                self.events.emit(&Event::StepCompleted { task_id, step_id, step_name });
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
                    step_name,
                    attempt,
                    kind: failed.kind,
                    message: failed.message.clone(),
                    retry_in: (!over).then_some(delay),
                });
            }
        }
    }
}
