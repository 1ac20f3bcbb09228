//! A worker process: its core, the handlers that run in it, and who it is to the database.

use std::{collections::BTreeMap, time::Duration};

use tasker_engine::{commands::Claim, worker::core::Limits};
use tasker_model::{StepId, TaskId};

use super::{
    event::Who,
    fault::{Fault, Faulty},
    weather::{LEASE, POLL, POLL_NOTIFIED},
};
use crate::model::{At, Held};

/// How many handlers run in a process at once.
pub(super) const CAPACITY: usize = 3;

/// A place in the store as the ids that the core knows.
pub(super) fn claim_of(held: Held) -> Claim {
    let step_id = StepId((held.at.task * 1_000 + held.at.step) as i64);
    Claim { task_id: TaskId(held.at.task as i64), step_id, token: held.token }
}

/// And back.
pub(super) fn held_of(claim: Claim) -> Held {
    let step = (claim.step_id.0 % 1_000) as usize;
    Held { at: At { task: claim.task_id.0 as usize, step }, token: claim.token }
}

/// One life of a process, from its registration to its end.
pub(super) struct Life {
    pub(super) who: Who,
    /// Its incarnation.
    pub(super) worker: usize,
    pub(super) core: Faulty,
    pub(super) started: u64,
    /// The handlers that run, each with whether it was told to stop.
    pub(super) running: BTreeMap<(i64, i32), (Claim, bool)>,
    /// The timer that counts; older ones do not.
    pub(super) timer: u64,
    pub(super) frozen_until: u64,
    /// In the second of its last look in vain: how many there were, and how many notifications.
    pub(super) vain: (u64, u32, u32),
    /// Since when its incarnation has been over, as far as somebody looked.
    pub(super) over_since: Option<u64>,
}

impl Life {
    pub(super) fn new(who: Who, worker: usize, started: u64, fault: Option<Fault>) -> Self {
        let ms = Duration::from_millis;
        let limits = Limits {
            capacity: CAPACITY,
            batch: 2,
            poll_min: ms(50),
            poll_max: ms(POLL),
            poll_notified: ms(POLL_NOTIFIED),
            lease: ms(LEASE),
            drain: ms(1_000),
            until_idle: false,
        };
        Self {
            who,
            worker,
            core: Faulty::new(limits, fault),
            started,
            running: BTreeMap::new(),
            timer: 0,
            frozen_until: 0,
            vain: (0, 0, 0),
            over_since: None,
        }
    }

    /// The process's own clock.
    pub(super) fn clock(&self, now: u64) -> Duration {
        Duration::from_millis(now - self.started)
    }

    /// Handlers that nobody told to stop.
    pub(super) fn at_work(&self) -> impl Iterator<Item = Held> {
        self.running.values().filter(|r| !r.1).map(|r| held_of(r.0))
    }
}

/// What names a handler that runs.
pub(super) fn handler(claim: Claim) -> (i64, i32) {
    (claim.step_id.0, claim.token)
}
