//! `cargo xtask prove`: the rule of readiness in plain Rust against the functions, the stored counters and
//! `sql/check/`, over every small task and as many random ones as asked for. `cargo xtask readiness` answers for
//! task states that others have recorded.

use std::{
    fs,
    io::{BufWriter, Write},
    path::PathBuf,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tasker_model::{
    StepState::{Cancelled, Complete, Error, InProgress, Pending, ResolvedManually},
    TaskId, TaskState,
};
use tasker_testkit::{
    TestDatabase,
    cases::{StepCase, TaskCase, write},
    proof::{Proven, prove},
    recorded::{answer, read_case},
};

#[derive(Args)]
pub(crate) struct Options {
    /// How many tasks: first every DAG of up to four steps in every kind of state (1,341,229 tasks), then
    /// random ones.
    #[arg(long, default_value_t = 1_400_000)]
    tasks: usize,
    /// The seed of the random tasks.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct CaseFile {
    /// One JSON case a line.
    file: PathBuf,
}

/// Tasks that one database takes.
const BATCH: usize = 20_000;

/// Steps that differ in what they mean to their children and to their task.
fn kinds() -> Vec<StepCase> {
    let step = StepCase::new;
    vec![
        step(Pending, 0),
        StepCase { due: 1, ..step(Pending, 1) },
        StepCase { retry_limit: 0, ..step(Pending, 0) },
        StepCase { held: true, ..step(Pending, 0) },
        step(InProgress, 1),
        step(Error, 1),
        StepCase { due: 1, ..step(Error, 2) },
        step(Error, 3),
        StepCase { permanent: true, ..step(Error, 1) },
        step(Complete, 1),
        step(Cancelled, 0),
        step(ResolvedManually, 0),
    ]
}

/// Every DAG of up to four steps, each step of every kind; task number `n` of them, `None` after the last.
fn small(mut n: usize, kinds: &[StepCase]) -> Option<TaskCase> {
    for size in 0..=4usize {
        let (edges, states) = (size * size.saturating_sub(1) / 2, kinds.len().pow(size as u32));
        let count = states << edges;
        if n < count {
            return Some(task_of(n / states, n % states, size, kinds));
        }
        n -= count;
    }
    None
}

fn task_of(mut edges: usize, mut states: usize, size: usize, kinds: &[StepCase]) -> TaskCase {
    let mut steps = vec![];
    for child in 0..size {
        let parents: Vec<usize> = (0..child).filter(|p| edges >> p & 1 == 1).collect();
        edges >>= child;
        steps.push(kinds[states % kinds.len()].clone().below(&parents));
        states /= kinds.len();
    }
    TaskCase::new(steps).settled()
}

/// A DAG of up to ten steps with any flags.
fn random(rng: &mut fastrand::Rng) -> TaskCase {
    let density = rng.f64();
    let steps = (0..rng.usize(1..=10)).map(|child| {
        let state = [Pending, InProgress, Error, Complete, Cancelled, ResolvedManually][rng.usize(..6)];
        let attempts = rng.i32(i32::from(state == InProgress)..=4);
        let mut step = StepCase::new(state, attempts);
        (step.retry_limit, step.retryable, step.permanent) =
            (rng.i32(0..=4), rng.f64() < 0.8, rng.f64() < 0.1);
        (step.held, step.paused, step.due) = (rng.f64() < 0.1, rng.f64() < 0.1, rng.i32(-1..=1));
        step.below(&(0..child).filter(|_| rng.f64() < density).collect::<Vec<_>>())
    });
    let mut task = TaskCase::new(steps.collect());
    for n in 0..task.steps.len() {
        if !task.is_claimable(&task.steps[n]) {
            task.steps[n].due = 0;
        }
    }
    task.state = TaskState::ALL[rng.usize(..TaskState::ALL.len())];
    (task.paused, task.queue_paused) = (rng.f64() < 0.1, rng.f64() < 0.1);
    task
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let (kinds, mut rng, started) = (kinds(), fastrand::Rng::with_seed(options.seed), Instant::now());
    let bar = ProgressBar::new(options.tasks as u64)
        .with_style(ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} tasks  {eta} left")?);
    let (mut proven, mut next) = (Proven::default(), 0);
    while next < options.tasks {
        let numbers = next..options.tasks.min(next + BATCH);
        next = numbers.end;
        let tasks: Vec<_> = numbers.map(|n| small(n, &kinds).unwrap_or_else(|| random(&mut rng))).collect();
        // What has a log is proven apart from what no command leads to.
        for half in [true, false] {
            let part: Vec<_> = tasks.iter().filter(|t| t.is_reachable() == half).cloned().collect();
            proven += prove(&part).map_err(|e| anyhow!("seed {}, tasks before {next}: {e}", options.seed))?;
        }
        bar.set_position(next as u64);
    }
    bar.finish_and_clear();
    show(options, &proven, started.elapsed().as_secs_f64());
    Ok(())
}

fn show(options: &Options, proven: &Proven, seconds: f64) {
    let Proven { tasks, steps, ready, with_log } = *proven;
    if options.json {
        let seed = options.seed;
        let object = json!({"tasks": tasks, "steps": steps, "ready": ready, "with_log": with_log, "differences": 0, "seed": seed, "seconds": seconds});
        println!("{object}");
    } else {
        println!(
            "{tasks} tasks with {steps} steps ({ready} of them ready), {with_log} of the tasks with their log: rule, functions, counters and check agree; {seconds:.0} s"
        );
    }
}

/// Answers every case of the file, a line each, in its order.
pub(crate) fn answer_file(options: &CaseFile) -> Result<()> {
    let text = fs::read_to_string(&options.file)
        .with_context(|| format!("{} cannot be read", options.file.display()))?;
    let mut cases: Vec<Value> = vec![];
    for (n, line) in (1..).zip(text.lines()).filter(|(_, l)| !l.trim().is_empty()) {
        cases.push(
            serde_json::from_str(line)
                .with_context(|| format!("{}:{n} is no JSON", options.file.display()))?,
        );
    }
    let mut tasks = vec![];
    for (n, case) in (1..).zip(&cases) {
        let task = read_case(case).map_err(|e| anyhow!("case {n}: {e}"))?;
        ensure!(task.steps.len() <= 1000, "case {n}: more than 1000 steps");
        tasks.push(task);
    }
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    write(conn, &tasks);
    let mut out = BufWriter::new(std::io::stdout().lock());
    for (id, case) in (1i64..).zip(&cases) {
        writeln!(out, "{}", answer(conn, TaskId(id), case).map_err(|e| anyhow!(e))?)?;
    }
    Ok(out.flush()?)
}
