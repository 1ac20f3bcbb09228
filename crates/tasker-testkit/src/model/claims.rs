//! The commands of workers: claim, report, give back, renew, sign off; and taking back what dead ones held.

use tasker_model::{FailureKind, StepState, TaskState};

use super::{At, Bug, Changes, Go, Held, Millis, Store};

/// The most dead workers that one call looks at. SQL: `tasker.expire_leases`.
const DEAD_WORKERS: usize = 16;

/// The most steps that a claim takes back first.
pub(super) const TAKEN_BACK: usize = 100;

impl Store {
    /// What a claim of this worker could take now, in its order; steps that it finds expired are taken back
    /// first. SQL: the first half of `tasker.claim_steps`.
    pub fn offered(&mut self, worker: usize, now: Millis) -> Vec<At> {
        self.expire(TAKEN_BACK, now);
        if !self.workers[worker].is_alive(now) && !self.has(Bug::LeaseNotChecked) {
            return vec![];
        }
        self.in_order(worker, now)
    }

    /// Claims up to `limit` steps. SQL: `tasker.claim_steps`.
    pub fn claim(&mut self, worker: usize, limit: usize, now: Millis) -> Vec<Held> {
        let mut steps = self.offered(worker, now);
        steps.truncate(limit);
        self.take(worker, &steps, now)
    }

    /// Claims these of the steps that [`offered`](Self::offered) returned.
    pub fn take(&mut self, worker: usize, steps: &[At], now: Millis) -> Vec<Held> {
        for at in steps {
            let counted = i32::from(!self.has(Bug::AttemptsNotCountedAtClaim));
            let step = self.step_mut(*at);
            step.attempts += counted;
            step.claims += 1;
            self.go(*at, StepState::InProgress, now, Go { worker: Some(worker), ..Go::default() });
        }
        let mut tasks: Vec<_> = steps.iter().map(|at| at.task).collect();
        tasks.sort_unstable();
        tasks.dedup();
        for task in tasks {
            if self.tasks[task].state == TaskState::Pending {
                self.task_goes(task, TaskState::InProgress, now);
            }
        }
        steps.iter().map(|at| Held { at: *at, token: self.step(*at).seq }).collect()
    }

    /// Those of the reports that still hold their claim, each once.
    fn valid(&self, reports: impl Iterator<Item = Held>) -> Vec<At> {
        let holds = |r: &Held| match self.bug {
            Some(Bug::NoFencing) => self.step(r.at).state == StepState::InProgress,
            _ => self.step(r.at).is_held_by(r.token),
        };
        let mut steps: Vec<At> = reports.filter(holds).map(|r| r.at).collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Reports attempts that succeeded. SQL: `tasker.complete_steps`.
    pub fn complete(&mut self, reports: &[Held], now: Millis) -> Changes {
        self.finish(reports, now, |_, _| vec![]).0
    }

    /// Writes results, releases the children and settles the tasks; some of the children are gone on with at once.
    /// SQL: `tasker.finish_steps`.
    pub(super) fn finish(
        &mut self,
        reports: &[Held],
        now: Millis,
        go_on: impl FnOnce(&mut Self, &[At]) -> Vec<Held>,
    ) -> (Changes, Vec<Held>) {
        let done = self.valid(reports.iter().copied());
        if done.is_empty() {
            return Default::default();
        }
        for at in &done {
            let step = self.step_mut(*at);
            step.kind = None;
            step.completions += 1;
            self.go(*at, StepState::Complete, now, Go::default());
        }
        let mut ready = self.release_children(&done, now);
        let mut deltas: Vec<_> = done.iter().map(|at| (at.task, -1)).collect();
        deltas.extend(ready.iter().filter(|at| self.counts(**at)).map(|at| (at.task, 1)));
        let taken = go_on(self, &ready);
        ready.retain(|at| taken.iter().all(|t| t.at != *at));
        let settled = self.adjust(&without_zeros(deltas), now);
        (Changes { accepted: done, ready, settled, ..Changes::default() }, taken)
    }

    /// Whether a child that became available is live.
    pub(super) fn counts(&self, child: At) -> bool {
        !self.step(child).held || self.has(Bug::HeldChildCounted)
    }

    /// Counts done parents off their children; returns those that became available. SQL:
    /// `tasker.release_children`.
    pub(super) fn release_children(&mut self, done: &[At], now: Millis) -> Vec<At> {
        let mut ended = vec![];
        for at in done {
            let children = self.tasks[at.task].workflow.children(at.step);
            ended.extend(children.map(|step| At { task: at.task, step }));
        }
        ended.sort_unstable();
        if self.has(Bug::DecrementsOnce) {
            ended.dedup();
        }
        for child in &ended {
            self.step_mut(*child).pending_parents -= 1;
        }
        ended.dedup();
        ended.iter().for_each(|child| self.tasks[child.task].offer(child.step, now));
        ended.retain(|child| self.step(*child).available_at.is_some());
        ended
    }

    /// Reports attempts that failed: the claim, how, and the wait before the next attempt. SQL:
    /// `tasker.fail_steps`.
    pub fn fail(&mut self, reports: &[(Held, FailureKind, Millis)], now: Millis) -> Changes {
        let failed = self.valid(reports.iter().map(|r| r.0));
        let mut changes = Changes::default();
        let mut deltas = vec![];
        for at in &failed {
            let mut of_step = reports.iter().filter(|r| r.0.at == *at);
            let held = of_step.clone().find(|r| self.step(*at).is_held_by(r.0.token));
            let Some((_, kind, delay)) = held.or(of_step.next()).copied() else { continue };
            self.fail_one(*at, kind, now + delay, now);
            let step = self.step(*at);
            if step.available_at.is_none() {
                changes.dead.push(*at);
            }
            if !step.is_offered() {
                deltas.push((at.task, -1));
            }
        }
        let mut fast: Vec<usize> = changes.dead.iter().map(|at| at.task).collect();
        fast.retain(|task| self.tasks[*task].workflow.is_fail_fast());
        fast.dedup();
        deltas.extend(fast.into_iter().map(|task| (task, -self.hold_rest(task))));
        changes.settled = self.adjust(&without_zeros(deltas), now);
        let held = failed.iter().filter(|at| self.step(**at).held && !changes.dead.contains(at));
        changes.held = held.copied().collect();
        changes.accepted = failed;
        changes
    }

    fn fail_one(&mut self, at: At, kind: FailureKind, due: Millis, now: Millis) {
        if self.has(Bug::AttemptsNotCountedAtClaim) {
            self.step_mut(at).attempts += i32::from(kind != FailureKind::LostLease);
        }
        self.step_mut(at).kind = Some(kind);
        self.go(at, StepState::Error, now, Go { due: Some(due), ..Go::default() });
    }

    /// Gives claims back unrun, with their attempt. SQL: `tasker.release_steps`.
    pub fn release(&mut self, claims: &[Held], now: Millis) -> Changes {
        let released = self.valid(claims.iter().copied());
        for at in &released {
            let step = self.step_mut(*at);
            step.attempts -= 1;
            step.claims -= 1;
            self.go(*at, StepState::Pending, now, Go::default());
        }
        let gone = released.iter().filter(|at| !self.step(**at).is_offered());
        let deltas: Vec<_> = gone.map(|at| (at.task, -1)).collect();
        let settled = self.adjust(&deltas, now);
        Changes { accepted: released, settled, ..Changes::default() }
    }

    /// Takes back up to `limit` steps of workers whose lease ran out; how many it were. SQL:
    /// `tasker.expire_leases`.
    pub fn expire(&mut self, limit: usize, now: Millis) -> usize {
        let mut dead: Vec<usize> = (0..self.workers.len())
            .filter(|w| !self.workers[*w].reaped && self.workers[*w].lease_until <= now)
            .collect();
        dead.sort_by_key(|w| self.workers[*w].lease_until);
        dead.truncate(DEAD_WORKERS);
        dead.iter().for_each(|w| self.workers[*w].ended = true);
        let held = self.steps().filter(|(_, s)| s.worker.is_some_and(|w| dead.contains(&w)));
        let back: Vec<_> =
            held.take(limit).map(|(at, s)| (Held { at, token: s.seq }, FailureKind::LostLease, 0)).collect();
        self.fail(&back, now);
        for w in dead {
            self.workers[w].reaped = !self.works(w) || self.has(Bug::ReapsTooEarly);
        }
        back.len()
    }

    /// Whether the incarnation has a step in progress.
    fn works(&self, worker: usize) -> bool {
        self.steps().any(|(_, s)| s.worker == Some(worker))
    }

    /// Renews a lease; whether the incarnation still lives. SQL: `tasker.renew_lease`.
    pub fn renew(&mut self, worker: usize, now: Millis) -> bool {
        let revives = self.has(Bug::RenewRevives);
        let w = &mut self.workers[worker];
        let renewed = w.is_alive(now) || revives;
        if renewed {
            w.lease_until = now + w.lease;
            w.ended = false;
        }
        renewed
    }

    /// Signs an incarnation off; whether it had not ended before. SQL: `tasker.end_worker`.
    pub fn end_worker(&mut self, worker: usize, now: Millis) -> bool {
        let works = self.works(worker);
        let w = &mut self.workers[worker];
        if w.ended {
            return false;
        }
        w.ended = true;
        w.lease_until = w.lease_until.min(now);
        w.reaped = !works;
        true
    }
}

/// The changes of each task added up, without those that come to nothing: their task is not touched.
pub(super) fn without_zeros(deltas: Vec<(usize, i32)>) -> Vec<(usize, i32)> {
    let sum = |task: usize| deltas.iter().filter(|d| d.0 == task).map(|d| d.1).sum::<i32>();
    deltas.iter().copied().filter(|d| sum(d.0) != 0).collect()
}
