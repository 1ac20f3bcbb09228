//! How fresh a replica is, by an argument that needs no common clock and holds for an idle primary too.
//!
//! The primary is asked for its place in the log now and then. A replica that has replayed up to that place
//! has everything that was committed before the question. So it is as fresh as the latest question whose
//! answer it has passed, and a replica that stands still grows stale by itself, whether it is behind, cut off
//! or paused.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::lsn::Lsn;

/// Answers are kept for twice the bound, so many of them for each: a replica is judged too old by that part of
/// the bound at most, and never too fresh.
const PARTS: u32 = 64;

/// Where the primary was, and when.
#[derive(Debug)]
pub(crate) struct History {
    bound: Duration,
    asked: VecDeque<(Instant, Lsn)>,
}

impl History {
    pub(crate) fn new(bound: Duration) -> Self {
        Self { bound, asked: VecDeque::new() }
    }

    /// The primary, asked at an instant, has flushed its log up to a place.
    pub(crate) fn note(&mut self, asked_at: Instant, lsn: Lsn) {
        // What is not later than the answer before it makes that one's instant the later one.
        while self.asked.back().is_some_and(|(_, before)| *before >= lsn) {
            self.asked.pop_back();
        }
        // The last answer stands apart from the one before it, or gives way.
        let mut latest = self.asked.iter().rev().map(|(at, _)| *at);
        if let (Some(last), Some(before)) = (latest.next(), latest.next())
            && last.saturating_duration_since(before) < self.bound / PARTS
        {
            self.asked.pop_back();
        }
        let old = |(at, _): &(Instant, Lsn)| asked_at.saturating_duration_since(*at) > self.bound * 2;
        while self.asked.front().is_some_and(old) {
            self.asked.pop_front();
        }
        self.asked.push_back((asked_at, lsn));
    }

    /// The instant up to which a replica that has replayed so far has every commit; `None` where it cannot be
    /// said.
    pub(crate) fn complete_until(&mut self, replayed: Lsn) -> Option<Instant> {
        let passed = self.asked.partition_point(|(_, lsn)| *lsn <= replayed);
        let latest = self.asked.get(passed.checked_sub(1)?)?.0;
        self.asked.drain(..passed - 1);
        Some(latest)
    }

    /// Forgets everything: another server is the primary now.
    pub(crate) fn clear(&mut self) {
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_replica_is_as_fresh_as_the_last_answer_that_it_has_passed() {
        let (mut history, start) = (History::new(Duration::from_secs(6_400)), Instant::now());
        assert_eq!(history.complete_until(Lsn(99)), None);
        for (second, lsn) in [(100, 10), (200, 20), (300, 30)] {
            history.note(at(start, second), Lsn(lsn));
        }
        assert_eq!(history.complete_until(Lsn(9)), None);
        assert_eq!(history.complete_until(Lsn(10)), Some(at(start, 100)));
        assert_eq!(history.complete_until(Lsn(29)), Some(at(start, 200)));
        assert_eq!(history.complete_until(Lsn(29)), Some(at(start, 200)));
        assert_eq!(history.complete_until(Lsn(30)), Some(at(start, 300)));
        history.clear();
        assert_eq!(history.complete_until(Lsn(30)), None);
    }

    #[test]
    fn an_idle_primary_makes_no_replica_old() {
        let (mut history, start) = (History::new(Duration::from_secs(6_400)), Instant::now());
        for second in 0..1_000 {
            history.note(at(start, second), Lsn(10));
            assert_eq!(history.complete_until(Lsn(10)), Some(at(start, second)));
        }
        assert_eq!(history.asked.len(), 1);
    }

    #[test]
    fn a_replica_far_behind_costs_bounded_memory_and_is_never_judged_too_fresh() {
        let (mut history, start) = (History::new(Duration::from_secs(6_400)), Instant::now());
        for second in 0..10_000 {
            history.note(at(start, second), Lsn(second));
            assert!(history.asked.len() <= 130, "{}", history.asked.len());
        }
        let said = history.complete_until(Lsn(5_000)).unwrap();
        assert!(said <= at(start, 5_000) && said >= at(start, 4_898));
    }
}
