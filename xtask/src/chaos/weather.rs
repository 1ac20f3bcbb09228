//! The weather: tasks come at a steady rate, and one trouble follows another, each followed by calm until the
//! workers have caught up. Judged when all has settled.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Timestamptz};
use serde_json::json;
use tasker_localpg::Cluster;

use super::{
    Options,
    faults::{Fault, Victim, session},
    load::Load,
    throughput::Completions,
};
use crate::{
    battery::{
        effects,
        evidence::Evidence,
        judge::{Verdict, judge},
        number,
        process::{Process, Workers},
    },
    database::Scratch,
};

const LEASE: Duration = Duration::from_secs(3);

/// Steps that a worker runs at once.
const IN_FLIGHT: usize = 16;

/// Calm before the first trouble and after each.
const CALM: Duration = Duration::from_secs(1);

/// How soon the workers are to be back at their pace.
const LIMIT_MS: f64 = 10_000.0;

/// Without any task settling for so long, what is open is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Steps of a task.
const STEPS: f64 = 4.0;

/// What came of one or more runs.
#[derive(Default)]
struct Sum {
    verdict: Verdict,
    ended: u64,
    troubles: BTreeMap<String, u64>,
    recoveries: BTreeMap<String, Vec<f64>>,
    never_back: Vec<String>,
}

pub(super) fn run(options: &Options) -> Result<Evidence> {
    let mut sum = Sum::default();
    for run in 0..options.runs {
        let seed = options.seed + u64::from(run);
        // A server of its own, since it is made to crash: durable, small enough to be filled, quick to see deadlocks.
        let scratch = Scratch::of_its_own(&[("max_connections", "60"), ("deadlock_timeout", "20ms")])?;
        eprintln!("run {} of {}, seed {seed}, {}", run + 1, options.runs, scratch.describe());
        Weather::new(options, &scratch)?.blow(fastrand::Rng::with_seed(seed), &mut sum)?;
    }
    Ok(evidence(options, sum))
}

fn evidence(options: &Options, sum: Sum) -> Evidence {
    let mut all: Vec<f64> = sum.recoveries.values().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let mut evidence = Evidence {
        runs: options.runs,
        kills: sum.ended,
        seed: options.seed,
        recovery_p99_ms: all.get((all.len() * 99).div_ceil(100).saturating_sub(1)).copied(),
        ..Evidence::of(&sum.verdict)
    };
    let worst = |waits: &Vec<f64>| waits.iter().copied().fold(0.0, f64::max);
    evidence.set("recovery_limit_ms", LIMIT_MS);
    evidence.set(
        "recovery_max_ms",
        json!(sum.recoveries.iter().map(|(k, w)| (k, worst(w))).collect::<BTreeMap<_, _>>()),
    );
    evidence.set("troubles", json!(sum.troubles));
    evidence.set("steps_per_s", f64::from(options.rate) * STEPS);
    evidence.set("workers", options.workers);
    evidence.set("lease_ms", LEASE.as_millis() as u64);
    evidence.set("trouble_seconds", options.seconds);
    evidence.violations.extend(sum.never_back);
    evidence
}

/// A trouble that is over.
struct Passed {
    fault: Fault,
    end: DateTime<Utc>,
    /// Whether enough was left to submit to see the pace come back.
    enough: bool,
}

struct Weather<'a> {
    options: &'a Options,
    scratch: &'a Scratch,
    cluster: &'a Cluster,
    ledgers: tempfile::TempDir,
    running: Vec<Process>,
}

impl<'a> Weather<'a> {
    fn new(options: &'a Options, scratch: &'a Scratch) -> Result<Self> {
        let cluster = scratch.cluster().context("A server of its own is needed")?;
        effects::prepare(&mut session(&scratch.url)?)?;
        let ledgers = tempfile::tempdir().context("There is no place for the calls")?;
        Ok(Self { options, scratch, cluster, ledgers, running: vec![] })
    }

    fn blow(mut self, mut rng: fastrand::Rng, sum: &mut Sum) -> Result<()> {
        let workers = Workers {
            url: &self.scratch.url,
            ledgers: self.ledgers.path(),
            lease: LEASE,
            in_flight: IN_FLIGHT,
            doom: None,
        };
        for n in 1..=self.options.workers {
            self.running.push(workers.start(&format!("worker-{n}"))?);
        }
        let start = now(&mut session(&self.scratch.url)?)?;
        let load = Load::start(&self.scratch.url, self.options.tasks, self.options.rate);
        let (mut ends, mut round) = (vec![], Fault::ALL);
        while ends.is_empty() || load.submitted() < self.options.tasks {
            rng.shuffle(&mut round);
            for fault in round {
                // The first round is whole, however few the tasks.
                if ends.len() < round.len() || load.submitted() < self.options.tasks {
                    ends.push(self.trouble(fault, &load, sum)?);
                }
            }
        }
        load.finish()?;
        self.until_settled()?;
        let mut conn = session(&self.scratch.url)?;
        let mut verdict = judge(&mut conn, self.options.tasks as usize, self.ledgers.path())?;
        for process in std::mem::take(&mut self.running) {
            if !process.stop()? {
                verdict.unsound.push("a worker ended by itself or badly".into());
            }
        }
        self.recoveries(&Completions::of(&mut conn, start)?, &ends, sum);
        sum.verdict += verdict;
        Ok(())
    }

    /// Calm, and then the trouble.
    fn trouble(&self, fault: Fault, load: &Load, sum: &mut Sum) -> Result<Passed> {
        thread::sleep(CALM);
        self.caught_up(load)?;
        let victim = Victim { cluster: self.cluster, url: &self.scratch.url };
        let started = Instant::now();
        let ended = victim.suffer(fault, Duration::from_secs_f64(self.options.seconds));
        let ended = ended.with_context(|| format!("The trouble {fault:?} could not be made"))?;
        eprintln!(
            "{:>5} submitted, {fault:?} for {:.1} s, {ended} sessions or servers ended",
            load.submitted(),
            started.elapsed().as_secs_f64()
        );
        sum.ended += ended;
        *sum.troubles.entry(format!("{fault:?}")).or_default() += 1;
        let end = now(&mut session(&self.scratch.url)?)?;
        let enough = load.submitted() + 3 * self.options.rate <= self.options.tasks;
        Ok(Passed { fault, end, enough })
    }

    /// Waits until few tasks are open, so that one trouble's backlog is not the next one's.
    fn caught_up(&self, load: &Load) -> Result<()> {
        let (mut conn, start) = (session(&self.scratch.url)?, Instant::now());
        let few = i64::from(self.options.rate / 2).max(5);
        while number(&mut conn, OPEN)? > few
            && start.elapsed() < Duration::from_secs(15)
            && load.submitted() > 0
        {
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn until_settled(&self) -> Result<()> {
        let mut conn = session(&self.scratch.url)?;
        let (mut open, mut progress) = (i64::MAX, Instant::now());
        while open > 0 && progress.elapsed() < PATIENCE {
            let left = number(&mut conn, OPEN)?;
            if left < open {
                (open, progress) = (left, Instant::now());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn recoveries(&self, completions: &Completions, troubles: &[Passed], sum: &mut Sum) {
        let pace = f64::from(self.options.rate) * STEPS;
        // A run of tenths of a second is for what is counted: beside other work its pace says nothing.
        let judged = |t: &&Passed| t.enough && self.options.seconds >= 1.0;
        for Passed { fault, end, .. } in troubles.iter().filter(judged) {
            match completions.back_after(*end, pace) {
                Some(ms) if ms <= LIMIT_MS => {
                    sum.recoveries.entry(format!("{fault:?}")).or_default().push(ms);
                }
                back => sum.never_back.push(format!("after {fault:?} the pace was back after {back:?} ms")),
            }
        }
    }
}

const OPEN: &str = "select count(*) from tasker.tasks where finished_at is null";

fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>> {
    #[derive(QueryableByName)]
    struct Now {
        #[diesel(sql_type = Timestamptz)]
        now: DateTime<Utc>,
    }
    Ok(sql_query("select clock_timestamp() as now").get_result::<Now>(conn)?.now)
}
