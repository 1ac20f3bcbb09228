//! The order of claiming: queues and priorities by their heads, then each in the order of `available_at`.

use super::{At, Held, Millis, Step, Store};

impl Store {
    fn is_ready(&self, step: &Step, now: Millis) -> bool {
        step.is_offered() && !step.paused && step.available_at.is_some_and(|at| at <= now)
    }

    pub(super) fn queue_of(&self, at: At) -> usize {
        self.tasks[at.task].workflow.steps()[at.step].queue
    }

    /// What this worker may claim now, in the order of claiming; ties by queue and id.
    pub(super) fn in_order(&self, worker: usize, now: Millis) -> Vec<At> {
        let serves = |at: At| self.workers[worker].queues.contains(&self.queue_of(at));
        let mut ready: Vec<At> =
            self.steps().filter(|(at, s)| self.is_ready(s, now) && serves(*at)).map(|(at, _)| at).collect();
        let all = ready.clone();
        ready.sort_by_cached_key(|at| (self.head_key(*at, &all), self.step(*at).available_at, *at));
        ready
    }

    /// When the next step becomes claimable for a worker; `None` if nothing waits for time. SQL:
    /// `tasker.next_due_at`.
    pub fn next_due(&self, worker: usize) -> Option<Millis> {
        let served = self.steps().filter(|(at, _)| self.workers[worker].queues.contains(&self.queue_of(*at)));
        served.filter(|(_, s)| s.is_offered() && !s.paused).filter_map(|(_, s)| s.available_at).min()
    }

    /// Which of the claims an incarnation no longer holds, and which others it holds, by id. SQL:
    /// `tasker.renew_worker`.
    pub fn notes(&self, worker: usize, claims: &[Held]) -> (Vec<Held>, Vec<Held>) {
        let lost = claims.iter().filter(|c| self.step(c.at).seq != c.token).copied();
        let theirs = self.steps().filter(|(_, s)| s.worker == Some(worker));
        let theirs = theirs.map(|(at, s)| Held { at, token: s.seq });
        (lost.collect(), theirs.filter(|h| !claims.contains(h)).collect())
    }

    /// Whether nothing is or will become claimable for a worker by itself. SQL: `tasker.is_drained`.
    pub fn is_drained(&self, worker: usize) -> bool {
        let mut served =
            self.steps().filter(|(at, _)| self.workers[worker].queues.contains(&self.queue_of(*at)));
        self.next_due(worker).is_none() && served.all(|(_, s)| s.worker.is_none())
    }

    /// Priority, the earliest step of the same queue and priority, and the queue.
    fn head_key(&self, at: At, ready: &[At]) -> (i16, Option<Millis>, usize) {
        let (priority, queue) = (self.step(at).priority, self.queue_of(at));
        let mates =
            ready.iter().filter(|m| self.step(**m).priority == priority && self.queue_of(**m) == queue);
        (priority, mates.filter_map(|m| self.step(*m).available_at).min(), queue)
    }

    /// Whether a claim that takes any of what is equal could have taken exactly these of what
    /// [`offered`](Self::offered) returned.
    pub fn could_take(&self, offered: &[At], taken: &[At], limit: usize) -> bool {
        let place = |of: &dyn Fn(&At) -> bool| taken.iter().position(of).unwrap_or(usize::MAX);
        let mut order = offered.to_vec();
        order.sort_by_cached_key(|at| {
            let (priority, head, queue) = self.head_key(*at, offered);
            let group = |t: &At| self.queue_of(*t) == queue && self.step(*t).priority == priority;
            (priority, head, place(&group), self.step(*at).available_at, place(&|t| t == at))
        });
        order.truncate(limit);
        order == taken
    }
}
