//! What processes decide: actions of their cores, timers, and handlers that begin and end.

use std::sync::Arc;

use serde_json::Value;
use tasker_engine::{
    commands::{Claim, FailedAttempt},
    report::Report,
    worker::core::{Action, End},
};
use tasker_model::FailureKind;

use super::{
    Kind,
    event::{Ending, Event, Request, Response, Who},
    process::{CAPACITY, Life, handler, held_of},
    weather::HANDLER,
    world::{Step, World, ensure},
};
use crate::model::Held;

/// So many times in a row a worker may be woken for nothing at one instant.
const SPINS: u32 = 20;

impl World {
    /// Does what the core of a process asks for, and sets its timer.
    pub(super) fn decide(&mut self, process: usize) -> Step {
        loop {
            let now = self.now;
            let Some(life) = &mut self.lives[process] else { return Ok(()) };
            let clock = life.clock(now);
            let Some(action) = life.core.next(clock) else { break };
            let who = life.who;
            match action {
                Action::Exchange(exchange) => self.ask(who, Request::Exchange(exchange)),
                Action::Renew(claims) => self.ask(who, Request::Renew { asked: clock, claims }),
                Action::Stop(claims) => self.stop_handlers(process, &claims),
                Action::AskDrained => {
                    return Err((Kind::Stuck, "a worker that works on asks whether to end".into()));
                }
                Action::Over(end) => {
                    self.over(who, end);
                    return Ok(());
                }
            }
        }
        self.set_timer(process)
    }

    fn set_timer(&mut self, process: usize) -> Step {
        let now = self.now;
        let Some(life) = &mut self.lives[process] else { return Ok(()) };
        let at = life.core.wake_at().as_millis().min(1_000_000) as u64 + life.started;
        if at <= now {
            self.spins = if self.spins.0 == now { (now, self.spins.1 + 1) } else { (now, 1) };
        }
        life.timer += 1;
        let (who, timer) = (life.who, life.timer);
        self.events.plan(at.max(now), Event::Timer(who, timer));
        ensure(self.spins.1 < SPINS, Kind::Stuck, || {
            format!("process {process} is woken again and again for nothing")
        })
    }

    pub(super) fn ask(&mut self, who: Who, request: Request) {
        let at = self.now + self.rng.u64(1..=self.weather.latency);
        self.events.plan(at, Event::Arrives(who, Arc::new(request)));
    }

    fn stop_handlers(&mut self, process: usize, claims: &[Claim]) {
        let Some(life) = &mut self.lives[process] else { return };
        for claim in claims {
            let Some(running) = life.running.get_mut(&handler(*claim)) else { continue };
            running.1 = true;
            let at = self.now + self.rng.u64(1..50);
            self.events.plan(at, Event::Ends(life.who, *claim, Ending::Reports(Report::Released(*claim))));
        }
    }

    fn over(&mut self, who: Who, end: End) {
        self.lives[who.process] = None;
        self.tell(|| format!("process {} is over: {end:?}", who.process));
        if end == End::Stopped {
            self.ask(who, Request::SignOff);
        }
        let back = self.now + self.rng.u64(1..1_000);
        self.events.plan(back, Event::Register(who.process));
    }

    pub(super) fn ends(&mut self, who: Who, claim: Claim, ending: Ending, event: Event) -> Step {
        let mut commits = false;
        let mut well = false;
        self.for_life(who, event, |life, _| {
            if !life.running.contains_key(&handler(claim)) {
                return false;
            }
            match ending {
                Ending::Commits => commits = true,
                Ending::Reports(report) => {
                    life.running.remove(&handler(claim));
                    well = matches!(report, Report::Completed(..));
                    life.core.ended(claim, Some(report));
                }
            }
            true
        })?;
        if commits {
            self.ask(who, Request::Commit(claim));
        }
        let held = held_of(claim);
        if well && self.store.step(held.at).is_held_by(held.token) {
            self.succeeded.insert((held.at, self.store.step(held.at).generation), who);
        }
        Ok(())
    }

    pub(super) fn answered(&mut self, who: Who, response: Arc<Response>, event: Event) -> Step {
        let mut started = vec![];
        self.for_life(who, event, |life, clock| {
            match &*response {
                Response::Exchanged(id, answer) => {
                    started.clone_from(&answer.claimed);
                    life.core.exchanged(clock, *id, answer.clone());
                    let run = answer.claimed.iter().map(|c| (handler(*c), (*c, false)));
                    life.running.extend(run);
                }
                Response::Refused(id) => life.core.refused(clock, *id),
                Response::CalledOff(id) => life.core.called_off(*id),
                Response::Renewed { asked, alive, lost, others } => {
                    life.core.renewed(*asked, *alive, lost, others);
                }
                Response::NotRenewed { asked } => life.core.not_renewed(clock, *asked),
                Response::Committed(claim) => {
                    life.running.remove(&handler(*claim));
                    life.core.ended(*claim, None);
                }
                Response::NotCommitted(claim) => {
                    life.running.remove(&handler(*claim));
                    life.core.ended(*claim, Some(failed(*claim, FailureKind::Retryable, 100)));
                }
            }
            true
        })?;
        started.into_iter().try_for_each(|claim| self.start(who, claim))
    }

    fn start(&mut self, who: Who, claim: Claim) -> Step {
        let held = held_of(claim);
        let calm = self.weather.is_calm();
        let time = if calm { 5 } else { [5, 50, 50, 500, 500, HANDLER][self.rng.usize(..6)] };
        let ending = match self.rng.u8(..100) {
            _ if calm => Ending::Reports(Report::Completed(claim, Value::Null)),
            0..15 => Ending::Reports(failed(claim, FailureKind::Retryable, self.rng.i64(1..2_000))),
            15..18 => Ending::Reports(failed(claim, FailureKind::Permanent, 0)),
            18..35 => Ending::Commits,
            _ => Ending::Reports(Report::Completed(claim, Value::Null)),
        };
        let at = self.now + self.rng.u64(1..=time);
        self.events.plan(at, Event::Ends(who, claim, ending));
        self.starts_once(who, held)
    }

    /// A step that is started is at work nowhere else, and did not end well before in a life that goes on.
    fn starts_once(&self, who: Who, held: Held) -> Step {
        let Some(life) = self.lives[who.process].as_ref().filter(|l| l.who == who) else { return Ok(()) };
        ensure(life.running.len() <= CAPACITY, Kind::Doubled, || {
            format!("process {} runs {} handlers and has {CAPACITY} places", who.process, life.running.len())
        })?;
        // An answer that comes after the lease is told to stop at once.
        let goes_on = life.at_work().any(|h| h == held);
        if !self.weather.is_honest() || !goes_on {
            return Ok(());
        }
        let others = self.lives.iter().flatten().filter(|l| l.who != who && l.frozen_until <= self.now);
        let twice = others.clone().find(|l| l.at_work().any(|h| h.at == held.at));
        ensure(twice.is_none(), Kind::Doubled, || format!("step {} is at work in two processes", held.at))?;
        let generation = self.store.step(held.at).generation;
        let before = self.succeeded.get(&(held.at, generation));
        let alive = before.filter(|w| {
            self.lives[w.process].as_ref().is_some_and(|l| l.who == **w && self.was_never_late(l))
        });
        ensure(alive.is_none(), Kind::Doubled, || {
            format!("step {} ended well in a process that lives on, and runs again", held.at)
        })
    }

    /// Whether its incarnation was never given up.
    fn was_never_late(&self, life: &Life) -> bool {
        !self.store.workers[life.worker].ended
    }
}

fn failed(claim: Claim, kind: FailureKind, delay_ms: i64) -> Report {
    Report::Failed(FailedAttempt { claim, kind, delay_ms, message: String::new() })
}
