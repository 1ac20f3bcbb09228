//! What must hold as time passes.

use std::collections::HashSet;

use super::{
    Kind,
    weather::{HANDLER, LEASE, POLL, TROUBLE},
    world::{Step, World, ensure},
};

/// By then every task has settled: every step may use all its attempts, each as long as can be, with the longest
/// wait before the next.
const END: u64 = TROUBLE + 300_000;

/// How long a step of a dead worker may stay with it beyond its lease, once there is no more trouble: the longest
/// pause of a worker, the longest time in which all its places are taken, and a few answers.
const RECOVERY: u64 = POLL + HANDLER + 3_000;

/// In a calm world nothing waits for a poll: ten steps take a few milliseconds each.
const CALM: u64 = 250;

/// So many looks in vain a worker may take in a second, and two more for each notification.
const LOOKS: u32 = 25;

impl World {
    pub(super) fn watch(&mut self) -> Step {
        let open = self.store.tasks.iter().position(|t| t.state.is_open());
        let limit = if self.weather.is_calm() { 1_000 + CALM } else { END };
        if let Some(task) = open.filter(|_| self.now > limit) {
            let steps: Vec<String> = self.store.tasks[task].steps.iter().map(ToString::to_string).collect();
            return Err((Kind::Stuck, format!("task {task} has not settled: {}", steps.join("; "))));
        }
        self.nobody_lives_on()?;
        let busy = self.lives.iter().flatten().find(|l| l.vain.1 > LOOKS + 2 * l.vain.2);
        ensure(busy.is_none(), Kind::Stuck, || {
            format!("process {:?} looks in vain again and again", busy.map(|l| l.who.process))
        })?;
        if self.in_trouble() || self.weather.is_calm() {
            return Ok(());
        }
        let (clock, now) = (self.clock(), self.now.max(self.down_until));
        let held: HashSet<usize> = self.store.steps().filter_map(|(_, s)| s.worker).collect();
        let dead = |w: &usize| self.store.workers[*w].lease_until <= clock;
        let dead: HashSet<usize> = held.into_iter().filter(dead).collect();
        self.overdue.retain(|w, _| dead.contains(w));
        dead.into_iter().for_each(|w| _ = self.overdue.entry(w).or_insert(now));
        let late = self.overdue.iter().find(|(_, since)| self.now > **since + RECOVERY);
        ensure(late.is_none(), Kind::Stuck, || {
            format!("what incarnation {:?} held is not taken back", late.map(|l| l.0))
        })
    }
    /// A process whose incarnation is over learns of it, or finds that it can no longer be sure, within a lease and
    /// a few answers.
    fn nobody_lives_on(&mut self) -> Step {
        let now = self.now;
        for process in 0..self.lives.len() {
            let reachable = self.down_until.max(self.cut_off_until[process]);
            let Some(life) = &mut self.lives[process] else { continue };
            if !self.store.workers[life.worker].ended {
                continue;
            }
            let since = *life.over_since.get_or_insert(now);
            let since = since.max(reachable).max(life.frozen_until);
            ensure(now <= since + LEASE + 5_000, Kind::Stuck, || {
                format!("process {process} lives on under an incarnation that is over")
            })?;
        }
        Ok(())
    }
}
