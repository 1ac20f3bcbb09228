//! The workloads and their figures, the same for every library.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::observe::Observer;

/// How many steps stand between the first and the last of a fan.
pub const WIDTH: usize = 100;
/// Workflows that are run before the clock counts.
const WARM_UP: usize = 5;
/// Between two workflows, so that each finds an idle worker.
const IDLE: Duration = Duration::from_millis(3);
/// The longest that no step has to end.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Workflows of four steps in a row, from the first submission to the last completion.
    W1,
    /// One workflow of one step at a time, from its submission to its completion.
    W2One,
    /// One workflow of four steps at a time.
    W2Four,
    /// One step, a hundred that depend on it, one that depends on all of them; one workflow at a time.
    W3,
}

impl Workload {
    /// How often each step of so many workflows runs, by its place.
    pub fn steps(self, tasks: usize) -> Vec<usize> {
        match self {
            Workload::W1 | Workload::W2Four => vec![tasks; 4],
            Workload::W2One => vec![tasks],
            Workload::W3 => vec![tasks, tasks * WIDTH, tasks],
        }
    }

    /// Warm-up included.
    pub fn workflows(self, tasks: usize) -> usize {
        if self == Workload::W1 { tasks } else { tasks + WARM_UP }
    }
}

/// How often the handlers have run, by the step's place in its workflow.
#[derive(Clone)]
pub struct Tally(Arc<(Vec<AtomicUsize>, Notify)>);

impl Tally {
    pub fn new(workload: Workload) -> Self {
        let steps = workload.steps(0).iter().map(|_| AtomicUsize::new(0)).collect();
        Self(Arc::new((steps, Notify::new())))
    }

    /// A handler runs.
    pub fn ran(&self, step: usize) {
        self.0.0[step].fetch_add(1, Ordering::Relaxed);
        if step + 1 == self.0.0.len() {
            self.0.1.notify_one();
        }
    }

    /// Waits until the last step has run so often. That it is committed is left to the observer to see.
    pub async fn last_step_ran(&self, times: usize) -> Result<()> {
        let last = self.0.0.last().expect("a workload has steps");
        while last.load(Ordering::Relaxed) < times {
            tokio::time::timeout(PATIENCE, self.0.1.notified()).await.with_context(|| {
                format!("nothing ends any more after {} of {times}", last.load(Ordering::Relaxed))
            })?;
        }
        Ok(())
    }

    /// Fails unless each handler has run exactly as often as the workload asks.
    pub fn require(&self, wanted: &[usize]) -> Result<()> {
        let ran: Vec<usize> = self.0.0.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        ensure!(ran == wanted, "the steps ran {ran:?} times and not {wanted:?}");
        Ok(())
    }
}

/// A library with its worker running.
pub trait Peer {
    /// Submits so many workflows and returns when another connection sees the end of all of them.
    async fn bulk(&mut self, tasks: usize, observer: &mut Observer) -> Result<()>;

    /// Submits the workflow of that number, counted from 1, and returns when another connection sees its end.
    async fn one(&mut self, number: usize, observer: &mut Observer) -> Result<()>;

    /// Fails unless the library's tables show the end of so many workflows and of every step.
    async fn verify(&mut self, workflows: usize, observer: &mut Observer) -> Result<()>;
}

/// Runs, verifies, and says what it took.
pub async fn measure(
    peer: &mut impl Peer,
    workload: Workload,
    tasks: usize,
    tally: &Tally,
    observer: &mut Observer,
) -> Result<Value> {
    let workflows = workload.workflows(tasks);
    let wal = observer.wal().await?;
    let mut figures = match workload {
        Workload::W1 => bulk(peer, tasks, observer).await?,
        _ => latency(peer, workflows, observer).await?,
    };
    let wal = observer.wal().await? - wal;
    let steps = workload.steps(workflows);
    figures["wal_bytes_per_step"] = json!(wal / i64::try_from(steps.iter().sum::<usize>())?);
    tally.require(&steps)?;
    peer.verify(workflows, observer).await.context("the tables do not show all of the work")?;
    observer.require_durability().await?;
    Ok(figures)
}

async fn bulk(peer: &mut impl Peer, tasks: usize, observer: &mut Observer) -> Result<Value> {
    let started = Instant::now();
    peer.bulk(tasks, observer).await?;
    let steps: usize = Workload::W1.steps(tasks).iter().sum();
    Ok(json!({"steps_per_s": steps as f64 / started.elapsed().as_secs_f64()}))
}

async fn latency(peer: &mut impl Peer, workflows: usize, observer: &mut Observer) -> Result<Value> {
    let mut taken = vec![];
    for number in 1..=workflows {
        tokio::time::sleep(IDLE).await;
        let started = Instant::now();
        peer.one(number, observer).await?;
        taken.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    let mut warm = taken.split_off(WARM_UP);
    warm.sort_by(f64::total_cmp);
    Ok(json!({"p50_ms": rank(&warm, 50), "p99_ms": rank(&warm, 99)}))
}

/// The smallest value that so many percent do not exceed.
fn rank(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).clamp(1, sorted.len()) - 1]
}
