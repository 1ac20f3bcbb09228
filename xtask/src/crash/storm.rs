//! The storm: workers are killed with SIGKILL every half to two seconds and started again, while tasks are
//! submitted at the rate at which they settle, so that an orphaned step waits for its recovery and not behind a
//! backlog. One in five is frozen past its lease instead: it comes back and reports what it no longer holds.

use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use diesel::PgConnection;
use indicatif::{ProgressBar, ProgressStyle};
use tasker_engine::db::connect;

use super::{
    Options,
    recovery::{self, Waits},
};
use crate::{
    battery::{
        effects::{self, Work},
        evidence::Evidence,
        judge::{Verdict, judge},
        number,
        process::{POLL, Process, Workers},
    },
    database::Scratch,
};

/// Tasks that are open at once.
const OPEN: usize = 60;

/// Steps that a worker runs at once.
const IN_FLIGHT: usize = 32;

const WORK: Work = Work(5, 40);

/// Without any task settling for so long, what is open is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(options: &Options) -> Result<Evidence> {
    let server = Scratch::durable(options.database_url.clone())?;
    eprintln!("database: {}", server.describe());
    let mut total = Outcome::default();
    for run in 0..options.runs {
        let seed = options.seed + u64::from(run);
        let outcome = {
            let scratch = server.another()?;
            Storm::new(options, &scratch, seed)?.blow()?
        };
        eprintln!("run {} of {}, seed {seed}: {}", run + 1, options.runs, outcome.sentence());
        total += outcome;
    }
    Ok(total.evidence(options))
}

/// What came of one run, or of several.
#[derive(Default)]
struct Outcome {
    verdict: Verdict,
    waits: Waits,
    kills: u64,
    freezes: u64,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.verdict += other.verdict;
        self.waits.extend(other.waits);
        self.kills += other.kills;
        self.freezes += other.freezes;
    }
}

impl Outcome {
    fn sentence(&self) -> String {
        let [_, claimed] = self.waits.quantiles();
        let [p50, p99, max] = claimed.unwrap_or_default();
        format!(
            "{} tasks, {} kills, {} freezes; {} orphaned steps claimed again after {p50} ms (p99 {p99}, max {max}); {} violations",
            self.verdict.tasks,
            self.kills,
            self.freezes,
            self.waits.orphans(),
            self.verdict.violations().len()
        )
    }

    fn evidence(&self, options: &Options) -> Evidence {
        let mut evidence = Evidence {
            runs: options.runs,
            kills: self.kills,
            seed: options.seed,
            ..Evidence::of(&self.verdict)
        };
        let limit = (options.lease() + POLL + options.margin()).as_millis() as f64;
        let [taken_back, claimed] = self.waits.quantiles();
        evidence.recovery_p99_ms = claimed.map(|[_, p99, _]| p99);
        evidence.set("recovery_limit_ms", limit);
        evidence.set("recovery_p50_ms", claimed.map(|w| w[0]));
        evidence.set("recovery_max_ms", claimed.map(|w| w[2]));
        evidence.set("claimable_p99_ms", taken_back.map(|w| w[1]));
        evidence.set("orphaned_steps", self.waits.orphans());
        evidence.set("freezes", self.freezes);
        evidence.set("workers", options.workers);
        evidence.set("lease_ms", options.lease().as_millis() as u64);
        evidence.set("poll_ms", POLL.as_millis() as u64);
        if let Some([_, p99, _]) = claimed.filter(|w| w[1] > limit) {
            evidence.violations.push(format!("recovery took {p99} ms (p99), the limit is {limit} ms"));
        }
        evidence
    }
}

struct Storm<'a> {
    options: &'a Options,
    rng: fastrand::Rng,
    conn: PgConnection,
    ledgers: tempfile::TempDir,
    scratch: &'a Scratch,
    running: Vec<Process>,
    started: u32,
    kills: u64,
    freezes: u64,
    /// A frozen worker and when it thaws; at most one at a time.
    frozen: Option<(Process, Instant)>,
    /// Workers that ended though nobody had killed them, or ended badly.
    ended: usize,
}

impl<'a> Storm<'a> {
    fn new(options: &'a Options, scratch: &'a Scratch, seed: u64) -> Result<Self> {
        let mut conn = connect(&scratch.url)?;
        effects::prepare(&mut conn)?;
        recovery::prepare(&mut conn)?;
        let ledgers = tempfile::tempdir().context("There is no place for the calls")?;
        Ok(Self {
            options,
            rng: fastrand::Rng::with_seed(seed),
            conn,
            ledgers,
            scratch,
            running: vec![],
            started: 0,
            kills: 0,
            freezes: 0,
            frozen: None,
            ended: 0,
        })
    }

    /// From the first submission to the verdict.
    fn blow(mut self) -> Result<Outcome> {
        for _ in 0..self.options.workers {
            self.start()?;
        }
        self.until_settled()?;
        for process in std::mem::take(&mut self.running) {
            self.ended += usize::from(!process.stop()?);
        }
        let mut verdict = judge(&mut self.conn, self.options.tasks as usize, self.ledgers.path())?;
        if self.ended > 0 {
            verdict.unsound.push(format!("{} workers ended by themselves or badly", self.ended));
        }
        let waits = Waits::of(&mut self.conn)?;
        Ok(Outcome { verdict, waits, kills: self.kills, freezes: self.freezes })
    }

    fn start(&mut self) -> Result<()> {
        self.started += 1;
        let workers = Workers {
            url: &self.scratch.url,
            ledgers: self.ledgers.path(),
            lease: self.options.lease(),
            in_flight: IN_FLIGHT,
            doom: None,
        };
        self.running.push(workers.start(&format!("worker-{}", self.started))?);
        Ok(())
    }

    /// Submits, kills and starts again until every task has settled or nothing settles any more.
    fn until_settled(&mut self) -> Result<()> {
        let total = self.options.tasks as usize;
        let bar = bar(total)?;
        let (mut submitted, mut settled, mut progress) = (0, 0, Instant::now());
        let mut next_kill = Instant::now() + self.calm();
        while settled < total && progress.elapsed() < PATIENCE {
            let open = usize::try_from(number(&mut self.conn, OPEN_TASKS)?)?;
            if submitted - open > settled {
                (settled, progress) = (submitted - open, Instant::now());
            }
            let more = (total - submitted).min(OPEN.saturating_sub(open));
            effects::submit_tasks(&mut self.conn, more, WORK)?;
            submitted += more;
            self.replace_the_ended()?;
            self.thaw(false)?;
            // However fast the machine is: a storm that kills nobody shows nothing.
            let overdue = self.kills == 0 && submitted >= total / 2;
            if overdue || Instant::now() >= next_kill {
                self.strike()?;
                next_kill = Instant::now() + self.calm();
            }
            bar.set_position(settled as u64);
            bar.set_message(format!("{} kills", self.kills));
            std::thread::sleep(Duration::from_millis(20));
        }
        bar.finish_and_clear();
        self.thaw(true)
    }

    fn replace_the_ended(&mut self) -> Result<()> {
        for place in (0..self.running.len()).rev() {
            if self.running[place].has_ended()? {
                self.running.swap_remove(place);
                self.ended += 1;
                // What ended one would end the next at once.
                std::thread::sleep(Duration::from_secs(1));
                self.start()?;
            }
        }
        Ok(())
    }

    fn calm(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(500..=2_000))
    }

    fn strike(&mut self) -> Result<()> {
        let freezes = self.rng.u8(..) < 51 && self.kills > 0;
        if self.running.is_empty() {
            return Ok(());
        }
        let victim = self.running.swap_remove(self.rng.usize(..self.running.len()));
        if freezes && self.frozen.is_none() {
            victim.freeze()?;
            self.frozen = Some((victim, Instant::now() + self.options.lease() * 3 / 2));
            self.freezes += 1;
            return Ok(());
        }
        recovery::note(&mut self.conn, &victim.name)?;
        victim.kill()?;
        self.kills += 1;
        self.start()
    }

    /// Lets the frozen worker go on once its time has come, or `now`.
    fn thaw(&mut self, now: bool) -> Result<()> {
        if let Some((process, _)) = self.frozen.take_if(|(_, at)| now || Instant::now() >= *at) {
            process.thaw()?;
            self.running.push(process);
        }
        Ok(())
    }
}

const OPEN_TASKS: &str = "select count(*) from tasker.tasks where finished_at is null";

fn bar(tasks: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} tasks  {msg}  {elapsed}")?;
    Ok(ProgressBar::new(tasks as u64).with_style(style))
}
