//! Kills at marked points: each point is reached again and again by a process that dies there, while others go on.
//! Every point has a database of its own, in which its kills follow one another.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use diesel::PgConnection;
use serde_json::{Map, Value, json};
use tasker_engine::db::connect;

use super::{
    Options,
    points::{self, Place, Prelude, Stopped},
};
use crate::{
    battery::{
        effects::{self, Work},
        evidence::Evidence,
        judge::{Verdict, judge},
        number,
        process::{Doom, Process, Workers},
    },
    database::Scratch,
};

/// Points that are tried at once: most of the time is leases that run out.
const AT_ONCE: usize = 3;

/// Tasks of one kill, and how much their steps work.
const TASKS: usize = 6;
const WORK: Work = Work(1, 15);

/// Steps that a worker runs at once: few, so that several workers hold some.
const IN_FLIGHT: usize = 4;

/// Without the point being reached, or everything settling, for so long, something is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn run(options: &Options, kills: u32) -> Result<Evidence> {
    let places = Place::all();
    let server = Scratch::new(options.database_url.clone())?;
    eprintln!("database: {}; {} points, {kills} kills each", server.describe(), places.len());
    let (next, results) = (AtomicUsize::new(0), Mutex::new(vec![]));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let result = Trial::new(options, &server, *place).and_then(|t| t.run(kills));
                    eprintln!("{}: {}", place.title(), sentence(&result, started));
                    results.lock().unwrap_or_else(|e| e.into_inner()).push((place.title(), result));
                }
            });
        }
    });
    let results = results.into_inner().map_err(|_| anyhow!("a trial panicked"))?;
    Ok(evidence(options, kills, results))
}

fn sentence(result: &Result<Verdict>, started: Instant) -> String {
    match result {
        Ok(v) if v.violations().is_empty() => {
            format!("good, {} tasks, {:.0} s", v.tasks, started.elapsed().as_secs_f64())
        }
        Ok(v) => v.violations().join("; "),
        Err(e) => format!("{e:#}"),
    }
}

fn evidence(options: &Options, kills: u32, results: Vec<(String, Result<Verdict>)>) -> Evidence {
    let (mut verdict, mut failures, mut points) = (Verdict::default(), vec![], Map::new());
    for (name, result) in results {
        match result {
            Ok(its) => {
                let violations = its.violations();
                failures.extend(violations.iter().map(|v| format!("{name}: {v}")));
                points.insert(name, json!({"kills": kills, "violations": violations.len()}));
                verdict += its;
            }
            Err(e) => failures.push(format!("{name}: {e:#}")),
        }
    }
    let mut evidence = Evidence { runs: kills, seed: options.seed, ..Evidence::of(&verdict) };
    evidence.kills = u64::from(kills) * points.len() as u64;
    evidence.set("points", Value::Object(points));
    evidence.set("lease_ms", options.lease().as_millis() as u64);
    evidence.violations = failures;
    evidence
}

/// One point in its database.
struct Trial<'a> {
    options: &'a Options,
    place: Place,
    rng: fastrand::Rng,
    conn: PgConnection,
    scratch: Scratch,
    ledgers: tempfile::TempDir,
    running: Vec<Process>,
    /// Processes that have been asked to stop, or that submit.
    leaving: Vec<Process>,
    started: u32,
    acknowledged: usize,
}

impl<'a> Trial<'a> {
    fn new(options: &'a Options, server: &Scratch, place: Place) -> Result<Self> {
        let scratch = server.another()?;
        let mut conn = connect(&scratch.url)?;
        effects::prepare(&mut conn)?;
        if let Place::Database(point) = place {
            points::prepare(&mut conn, point)?;
        }
        Ok(Self {
            options,
            place,
            rng: fastrand::Rng::with_seed(options.seed),
            conn,
            scratch,
            ledgers: tempfile::tempdir().context("There is no place for the calls")?,
            running: vec![],
            leaving: vec![],
            started: 0,
            acknowledged: 0,
        })
    }

    fn run(mut self, kills: u32) -> Result<Verdict> {
        for kill in 0..kills {
            while self.running.len() < self.options.workers as usize {
                let process = self.start()?;
                self.running.push(process);
            }
            self.kill(kill).with_context(|| format!("kill {kill}, seed {}", self.options.seed))?;
        }
        self.until_settled()?;
        for process in self.running.drain(..).chain(self.leaving.drain(..)) {
            ensure!(process.stop()?, "a worker ended badly");
        }
        judge(&mut self.conn, self.acknowledged, self.ledgers.path())
    }

    fn workers(&self) -> Workers<'_> {
        Workers {
            url: &self.scratch.url,
            ledgers: self.ledgers.path(),
            lease: self.options.lease(),
            in_flight: IN_FLIGHT,
            doom: None,
        }
    }

    fn name(&mut self) -> String {
        self.started += 1;
        format!("process-{}", self.started)
    }

    fn start(&mut self) -> Result<Process> {
        let name = self.name();
        self.workers().start(&name)
    }

    fn submit(&mut self) -> Result<()> {
        effects::submit_tasks(&mut self.conn, TASKS, WORK)?;
        self.acknowledged += TASKS;
        Ok(())
    }

    /// Brings a process to the place and kills it there.
    fn kill(&mut self, kill: u32) -> Result<()> {
        self.submit()?;
        match self.place.prelude() {
            Prelude::Death => self.death()?,
            Prelude::Prune => effects::submit_spent(&mut self.conn, TASKS)?,
            _ => {}
        }
        let before = self.tasks()?;
        let arrival = self.rng.u32(1..=self.place.arrivals());
        match self.place {
            Place::Database(_) => self.kill_in_database(arrival, kill % 2 == 1)?,
            Place::Engine(name, when) => self.kill_in_engine(Doom { name, when, arrival })?,
        }
        match self.place.prelude() {
            Prelude::Submit => self.take_in_unacknowledged(before),
            Prelude::Prune => self.prune_the_rest(before),
            _ => Ok(()),
        }
    }

    /// Every other session is let go on to its commit.
    fn kill_in_database(&mut self, arrival: u32, commits: bool) -> Result<()> {
        points::arm(&mut self.conn, arrival)?;
        self.provoke()?;
        let session = self.until_stopped()?;
        // The session may be that of a process that is dead already: then it is the one that was killed.
        if let Some(process) = self.remove(&session.process) {
            process.kill()?;
        }
        points::resolve(&mut self.conn, &session, commits)
    }

    /// Starts processes that die at the point until one has: one that is told to stop may have had nothing to do.
    fn kill_in_engine(&mut self, doom: Doom) -> Result<()> {
        let started = Instant::now();
        loop {
            let mut process = self.doomed(doom.clone())?;
            let mut told = self.place.prelude() != Prelude::Stop;
            let died = loop {
                if let Some(well) = process.ended()? {
                    break !well;
                }
                ensure!(started.elapsed() < PATIENCE, "the point was not reached");
                if !told && self.holds(&process.name)? {
                    process.tell_to_stop();
                    told = true;
                }
                // Where tasks are counted before and after, nobody else adds any.
                let counted = matches!(self.place.prelude(), Prelude::Submit | Prelude::Prune);
                if !counted && self.open()? == 0 {
                    self.submit()?;
                }
                thread::sleep(Duration::from_millis(2));
            };
            if died {
                return Ok(());
            }
        }
    }

    fn doomed(&mut self, doom: Doom) -> Result<Process> {
        let name = self.name();
        let workers = Workers { doom: Some(doom), ..self.workers() };
        match self.place.prelude() {
            Prelude::Submit => workers.submit(&name, TASKS, WORK),
            Prelude::Prune => workers.prune(&name),
            _ => workers.start(&name),
        }
    }

    /// Kills a worker while it holds a step.
    fn death(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            let victim = self.rng.usize(..self.running.len());
            if self.holds(&self.running[victim].name.clone())? {
                return self.running.swap_remove(victim).kill();
            }
            ensure!(started.elapsed() < PATIENCE, "no worker ever holds a step");
            if self.open()? == 0 {
                self.submit()?;
            }
        }
    }

    fn holds(&mut self, worker: &str) -> Result<bool> {
        let held = format!(
            "select count(*) from tasker.workflow_steps s join tasker.workers w using (worker_id) where w.name = '{worker}'"
        );
        Ok(number(&mut self.conn, &held)? > 0)
    }

    fn provoke(&mut self) -> Result<()> {
        let name = self.name();
        match self.place.prelude() {
            Prelude::Work | Prelude::Death => {}
            Prelude::Start => {
                let process = self.workers().start(&name)?;
                self.running.push(process);
            }
            Prelude::Prune => {
                let process = self.workers().prune(&name)?;
                self.leaving.push(process);
            }
            Prelude::Submit => {
                let process = self.workers().submit(&name, TASKS, WORK)?;
                self.leaving.push(process);
            }
            Prelude::Stop => {
                let place = self.rng.usize(..self.running.len());
                let mut process = self.running.swap_remove(place);
                process.tell_to_stop();
                self.leaving.push(process);
            }
        }
        Ok(())
    }

    /// Waits until a session stands at the point, and gives the workers more to do where they have nothing.
    fn until_stopped(&mut self) -> Result<Stopped> {
        let started = Instant::now();
        loop {
            if let Some(session) = points::stopped(&mut self.conn)? {
                return Ok(session);
            }
            if self.place.prelude() == Prelude::Work && self.open()? == 0 {
                self.submit()?;
            }
            ensure!(started.elapsed() < PATIENCE, "the point was not reached");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn remove(&mut self, name: &str) -> Option<Process> {
        [&mut self.running, &mut self.leaving].into_iter().find_map(|processes| {
            let place = processes.iter().position(|p| p.name == name)?;
            Some(processes.swap_remove(place))
        })
    }

    /// What the killed process submitted was acknowledged by nobody: it may be there, but whole.
    fn take_in_unacknowledged(&mut self, before: i64) -> Result<()> {
        let there = usize::try_from(self.tasks()? - before)?;
        ensure!(there == 0 || there == TASKS, "{there} of {TASKS} tasks were submitted");
        self.acknowledged += there;
        Ok(())
    }

    /// A batch is gone as a whole or there as a whole; then what is there is deleted.
    fn prune_the_rest(&mut self, before: i64) -> Result<()> {
        let gone = usize::try_from(before - self.tasks()?)?;
        ensure!(gone == 0 || gone == TASKS, "{gone} of {TASKS} tasks were pruned");
        effects::prune_spent(&mut self.conn)?;
        ensure!(self.tasks()? == before - TASKS as i64, "tasks are left that had to be pruned");
        Ok(())
    }

    fn tasks(&mut self) -> Result<i64> {
        number(&mut self.conn, "select count(*) from tasker.tasks")
    }

    fn open(&mut self) -> Result<i64> {
        number(&mut self.conn, "select count(*) from tasker.tasks where finished_at is null")
    }

    fn until_settled(&mut self) -> Result<()> {
        let started = Instant::now();
        while self.open()? > 0 && started.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
