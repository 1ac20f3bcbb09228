//! The simulated world: what happens, in the order of its time.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use fastrand::Rng;

use super::{
    Failure, Fault, Kind, Run,
    event::{Event, Events, Request, Who},
    process::Life,
    weather::{LEASE, TROUBLE, Weather},
};
use crate::model::{At, Plan, Store, Workflow};

/// The last events that a failure tells of.
const STORY: usize = 40;

pub(super) type Step = Result<(), (Kind, String)>;

pub(super) fn ensure(holds: bool, kind: Kind, wrong: impl FnOnce() -> String) -> Step {
    if holds { Ok(()) } else { Err((kind, wrong())) }
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) rng: Rng,
    pub(super) fault: Option<Fault>,
    pub(super) weather: Weather,
    pub(super) now: u64,
    /// What the database's clock shows beyond the time.
    pub(super) skew: i64,
    pub(super) down_until: u64,
    /// The same for each process by itself.
    pub(super) cut_off_until: Vec<u64>,
    pub(super) store: Store,
    pub(super) lives: Vec<Option<Life>>,
    pub(super) born: u32,
    pub(super) events: Events,
    /// Generations whose handler ended well, and in which life.
    pub(super) succeeded: HashMap<(At, i32), Who>,
    /// Dead workers that hold steps, and since when.
    pub(super) overdue: HashMap<usize, u64>,
    pub(super) spins: (u64, u32),
    pub(super) story: VecDeque<String>,
    pub(super) run: Run,
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
    pub(super) fn clock(&self) -> i64 {
        self.now as i64 + self.skew
    }

    pub(super) fn in_trouble(&self) -> bool {
        self.now < TROUBLE
    }

    pub(super) fn chance(&mut self, of_a_thousand: u32) -> bool {
        self.in_trouble() && self.rng.u32(..1_000) < of_a_thousand
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
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
    pub(super) fn for_life(
        &mut self,
        who: Who,
        event: Event,
        work: impl FnOnce(&mut Life, Duration) -> bool,
    ) -> Step {
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

    /// Submits a task, every other one by way of a process whose core takes a turn along.
    fn submit(&mut self) -> Step {
        let workflow = self.workflow();
        let process = self.rng.usize(..self.lives.len());
        let (now, through) = (self.now, !self.weather.is_calm() && self.rng.bool());
        let life = self.lives[process].as_mut().filter(|l| through && l.frozen_until <= now);
        let along = life.and_then(|l| l.core.take_along(l.clock(now)).map(|exchange| (l.who, exchange)));
        if let Some((who, exchange)) = along {
            self.ask(who, Request::Submit(workflow, exchange));
            // Its timer may be about what the turn takes along.
            return self.decide(process);
        }
        self.create(&workflow);
        self.notify();
        self.sound()
    }

    pub(super) fn create(&mut self, workflow: &Workflow) -> usize {
        self.run.tasks += 1;
        self.run.steps += workflow.steps().len();
        let task = self.store.submit(workflow, &[], self.clock());
        self.tell(|| {
            let parents: Vec<_> = workflow.steps().iter().map(|s| &s.parents).collect();
            format!("task {task} is submitted: {parents:?}")
        });
        task
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
    pub(super) fn notify(&mut self) {
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
