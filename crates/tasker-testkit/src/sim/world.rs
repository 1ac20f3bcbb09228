//! The simulated world: what happens, in the order of its time, and what must hold meanwhile.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use serde_json::Value;
use tasker_engine::{
    commands::{Claim, FailedAttempt},
    report::Report,
    worker::core::{Action, Answer, End, Exchange},
};
use tasker_model::FailureKind;

use super::{
    Failure, Fault, Kind, Run,
    event::{Ending, Event, Events, Request, Response, Who},
    process::{CAPACITY, Life, claim_of, handler, held_of},
    weather::{HANDLER, LEASE, POLL, TROUBLE, Weather},
};
use crate::model::{At, Held, Plan, Store, Turn, Workflow};

/// By then every task has settled: every step may use all its attempts, each as long as can be, with the longest
/// wait before the next.
const END: u64 = TROUBLE + 300_000;

/// How long a step of a dead worker may stay with it beyond its lease, once there is no more trouble: the longest
/// pause of a worker, the longest time in which all its places are taken, and a few answers.
const RECOVERY: u64 = POLL + HANDLER + 3_000;

/// In a calm world nothing waits for a poll: ten steps take a few milliseconds each.
const CALM: u64 = 250;

/// So many times in a row a worker may be woken for nothing at one instant.
const SPINS: u32 = 20;

/// So many looks in vain a worker may take in a second, and two more for each notification.
const LOOKS: u32 = 25;

/// The last events that a failure tells of.
const STORY: usize = 40;

type Step = Result<(), (Kind, String)>;

fn ensure(holds: bool, kind: Kind, wrong: impl FnOnce() -> String) -> Step {
    if holds { Ok(()) } else { Err((kind, wrong())) }
}

pub(super) struct World {
    seed: u64,
    rng: Rng,
    fault: Option<Fault>,
    weather: Weather,
    now: u64,
    /// What the database's clock shows beyond the time.
    skew: i64,
    down_until: u64,
    /// The same for each process by itself.
    cut_off_until: Vec<u64>,
    store: Store,
    lives: Vec<Option<Life>>,
    born: u32,
    events: Events,
    /// Generations whose handler ended well, and in which life.
    succeeded: HashMap<(At, i32), Who>,
    /// Dead workers that hold steps, and since when.
    overdue: HashMap<usize, u64>,
    spins: (u64, u32),
    story: VecDeque<String>,
    run: Run,
}

impl World {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let weather = Weather::of(seed, &mut rng);
        let mut world = Self {
            seed,
            rng,
            fault,
            weather,
            now: 0,
            skew: 0,
            down_until: 0,
            cut_off_until: vec![0; weather.workers],
            store: Store::default(),
            lives: (0..weather.workers).map(|_| None).collect(),
            born: 0,
            events: Events::default(),
            succeeded: HashMap::new(),
            overdue: HashMap::new(),
            spins: (0, 0),
            story: VecDeque::new(),
            run: Run::default(),
        };
        world.plan();
        world
    }

    fn plan(&mut self) {
        let weather = self.weather;
        for process in 0..weather.workers {
            let at = self.rng.u64(0..500);
            self.events.plan(at, Event::Register(process));
        }
        let tasks = if weather.is_calm() { 1 } else { self.rng.usize(2..=6) };
        for n in 0..tasks as u64 {
            let at = if weather.is_calm() { 1_000 } else { n * self.rng.u64(0..1_500) };
            self.events.plan(at, Event::Submits);
        }
        for _ in 0..weather.deaths {
            let event = if self.rng.u8(..) < 60 { Event::Stops } else { Event::Dies };
            self.trouble(|rng| event(rng.usize(..weather.workers)));
        }
        for _ in 0..weather.freezes {
            self.trouble(|rng| Event::Freezes(rng.usize(..weather.workers), rng.u64(100..2 * LEASE)));
        }
        for _ in 0..weather.partitions {
            self.trouble(|rng| Event::CutOff(rng.usize(..weather.workers), rng.u64(100..3 * LEASE)));
        }
        for _ in 0..weather.outages {
            self.trouble(|rng| Event::Outage(rng.u64(100..2 * LEASE)));
        }
        for _ in 0..weather.jumps {
            self.trouble(|rng| Event::Jump(rng.i64(-10_000..=10_000)));
        }
        for _ in 0..weather.operations {
            self.trouble(|_| Event::Operates);
        }
    }

    fn trouble(&mut self, event: impl FnOnce(&mut Rng) -> Event) {
        let at = self.rng.u64(500..TROUBLE);
        let event = event(&mut self.rng);
        self.events.plan(at, event);
    }

    pub(super) fn run(mut self) -> Result<Run, Box<Failure>> {
        while let Some((at, event)) = self.events.next() {
            self.now = at;
            self.run.events += 1;
            let done = self.happen(event).and_then(|()| self.watch());
            if let Err((kind, wrong)) = done {
                let story = self.story.into_iter().collect();
                return Err(Box::new(Failure { seed: self.seed, at_ms: self.now, kind, wrong, story }));
            }
            if self.is_over() {
                self.run.settled_after_ms = self.now.saturating_sub(TROUBLE);
                break;
            }
        }
        Ok(self.run)
    }

    /// Whether there is no more trouble and every task has settled.
    fn is_over(&self) -> bool {
        let quiet = self.now >= TROUBLE || self.weather.is_calm() && self.now > 1_000;
        quiet && self.store.tasks.iter().all(|t| !t.state.is_open())
    }

    /// The database's clock.
    fn clock(&self) -> i64 {
        self.now as i64 + self.skew
    }

    fn in_trouble(&self) -> bool {
        self.now < TROUBLE
    }

    fn chance(&mut self, of_a_thousand: u32) -> bool {
        self.in_trouble() && self.rng.u32(..1_000) < of_a_thousand
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.story.len() >= STORY {
            self.story.pop_front();
        }
        let now = self.now;
        self.story.push_back(format!("{now:>6} {}", line()));
    }
}

/// What happens.
impl World {
    fn happen(&mut self, event: Event) -> Step {
        match event {
            Event::Register(process) => self.register(process),
            Event::Submits => self.submit(),
            Event::Dies(process) => self.die(process),
            Event::Stops(process) => {
                self.tell(|| format!("process {process} is asked to stop"));
                self.with(process, |life, clock| life.core.stop(clock))
            }
            Event::Freezes(process, time) => {
                self.tell(|| format!("process {process} stands still for {time} ms"));
                if let Some(life) = &mut self.lives[process] {
                    life.frozen_until = life.frozen_until.max(self.now + time);
                }
                Ok(())
            }
            Event::CutOff(process, time) => {
                self.tell(|| format!("process {process} cannot reach the database for {time} ms"));
                let until = &mut self.cut_off_until[process];
                *until = (*until).max(self.now + time);
                Ok(())
            }
            Event::Outage(time) => {
                self.tell(|| format!("the database cannot be reached for {time} ms"));
                self.down_until = self.down_until.max(self.now + time);
                Ok(())
            }
            Event::Jump(by) => {
                self.tell(|| format!("the database's clock jumps by {by} ms"));
                // The database has no instant before its beginning.
                self.skew = (self.skew + by).max(-(self.now as i64));
                Ok(())
            }
            Event::Operates => self.operate(),
            Event::Arrives(who, request) => self.arrive(who, &request),
            Event::Timer(who, timer) => self.for_life(who, Event::Timer(who, timer), |life, _| {
                // Another timer was set since: this one does not count.
                life.timer == timer
            }),
            Event::Notified(who) => self.for_life(who, Event::Notified(who), |life, _| {
                life.core.woken();
                life.vain.2 += 1;
                true
            }),
            Event::Ends(who, claim, ref ending) => self.ends(who, claim, ending.clone(), event),
            Event::Answers(who, ref response) => self.answered(who, response.clone(), event),
        }
    }

    /// Does something to a life if it is still the one meant, or later if it stands still; and then whatever its
    /// core decides, if that is called for.
    fn for_life(&mut self, who: Who, event: Event, work: impl FnOnce(&mut Life, Duration) -> bool) -> Step {
        let now = self.now;
        let Some(life) = self.lives[who.process].as_mut().filter(|l| l.who == who) else { return Ok(()) };
        if life.frozen_until > now {
            self.events.plan(life.frozen_until, event);
            return Ok(());
        }
        let clock = life.clock(now);
        if work(life, clock) { self.decide(who.process) } else { Ok(()) }
    }

    fn with(&mut self, process: usize, work: impl FnOnce(&mut Life, Duration)) -> Step {
        let now = self.now;
        let Some(life) = &mut self.lives[process] else { return Ok(()) };
        let clock = life.clock(now);
        work(life, clock);
        if life.frozen_until > now { Ok(()) } else { self.decide(process) }
    }

    fn register(&mut self, process: usize) -> Step {
        if self.lives[process].is_some() {
            return Ok(());
        }
        if self.is_unreachable(process) {
            self.events.plan(self.now + 300, Event::Register(process));
            return Ok(());
        }
        self.born += 1;
        let who = Who { process, life: self.born };
        let worker = self.store.register(&[0], LEASE as i64, self.clock());
        let mut life = Life::new(who, worker, self.now, self.fault);
        if self.weather.unheard.is_some() || self.weather.is_calm() {
            life.core.set_notified(Duration::ZERO, true);
        }
        self.lives[process] = Some(life);
        self.tell(|| format!("process {process} registers as incarnation {worker}"));
        self.decide(process)
    }

    fn die(&mut self, process: usize) -> Step {
        if self.lives[process].take().is_some() {
            self.run.kills += 1;
            self.tell(|| format!("process {process} dies"));
        }
        let back = self.now + self.rng.u64(1..5_000);
        self.events.plan(back, Event::Register(process));
        Ok(())
    }

    fn submit(&mut self) -> Step {
        let workflow = self.workflow();
        self.run.tasks += 1;
        self.run.steps += workflow.steps().len();
        let task = self.store.submit(&workflow, &[], self.clock());
        self.tell(|| {
            format!(
                "task {task} is submitted: {:?}",
                workflow.steps().iter().map(|s| &s.parents).collect::<Vec<_>>()
            )
        });
        self.notify();
        self.sound()
    }

    fn workflow(&mut self) -> Workflow {
        if self.weather.is_calm() {
            let chain = (0..10usize).map(|n| Plan::below(&n.checked_sub(1).into_iter().collect::<Vec<_>>()));
            return Workflow::new(chain.collect(), false);
        }
        let density = self.rng.f64();
        let steps = (0..self.rng.usize(1..=5)).map(|n| {
            let parents: Vec<usize> = (0..n).filter(|_| self.rng.f64() < density).collect();
            Plan { retry_limit: self.rng.i32(2..=4), priority: self.rng.i16(2..=3), ..Plan::below(&parents) }
        });
        let steps = steps.collect();
        Workflow::new(steps, self.rng.u8(..) < 60)
    }

    fn operate(&mut self) -> Step {
        if self.store.tasks.is_empty() {
            return Ok(());
        }
        let task = self.rng.usize(..self.store.tasks.len());
        let step = self.rng.usize(..self.store.tasks[task].steps.len());
        let (clock, at) = (self.clock(), At { task, step });
        let what = match self.rng.u8(..4) {
            0 => format!("cancels task {task}: {:?}", self.store.cancel(task, clock)),
            1 => format!("retries task {task}: {:?}", self.store.retry_task(task, clock)),
            2 => format!("retries step {at}: {:?}", self.store.retry(&[at], clock).1),
            _ => format!("resolves step {at}: {:?}", self.store.resolve(&[at], clock).1),
        };
        self.tell(|| format!("an operator {what}"));
        self.notify();
        self.sound()
    }

    /// Tells every process that there may be something to claim; some do not hear it, some hear it twice.
    fn notify(&mut self) {
        let unheard = if self.weather.is_calm() { Some(0) } else { self.weather.unheard };
        let Some(unheard) = unheard else { return };
        for process in 0..self.lives.len() {
            let Some(who) = self.lives[process].as_ref().map(|l| l.who) else { continue };
            let times = if self.chance(unheard) { 0 } else { 1 + usize::from(self.rng.u8(..) < 20) };
            for _ in 0..times {
                let at = self.now + self.rng.u64(1..=self.weather.latency);
                self.events.plan(at, Event::Notified(who));
            }
        }
    }
}

/// What processes decide.
impl World {
    /// Does what the core of a process asks for, and sets its timer.
    fn decide(&mut self, process: usize) -> Step {
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

    fn ask(&mut self, who: Who, request: Request) {
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

    fn ends(&mut self, who: Who, claim: Claim, ending: Ending, event: Event) -> Step {
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

    fn answered(&mut self, who: Who, response: Arc<Response>, event: Event) -> Step {
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

/// The database.
impl World {
    fn arrive(&mut self, who: Who, request: &Request) -> Step {
        let refused = self.is_unreachable(who.process) || self.chance(self.weather.refused);
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

    fn is_unreachable(&self, process: usize) -> bool {
        self.now < self.down_until || self.now < self.cut_off_until[process]
    }

    fn refuse(&self, request: &Request) -> Option<Response> {
        match request {
            Request::Exchange(exchange) => Some(Response::Refused(exchange.id)),
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
        let turn = self.store.exchange(worker, exchange.claim, exchange.expire, &completed, clock);
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
        let lost =
            claims.iter().filter(|c| self.store.step(held_of(**c).at).seq != c.token).copied().collect();
        let theirs = self.store.steps().filter(|(_, s)| s.worker == Some(worker));
        let others =
            theirs.map(|(at, s)| claim_of(Held { at, token: s.seq })).filter(|c| !claims.contains(c));
        (lost, others.collect())
    }

    fn sound(&mut self) -> Step {
        let sound = self.store.check().map_err(|wrong| (Kind::Lost, wrong));
        self.store.log.clear();
        sound
    }
}

/// What must hold as time passes.
impl World {
    fn watch(&mut self) -> Step {
        let open = self.store.tasks.iter().position(|t| t.state.is_open());
        let limit = if self.weather.is_calm() { 1_000 + CALM } else { END };
        if let Some(task) = open.filter(|_| self.now > limit) {
            let steps: Vec<String> = self.store.tasks[task].steps.iter().map(ToString::to_string).collect();
            return Err((Kind::Stuck, format!("task {task} has not settled: {}", steps.join("; "))));
        }
        self.nobody_lives_on()?;
        let busy = self.lives.iter().flatten().find(|l| l.vain.1 > LOOKS + 2 * l.vain.2);
        ensure(busy.is_none(), Kind::Stuck, || {
            format!("process {:?} looks in vain again and again", busy.map(|l| l.who.process))
        })?;
        if self.in_trouble() || self.weather.is_calm() {
            return Ok(());
        }
        let (clock, now) = (self.clock(), self.now.max(self.down_until));
        let held: HashSet<usize> = self.store.steps().filter_map(|(_, s)| s.worker).collect();
        let dead = |w: &usize| self.store.workers[*w].lease_until <= clock;
        let dead: HashSet<usize> = held.into_iter().filter(dead).collect();
        self.overdue.retain(|w, _| dead.contains(w));
        dead.into_iter().for_each(|w| _ = self.overdue.entry(w).or_insert(now));
        let late = self.overdue.iter().find(|(_, since)| self.now > **since + RECOVERY);
        ensure(late.is_none(), Kind::Stuck, || {
            format!("what incarnation {:?} held is not taken back", late.map(|l| l.0))
        })
    }
    /// A process whose incarnation is over learns of it, or finds that it can no longer be sure, within a lease and
    /// a few answers.
    fn nobody_lives_on(&mut self) -> Step {
        let now = self.now;
        for process in 0..self.lives.len() {
            let reachable = self.down_until.max(self.cut_off_until[process]);
            let Some(life) = &mut self.lives[process] else { continue };
            if !self.store.workers[life.worker].ended {
                continue;
            }
            let since = *life.over_since.get_or_insert(now);
            let since = since.max(reachable).max(life.frozen_until);
            ensure(now <= since + LEASE + 5_000, Kind::Stuck, || {
                format!("process {process} lives on under an incarnation that is over")
            })?;
        }
        Ok(())
    }
}
