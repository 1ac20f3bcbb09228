//! Workers in a simulated world: the cores that decide for real workers, a store in memory, and a seeded scheduler
//! that lets processes die, freeze and come back, loses answers and notifications, makes the database slow or
//! unreachable and its clock jump. Start at [`simulate`].

mod database;
mod decide;
mod event;
mod fault;
mod process;
mod watch;
mod weather;
mod world;

pub use fault::Fault;

use std::fmt;

use world::World;

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Run {
    /// Tasks that were submitted.
    pub tasks: usize,
    /// Their steps.
    pub steps: usize,
    /// Processes that died.
    pub kills: usize,
    /// Turns and renewals whose answer did not arrive.
    pub lost_answers: usize,
    /// Events of the scheduler.
    pub events: usize,
    /// From the last trouble until every task had settled, simulated milliseconds.
    pub settled_after_ms: u64,
}

impl std::ops::AddAssign for Run {
    fn add_assign(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.steps += other.steps;
        self.kills += other.kills;
        self.lost_answers += other.lost_answers;
        self.events += other.events;
        self.settled_after_ms = self.settled_after_ms.max(other.settled_after_ms);
    }
}

/// What must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work is gone, or a counter is wrong.
    Lost,
    /// Something ran twice that may not.
    Doubled,
    /// Nothing leads on, or not in time.
    Stuck,
}

/// How a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// With which seed.
    pub seed: u64,
    /// When, simulated milliseconds.
    pub at_ms: u64,
    /// What kind of thing.
    pub kind: Kind,
    /// What is wrong, a sentence.
    pub wrong: String,
    /// What happened last.
    pub story: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.story.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(
            f,
            "seed {}, at {} ms: {}\nrepeat it with: cargo xtask sim --seeds 1 --seed {}",
            self.seed, self.at_ms, self.wrong, self.seed
        )
    }
}

/// Runs one world to its end.
///
/// # Errors
/// What was wrong first.
pub fn simulate(seed: u64, fault: Option<Fault>) -> Result<Run, Box<Failure>> {
    World::new(seed, fault).run()
}
