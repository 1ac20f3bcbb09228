//! Where a claim reads on in each queue and priority.
//!
//! Steps that were claimed stay in the ready index until they are removed, which a transaction that is open
//! for long prevents; a claim that begins at the front passes over all of them again. So it begins behind
//! what was claimed a moment ago. What stands before that, because its transaction committed late, is found by
//! a sweep from the front, and sweeps take no more than a twentieth of the time. On a quiet database that is
//! nearly every turn.

use std::{collections::HashMap, time::Duration};

use crate::commands::Head;

/// How old a position is before it is relied on: transactions under way commit within it or wait for a sweep.
const AGE: Duration = Duration::from_millis(250);

/// A sweep is followed by so many times its duration without one.
const SHARE: u32 = 20;

type Positions = HashMap<(i32, i32), Head>;

/// The positions of one worker.
#[derive(Debug, Default)]
pub(super) struct Heads {
    newest: Positions,
    settled: Positions,
    turned_at: Duration,
    sweep_at: Duration,
}

impl Heads {
    /// Where the next claim reads on; nothing for a sweep, of which it also says whether it is one.
    pub(super) fn next(&mut self, now: Duration) -> (Vec<Head>, bool) {
        if now >= self.turned_at + AGE {
            self.settled = std::mem::replace(&mut self.newest, self.settled.clone());
            self.newest.extend(self.settled.iter().map(|(k, h)| (*k, h.clone())));
            self.turned_at = now;
        }
        if now >= self.sweep_at {
            self.sweep_at = Duration::MAX;
            return (vec![], true);
        }
        (self.settled(), false)
    }

    /// The same for a turn that claims children only: nothing is swept, and nothing is reached.
    pub(super) fn settled(&self) -> Vec<Head> {
        self.settled.values().cloned().collect()
    }

    /// What a claim came to, and how long it took. A sweep starts anew from where it ended.
    pub(super) fn reached(&mut self, now: Duration, heads: Vec<Head>, swept: bool, took: Duration) {
        if swept {
            self.sweep_at = now + took * SHARE;
        }
        self.newest.extend(heads.into_iter().map(|h| ((h.queue_id, h.priority), h)));
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn head(step_id: i64) -> Vec<Head> {
        vec![Head { queue_id: 1, priority: 3, at: DateTime::UNIX_EPOCH, step_id }]
    }

    #[test]
    fn a_position_is_relied_on_when_it_has_settled() {
        let mut heads = Heads::default();
        assert_eq!(heads.next(Duration::ZERO), (vec![], true));
        heads.reached(100 * MS, head(7), true, 100 * MS);
        assert_eq!(heads.next(200 * MS), (vec![], false), "nothing is older than the least age yet");
        assert_eq!(heads.next(300 * MS), (head(7), false));
        heads.reached(310 * MS, head(9), false, MS);
        assert_eq!(heads.next(320 * MS), (head(7), false), "what was reached just now is not settled");
        assert_eq!(heads.next(600 * MS), (head(9), false));
        assert_eq!(heads.next(900 * MS), (head(9), false), "and it stays where nothing more is found");
    }

    #[test]
    fn sweeps_take_a_twentieth_of_the_time() {
        let mut heads = Heads::default();
        assert!(heads.next(Duration::ZERO).1);
        assert!(!heads.next(5_000 * MS).1, "one at a time");
        heads.reached(50 * MS, vec![], true, 50 * MS);
        assert!(!heads.next(1_049 * MS).1);
        assert!(heads.next(1_050 * MS).1);
    }

    #[test]
    fn a_turn_that_claims_children_only_leaves_the_sweep_to_the_next() {
        let mut heads = Heads::default();
        assert!(heads.next(Duration::ZERO).1);
        heads.reached(100 * MS, head(7), true, 100 * MS);
        assert!(!heads.next(300 * MS).1);
        assert_eq!(heads.settled(), head(7));
        assert!(heads.next(2_200 * MS).1, "the sweep that was due at 2.1 s is still to come");
    }
}
