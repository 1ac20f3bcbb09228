//! Which task becomes what: exact shares, in an order that the seed decides.

use std::str::FromStr;

use super::shapes::{SHARES, Shape};

/// Shares of pending, complete and failed tasks, in a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mix {
    pending: usize,
    complete: usize,
    error: usize,
}

impl Mix {
    /// Nothing but history.
    pub(crate) const FINISHED: Self = Self { pending: 0, complete: 100, error: 0 };

    /// Nothing but tasks that have steps to run.
    pub(crate) const OPEN: Self = Self { pending: 100, complete: 0, error: 0 };
}

impl Default for Mix {
    fn default() -> Self {
        Self { pending: 60, complete: 30, error: 10 }
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<usize> = text.split(':').map_while(|p| p.trim().parse().ok()).collect();
        match parts[..] {
            [pending, complete, error]
                if text.split(':').count() == 3 && pending + complete + error == 100 =>
            {
                Ok(Self { pending, complete, error })
            }
            _ => Err("three shares that add up to 100 are expected, for example 60:30:10".into()),
        }
    }
}

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing has run; or so many steps are done and the next are ready.
    Begun(usize),
    /// Everything is done.
    Complete,
    /// A step failed, and its next attempt is hours away.
    Waiting,
    /// A step failed, and its next attempt is due.
    Due,
    /// A step failed as often as it may, everything else that could run has run, and the task ended in error.
    Exhausted,
}

impl Stage {
    /// Every stage with its share of a mix, in parts of 1,500.
    fn shares(mix: Mix) -> [(Self, usize); 7] {
        [
            (Self::Begun(0), mix.pending * 9),
            (Self::Begun(1), mix.pending * 3),
            (Self::Begun(2), mix.pending * 3),
            (Self::Complete, mix.complete * 15),
            (Self::Waiting, mix.error * 5),
            (Self::Due, mix.error * 5),
            (Self::Exhausted, mix.error * 5),
        ]
    }

    /// How long ago such a task may have got where it is, seconds.
    pub(crate) fn oldest(self) -> i32 {
        match self {
            Self::Complete | Self::Exhausted => 30 * 86_400,
            _ => 3_600,
        }
    }
}

/// A kind of task: what it looks like and how far it has come.
pub(crate) type Kind = (Shape, Stage);

/// The kinds there are, and the kind of each task by its place among them.
pub(crate) struct Plan {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) tasks: Vec<u8>,
}

impl Plan {
    pub(crate) fn new(tasks: usize, mix: Mix, shape: Shape, rng: &mut fastrand::Rng) -> Self {
        let shapes: Vec<(Shape, usize)> =
            if shape == Shape::All { SHARES.to_vec() } else { vec![(shape, 100)] };
        let stages = Stage::shares(mix);
        let stage_of = shuffled(tasks, stages.map(|(_, share)| share).as_slice(), rng);
        let shares: Vec<usize> = shapes.iter().map(|(_, share)| *share).collect();
        let shape_of = shuffled(tasks, &shares, rng);
        let kinds = shapes.iter().flat_map(|(s, _)| stages.map(|(stage, _)| (*s, stage))).collect();
        let place = |(shape, stage): (&u8, &u8)| shape * stages.len() as u8 + stage;
        Self { kinds, tasks: shape_of.iter().zip(&stage_of).map(place).collect() }
    }

    /// The kinds that some task has.
    pub(crate) fn used(&self) -> Vec<(u8, Kind)> {
        let mut seen = vec![false; self.kinds.len()];
        self.tasks.iter().for_each(|t| seen[usize::from(*t)] = true);
        (0u8..).zip(&self.kinds).filter(|(i, _)| seen[usize::from(*i)]).map(|(i, k)| (i, *k)).collect()
    }
}

/// So many places, each class as often as its share says to within one, in a random order.
fn shuffled(places: usize, shares: &[usize], rng: &mut fastrand::Rng) -> Vec<u8> {
    let total: usize = shares.iter().sum();
    let mut all = Vec::with_capacity(places);
    let mut upto = 0;
    for (class, share) in (0u8..).zip(shares) {
        upto += share;
        // Rounding the running sum keeps each class within one of its share, and their sum exact.
        all.resize((places * upto + total / 2) / total, class);
    }
    rng.shuffle(&mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(plan: &Plan, stage: impl Fn(Stage) -> bool) -> usize {
        plan.tasks.iter().filter(|t| stage(plan.kinds[usize::from(**t)].1)).count()
    }

    #[test]
    fn shares_are_exact_at_every_size() {
        for tasks in [0, 1, 50, 777, 5_000] {
            let plan = Plan::new(tasks, Mix::default(), Shape::All, &mut fastrand::Rng::with_seed(7));
            assert_eq!(plan.tasks.len(), tasks);
            let pending = count(&plan, |s| matches!(s, Stage::Begun(_)));
            assert!(pending.abs_diff(tasks * 60 / 100) <= 1, "{pending} of {tasks}");
            let complete = count(&plan, |s| s == Stage::Complete);
            assert!(complete.abs_diff(tasks * 30 / 100) <= 1, "{complete} of {tasks}");
        }
    }

    #[test]
    fn the_seed_decides() {
        let plan =
            |seed| Plan::new(500, Mix::default(), Shape::All, &mut fastrand::Rng::with_seed(seed)).tasks;
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn a_mix_is_three_shares_of_a_hundred() {
        assert_eq!("60:30:10".parse(), Ok(Mix::default()));
        for wrong in ["", "60:40", "60:30:20", "60:30:10:0", "a:b:c", "60:x:40"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }
}
