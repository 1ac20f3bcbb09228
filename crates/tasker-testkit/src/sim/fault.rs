//! The core of a worker with a seeded fault around it.

use std::time::Duration;

use tasker_engine::{
    commands::Claim,
    report::Report,
    worker::core::{Action, Answer, Core, Exchange, Limits},
};

/// A seeded fault of a worker's decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It reports without looking for more, and sleeps.
    SleepsAfterReport,
    /// It takes an incarnation that is over for alive.
    LivesOn,
    /// It takes a renewal that failed for one that held.
    TrustsFailedRenewal,
    /// It claims more than it has places for.
    ClaimsTooMany,
    /// It forgets reports that the database refused for now.
    ForgetsReports,
    /// It does not give back claims whose answer was lost.
    ForgetsStrays,
    /// It looks when it is notified, and only then.
    NeverPolls,
    /// It does not take back what dead workers held.
    NeverRecovers,
    /// It waits for the answer of a turn that a submission took along and that did not come about.
    AwaitsCalledOff,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SleepsAfterReport,
        Self::LivesOn,
        Self::TrustsFailedRenewal,
        Self::ClaimsTooMany,
        Self::ForgetsReports,
        Self::ForgetsStrays,
        Self::NeverPolls,
        Self::NeverRecovers,
        Self::AwaitsCalledOff,
    ];
}

/// A core, and what is wrong with it.
pub(super) struct Faulty {
    core: Core,
    fault: Option<Fault>,
    /// Whether it was notified since it last looked.
    woken: bool,
    /// Whether it reported since it last looked.
    reported: bool,
}

impl Faulty {
    pub(super) fn new(limits: Limits, fault: Option<Fault>) -> Self {
        Self { core: Core::new(limits, Duration::ZERO), fault, woken: true, reported: false }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn next(&mut self, now: Duration) -> Option<Action> {
        loop {
            let mut action = self.core.next(now)?;
            let Action::Exchange(exchange) = &mut action else { return Some(action) };
            if self.overlooks(exchange) {
                self.core.exchanged(now, exchange.id, Answer::default());
                continue;
            }
            match self.fault {
                Some(Fault::SleepsAfterReport) if !exchange.reports.is_empty() => {
                    (exchange.claim, self.reported) = (0, true);
                }
                Some(Fault::ClaimsTooMany) => exchange.claim *= 2,
                Some(Fault::NeverRecovers) => exchange.expire = false,
                _ => {}
            }
            return Some(action);
        }
    }

    /// Whether this is a look that it does not take.
    fn overlooks(&mut self, exchange: &Exchange) -> bool {
        let look = exchange.reports.is_empty() && exchange.claim > 0;
        match self.fault {
            Some(Fault::NeverPolls) => look && !std::mem::take(&mut self.woken),
            Some(Fault::SleepsAfterReport) => look && std::mem::take(&mut self.reported),
            _ => false,
        }
    }

    pub(super) fn wake_at(&self) -> Duration {
        self.core.wake_at()
    }

    pub(super) fn ended(&mut self, claim: Claim, report: Option<Report>) {
        self.core.ended(claim, report);
    }

    pub(super) fn exchanged(&mut self, now: Duration, id: u64, mut answer: Answer) {
        if self.has(Fault::SleepsAfterReport) {
            answer.left_ready = false;
        }
        self.core.exchanged(now, id, answer);
    }

    pub(super) fn take_along(&mut self, now: Duration) -> Option<Exchange> {
        self.core.take_along(now)
    }

    pub(super) fn called_off(&mut self, id: u64) {
        if !self.has(Fault::AwaitsCalledOff) {
            self.core.called_off(id);
        }
    }

    pub(super) fn refused(&mut self, now: Duration, id: u64) {
        match self.fault {
            Some(Fault::ForgetsReports) => self.core.exchanged(now, id, Answer::default()),
            _ => self.core.refused(now, id),
        }
    }

    pub(super) fn renewed(&mut self, asked: Duration, alive: bool, lost: &[Claim], others: &[Claim]) {
        let others = if self.has(Fault::ForgetsStrays) { &[] } else { others };
        self.core.renewed(asked, alive || self.has(Fault::LivesOn), lost, others);
    }

    pub(super) fn not_renewed(&mut self, now: Duration, asked: Duration) {
        match self.fault {
            Some(Fault::TrustsFailedRenewal) => self.core.renewed(asked, true, &[], &[]),
            _ => self.core.not_renewed(now),
        }
    }

    pub(super) fn woken(&mut self) {
        self.woken = true;
        self.core.woken();
    }

    pub(super) fn set_notified(&mut self, now: Duration, notified: bool) {
        self.core.set_notified(now, notified);
    }

    pub(super) fn stop(&mut self, now: Duration) {
        self.core.stop(now);
    }
}
