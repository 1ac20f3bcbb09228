//! One turn of a worker: reports what succeeded, goes on with the children, claims more. SQL:
//! `tasker.exchange_steps`.

use super::{At, Changes, Held, Millis, Store};

/// What a turn brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// What the reports changed; children that it goes on with are not among the ready ones.
    pub changes: Changes,
    /// What was claimed: first the children, then further steps.
    pub claimed: Vec<Held>,
    /// Where nothing was claimed: how long until something becomes claimable or a lease runs out.
    pub due_in: Option<Millis>,
}

/// What a turn asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The most steps to claim.
    pub limit: usize,
    /// Whether to claim others than the children of what is reported.
    pub further: bool,
    /// Whether to take back steps of dead workers first.
    pub expire: bool,
}

impl Store {
    /// Reports and claims in one commit. Steps of dead workers are only looked for where
    /// nothing is reported.
    pub fn exchange(&mut self, worker: usize, ask: Ask, reports: &[Held], now: Millis) -> Turn {
        self.exchange_as(worker, ask, reports, now, |_, mut offered, left| {
            offered.truncate(left);
            offered
        })
    }

    /// The same, where `pick` says which of the steps on offer, up to so many, are taken.
    pub fn exchange_as(
        &mut self,
        worker: usize,
        Ask { limit, further, expire }: Ask,
        reports: &[Held],
        now: Millis,
        pick: impl FnOnce(&Self, Vec<At>, usize) -> Vec<At>,
    ) -> Turn {
        if expire && reports.is_empty() {
            self.expire(super::claims::TAKEN_BACK, now);
        }
        let mut turn = Turn::default();
        let serves = limit > 0 && self.workers[worker].is_alive(now);
        if !reports.is_empty() {
            let waiting = if serves { self.in_order(worker, now) } else { vec![] };
            let first = waiting.iter().map(|at| self.step(*at).priority).min().unwrap_or(5);
            (turn.changes, turn.claimed) = self.finish(reports, now, |store, ready| {
                let mut children: Vec<At> =
                    ready.iter().copied().filter(|at| serves && store.goes_on(worker, *at, first)).collect();
                children.sort_by_key(|at| (store.step(*at).priority, *at));
                children.truncate(limit);
                store.take(worker, &children, now)
            });
        }
        if !serves || !further {
            return turn;
        }
        let more = pick(self, self.in_order(worker, now), limit - turn.claimed.len());
        let more = self.take(worker, &more, now);
        turn.claimed.extend(more);
        if turn.claimed.is_empty() {
            turn.due_in = self.due_after(worker, now).map(|at| (at - now).max(0));
        }
        turn
    }

    /// Whether a worker may go on with a child that has just become available.
    fn goes_on(&self, worker: usize, child: At, first: i16) -> bool {
        let step = self.step(child);
        step.is_offered()
            && !step.paused
            && step.priority <= first
            && self.workers[worker].queues.contains(&self.queue_of(child))
    }

    /// The earliest later instant at which the worker's queues offer something, or another's lease runs out.
    fn due_after(&self, worker: usize, now: Millis) -> Option<Millis> {
        let served = self.steps().filter(|(at, s)| {
            s.is_offered() && !s.paused && self.workers[worker].queues.contains(&self.queue_of(*at))
        });
        let due = served.filter_map(|(_, s)| s.available_at).filter(|at| *at > now);
        let others = self.workers.iter().enumerate().filter(|(n, w)| *n != worker && !w.reaped);
        due.chain(others.map(|(_, w)| w.lease_until)).min()
    }
}
