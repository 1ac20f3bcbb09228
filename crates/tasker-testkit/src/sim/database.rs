//! The database: requests arrive, happen or not, and are answered or not.

use std::{sync::Arc, time::Duration};

use tasker_engine::{
    commands::Claim,
    report::Report,
    worker::core::{Answer, Exchange},
};

use super::{
    Kind,
    event::{Event, Request, Response, Who},
    process::{claim_of, held_of},
    world::{Step, World},
};
use crate::model::{Ask, Held, Turn};

fn tell_turn(who: Who, exchange: &Exchange, turn: &Turn) -> String {
    let report = |r: &Report| match r {
        Report::Completed(c, _) => format!("{} complete", held_of(*c).at),
        Report::Failed(f) => format!("{} failed ({})", held_of(f.claim).at, f.kind),
        Report::Released(c) => format!("{} given back", held_of(*c).at),
    };
    let reports: Vec<String> = exchange.reports.iter().map(report).collect();
    let claimed: Vec<String> = turn.claimed.iter().map(|h| h.at.to_string()).collect();
    format!("process {} reports [{}] and gets [{}]", who.process, reports.join(", "), claimed.join(", "))
}

impl World {
    pub(super) fn arrive(&mut self, who: Who, request: &Request) -> Step {
        let refused = self.is_unreachable(who.process) || self.chance(self.weather.refused);
        // Whoever submits and is refused does so again.
        if refused && matches!(request, Request::Submit(..)) {
            self.events.plan(self.now + 300, Event::Submits);
        }
        let response = if refused { self.refuse(request) } else { self.serve(who, request) };
        self.sound()?;
        // What a transactional handler did is known to it: it asks again. The rest may go unanswered.
        let lost = !matches!(request, Request::Commit(_)) && self.chance(self.weather.unanswered);
        let Some(response) = response else { return Ok(()) };
        if lost {
            self.run.lost_answers += 1;
            self.tell(|| format!("process {} gets no answer", who.process));
            let Some(refusal) = self.refuse(request) else { return Ok(()) };
            self.events.plan(self.now + 1_000, Event::Answers(who, Arc::new(refusal)));
        } else {
            let at = self.now + self.rng.u64(1..=self.weather.latency);
            self.events.plan(at, Event::Answers(who, Arc::new(response)));
        }
        Ok(())
    }

    pub(super) fn is_unreachable(&self, process: usize) -> bool {
        self.now < self.down_until || self.now < self.cut_off_until[process]
    }

    fn refuse(&self, request: &Request) -> Option<Response> {
        match request {
            Request::Exchange(exchange) => Some(Response::Refused(exchange.id)),
            Request::Submit(_, exchange) => Some(Response::CalledOff(exchange.id)),
            Request::Renew { asked, .. } => Some(Response::NotRenewed { asked: *asked }),
            Request::Commit(claim) => Some(Response::NotCommitted(*claim)),
            Request::SignOff => None,
        }
    }

    fn serve(&mut self, who: Who, request: &Request) -> Option<Response> {
        // A request outlives its process: it was on its way.
        let worker = self.worker_of(who)?;
        match request {
            Request::Exchange(exchange) => {
                Some(Response::Exchanged(exchange.id, self.exchange(who, worker, exchange)))
            }
            Request::Submit(workflow, exchange) => {
                let task = self.create(workflow);
                let answer = self.exchange(who, worker, exchange);
                if self.store.tasks[task].steps.iter().any(|s| s.available_at.is_some()) {
                    self.notify();
                }
                Some(Response::Exchanged(exchange.id, answer))
            }
            Request::Renew { asked, claims } => {
                let alive = self.store.renew(worker, self.clock());
                if !alive {
                    self.tell(|| format!("process {} finds its lease over", who.process));
                }
                let (lost, others) = self.notes(worker, claims, alive);
                Some(Response::Renewed { asked: *asked, alive, lost, others })
            }
            Request::Commit(claim) => {
                let changes = self.store.complete(&[held_of(*claim)], self.clock());
                self.tell(|| {
                    format!("process {} commits step {}: {changes:?}", who.process, held_of(*claim).at)
                });
                if !changes.ready.is_empty() {
                    self.notify();
                }
                Some(Response::Committed(*claim))
            }
            Request::SignOff => {
                self.store.end_worker(worker, self.clock());
                None
            }
        }
    }

    /// The incarnation of a life, also of one that is over: incarnations are registered in the order of lives.
    fn worker_of(&self, who: Who) -> Option<usize> {
        Some(who.life as usize - 1).filter(|w| *w < self.store.workers.len())
    }

    /// One turn: failures and releases, then what succeeded together with the claim. Between the two the
    /// connection may break.
    fn exchange(&mut self, who: Who, worker: usize, exchange: &Exchange) -> Answer {
        let clock = self.clock();
        let (mut completed, mut unreported) = (vec![], vec![]);
        let mut left_ready = false;
        for report in exchange.reports.iter() {
            let held = held_of(report.claim());
            match report {
                Report::Completed(..) => completed.push(held),
                Report::Failed(f) => _ = self.store.fail(&[(held, f.kind, f.delay_ms)], clock),
                Report::Released(_) => _ = self.store.release(&[held], clock),
            }
        }
        if self.chance(self.weather.refused / 4) && !completed.is_empty() {
            let done = |r: &&Report| matches!(r, Report::Completed(..));
            unreported = exchange.reports.iter().filter(done).cloned().collect();
            self.tell(|| format!("process {}: its turn breaks half way", who.process));
            return Answer { unreported, ..Answer::default() };
        }
        let ask = Ask { limit: exchange.claim, further: exchange.further, expire: exchange.expire };
        let turn = self.store.exchange(worker, ask, &completed, clock);
        left_ready |= !turn.changes.ready.is_empty();
        if exchange.reports.is_empty() && turn.claimed.is_empty() {
            self.looked_in_vain(who.process);
        } else {
            self.tell(|| tell_turn(who, exchange, &turn));
        }
        let anything = left_ready || exchange.reports.len() > completed.len();
        // In a calm world only a submission tells: whoever reports looks by itself.
        if anything && !self.weather.is_calm() {
            self.notify();
        }
        let due_in = turn.due_in.map(|ms| Duration::from_millis(ms.max(0) as u64));
        Answer {
            claimed: turn.claimed.iter().map(|h| claim_of(*h)).collect(),
            left_ready,
            due_in,
            unreported,
        }
    }

    fn looked_in_vain(&mut self, process: usize) {
        let second = self.now / 1_000;
        let Some(life) = &mut self.lives[process] else { return };
        if life.vain.0 != second {
            life.vain = (second, 0, 0);
        }
        life.vain.1 += 1;
    }

    /// Which of the claims are lost, and which others the incarnation holds.
    fn notes(&self, worker: usize, claims: &[Claim], alive: bool) -> (Vec<Claim>, Vec<Claim>) {
        if !alive {
            return (vec![], vec![]);
        }
        let claims: Vec<Held> = claims.iter().map(|c| held_of(*c)).collect();
        let (lost, others) = self.store.notes(worker, &claims);
        let ids = |held: Vec<Held>| held.into_iter().map(claim_of).collect();
        (ids(lost), ids(others))
    }

    pub(super) fn sound(&mut self) -> Step {
        let sound = self.store.check().map_err(|wrong| (Kind::Lost, wrong));
        self.store.log.clear();
        sound
    }
}
