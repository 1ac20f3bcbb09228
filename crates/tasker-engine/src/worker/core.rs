//! The decisions of a worker, without any I/O: when to report, to claim, to renew, to stop and to sleep.
//!
//! Whoever drives it tells it what happened and asks [`Core::next`] for what to do until that says nothing;
//! then it sleeps until [`Core::wake_at`] or the next event. Time is a `Duration` since any fixed instant of
//! one clock that does not run backwards. The worker drives it on tokio, a simulation by a seeded scheduler.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tasker_model::StepId;

use crate::{commands::Claim, report::Report};

/// The bounds that a worker keeps.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many steps run, or have ended and wait to be reported, at once.
    pub capacity: usize,
    /// The most reports of one turn.
    pub batch: usize,
    /// The shortest pause between two looks that found nothing; it doubles.
    pub poll_min: Duration,
    /// The longest pause while nothing tells of new work.
    pub poll_max: Duration,
    /// The longest pause while notifications arrive.
    pub poll_notified: Duration,
    /// For how long a renewal holds. It is renewed three times in its length.
    pub lease: Duration,
    /// How long running steps may take to end once the worker is asked to stop.
    pub drain: Duration,
    /// Whether to end when nothing is left to do.
    pub until_idle: bool,
}

/// How many turns may be under way at once: one commits while the next is decoded.
const TURNS: usize = 2;

/// With a turn under way, the next one waits until it is worth a commit of its own.
const WORTH: usize = 100;

/// A turn of so few reports answers sooner if it claims only their children. It may while the last look for other
/// work is no older than this.
const FEW: (usize, Duration) = (8, Duration::from_millis(20));

/// The first and the longest wait after a turn that the database refused for now.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The least and the longest time between looks that notifications ask for and that find nothing.
const FRUITLESS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Report and claim in one round trip. Answer with [`Core::exchanged`] or [`Core::refused`].
    Exchange(Exchange),
    /// Renew the lease, and ask which of these claims are lost and which others the worker holds. Answer with
    /// [`Core::renewed`] or [`Core::not_renewed`].
    Renew(Vec<Claim>),
    /// Tell the handlers of these claims to stop; each still ends by [`Core::ended`].
    Stop(Vec<Claim>),
    /// Ask whether anything is left for this worker anywhere. Answer with [`Core::drained`].
    AskDrained,
    /// It is over; sign off if the lease still holds.
    Over(End),
}

/// One turn: reports, and how many steps to claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// Names it in the answer.
    pub id: u64,
    /// What has ended.
    pub reports: Arc<Vec<Report>>,
    /// The most steps to claim.
    pub claim: usize,
    /// Whether to claim others than the children of what is reported.
    pub further: bool,
    /// Whether to take back steps of dead workers first.
    pub expire: bool,
}

/// What a turn brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The claims that it made.
    pub claimed: Vec<Claim>,
    /// Whether it left children behind that somebody may claim now.
    pub left_ready: bool,
    /// Where it found nothing to claim: how long until something may become claimable.
    pub due_in: Option<Duration>,
    /// Reports that are still to be written, and claims to be given back.
    pub unreported: Vec<Report>,
}

/// How an incarnation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to, or there was nothing left.
    Stopped,
    /// Its lease ran out.
    Expired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    Draining { until: Duration, told: bool },
    Expired,
}

/// A turn under way.
#[derive(Debug, Clone)]
struct Flight {
    reports: Arc<Vec<Report>>,
    claim: usize,
    further: bool,
}

/// The state that the decisions need.
#[derive(Debug, Clone)]
pub struct Core {
    limits: Limits,
    phase: Phase,
    running: BTreeMap<StepId, Claim>,
    ended: Vec<Report>,
    flights: BTreeMap<u64, Flight>,
    next_id: u64,
    /// Something may be claimable: the next turn need not wait for the poll.
    look: bool,
    /// Somebody says so, which may be about other queues: such looks are spaced while they find nothing.
    woken: bool,
    woken_at: Duration,
    fruitless: Duration,
    look_at: Duration,
    /// When the last turn was asked for that claims whatever there is.
    looked: Duration,
    pause: Duration,
    notified: bool,
    /// When steps of dead workers are next looked for.
    expire_at: Duration,
    retry_at: Duration,
    retry_wait: Duration,
    renew_at: Duration,
    renewing: bool,
    /// When the last renewal that held was asked for.
    confirmed: Duration,
    /// Claims that the last renewal found without our knowing of them, each with the turn that came next when
    /// it was first found.
    strays: HashMap<Claim, u64>,
    stops: Vec<Claim>,
    ask_drained: bool,
    asking: bool,
    over: bool,
}

impl Core {
    /// A worker whose lease was asked for at `now`.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            phase: Phase::Working,
            running: BTreeMap::new(),
            ended: vec![],
            flights: BTreeMap::new(),
            next_id: 0,
            look: true,
            woken: false,
            woken_at: now,
            fruitless: Duration::ZERO,
            look_at: now,
            looked: now,
            pause: limits.poll_min,
            notified: false,
            expire_at: now,
            retry_at: now,
            retry_wait: RETRY.0,
            renew_at: now + limits.lease / 3,
            renewing: false,
            confirmed: now,
            strays: HashMap::new(),
            stops: vec![],
            ask_drained: false,
            asking: false,
            over: false,
            limits,
        }
    }

    /// The next thing to do at `now`; `None` when there is nothing until an event or [`Core::wake_at`].
    pub fn next(&mut self, now: Duration) -> Option<Action> {
        if self.over {
            return None;
        }
        self.pass(now);
        if !self.stops.is_empty() {
            return Some(Action::Stop(std::mem::take(&mut self.stops)));
        }
        if self.phase != Phase::Expired && !self.renewing && now >= self.renew_at {
            self.renewing = true;
            return Some(Action::Renew(self.held()));
        }
        if let Some(exchange) = self.exchange(now) {
            return Some(Action::Exchange(exchange));
        }
        if std::mem::take(&mut self.ask_drained) {
            self.asking = true;
            return Some(Action::AskDrained);
        }
        if self.phase != Phase::Working && self.is_empty() {
            self.over = true;
            let expired = self.phase == Phase::Expired;
            return Some(Action::Over(if expired { End::Expired } else { End::Stopped }));
        }
        None
    }

    /// When to ask again if nothing happens before.
    pub fn wake_at(&self) -> Duration {
        let mut at = Duration::MAX;
        // A lease that is over is not waited for: its handlers end when they end.
        if self.phase != Phase::Expired {
            at = if self.renewing { at } else { self.renew_at };
            at = at.min(self.confirmed + self.limits.lease);
        }
        if let Phase::Draining { until, told: false } = self.phase {
            at = at.min(until);
        }
        if self.phase == Phase::Working && self.free() > 0 && self.flights.is_empty() {
            let look = if self.look { Duration::ZERO } else { self.look_at };
            let look = if self.woken { look.min(self.woken_at) } else { look };
            at = at.min(look.max(self.retry_at));
        }
        if !self.ended.is_empty() && self.flights.is_empty() {
            at = at.min(self.retry_at);
        }
        at
    }

    /// An attempt ended. `None` where it reported itself, as a transactional step does.
    pub fn ended(&mut self, claim: Claim, report: Option<Report>) {
        // After a retry this incarnation may have claimed the step once more: that claim stays known.
        if self.running.get(&claim.step_id) == Some(&claim) {
            self.running.remove(&claim.step_id);
        }
        match report {
            Some(report) => self.ended.push(report),
            // Its children may be ready, and a slot is free.
            None => self.look = true,
        }
    }

    /// A turn was answered. The claims in it are to be run now.
    pub fn exchanged(&mut self, now: Duration, id: u64, answer: Answer) {
        let Some(flight) = self.flights.remove(&id) else { return };
        (self.retry_at, self.retry_wait) = (now, RETRY.0);
        self.ended.extend(answer.unreported);
        self.running.extend(answer.claimed.iter().map(|c| (c.step_id, *c)));
        if self.phase == Phase::Expired {
            self.stops.extend(&answer.claimed);
        }
        if flight.claim == 0 {
            self.look |= answer.left_ready;
            return;
        }
        if answer.claimed.len() >= flight.claim || answer.left_ready {
            self.look = true;
        }
        if !flight.further {
            // Work that goes on ends the long pauses, whoever took it up.
            if !answer.claimed.is_empty() {
                (self.pause, self.fruitless) = (self.limits.poll_min, Duration::ZERO);
            }
            self.look |= answer.claimed.is_empty();
            // Never later than what is due.
            self.look_at = self.look_at.min(self.looked + FEW.1);
            return;
        }
        if !answer.claimed.is_empty() {
            (self.pause, self.fruitless) = (self.limits.poll_min, Duration::ZERO);
            self.look_at = now + self.pause;
            return;
        }
        self.fruitless = (self.fruitless * 2).clamp(FRUITLESS.0, FRUITLESS.1);
        self.woken_at = now + self.fruitless;
        let longest = if self.notified { self.limits.poll_notified } else { self.limits.poll_max };
        // What is due already and was not claimed is in somebody else's hands, who may be dead: no hurry, but nobody
        // tells of that, and the next turn that takes back from the dead is not to be put off.
        let take_back = self.expire_at.saturating_sub(now).max(self.limits.poll_min);
        let due_in = answer.due_in.map(|due| if due.is_zero() { take_back } else { due });
        self.look_at = now + due_in.map_or(self.pause, |due| due.min(self.pause));
        self.pause = (self.pause * 2).min(longest);
        self.ask_drained =
            self.limits.until_idle && !self.asking && !self.look && !self.woken && self.is_empty();
    }

    /// The database refused a turn for now, or its answer was lost. Its reports are tried again; what it may
    /// have claimed without our hearing of it is found by the renewals.
    pub fn refused(&mut self, now: Duration, id: u64) {
        let Some(flight) = self.flights.remove(&id) else { return };
        self.retry_at = now + self.retry_wait;
        self.retry_wait = (self.retry_wait * 2).min(RETRY.1);
        self.look |= flight.claim > 0;
        if self.phase != Phase::Expired {
            self.ended.splice(0..0, flight.reports.iter().cloned());
        }
    }

    /// The turn that a submission takes along, so that the commit that creates steps claims for this worker too. `None`
    /// while another is under way or nothing may be claimed: then a notification tells of the steps. Answer with
    /// [`Core::exchanged`] or [`Core::called_off`].
    pub fn take_along(&mut self, now: Duration) -> Option<Exchange> {
        self.pass(now);
        let claim = self.free();
        let quiet = self.flights.is_empty() && now >= self.retry_at;
        (quiet && self.phase == Phase::Working && claim > 0)
            .then(|| self.depart(now, vec![], claim, true, false))
    }

    /// A turn that was taken along did not come about, or its answer was lost: what it would have found is still to be
    /// looked for.
    pub fn called_off(&mut self, id: u64) {
        self.look |= self.flights.remove(&id).is_some();
    }

    /// A renewal that was asked for at `asked` was answered: whether the lease holds, which of the claims that
    /// it named are lost, and which others the worker holds.
    pub fn renewed(&mut self, asked: Duration, alive: bool, lost: &[Claim], others: &[Claim]) {
        self.renewing = false;
        if !alive {
            return self.expire();
        }
        (self.confirmed, self.renew_at) = (asked, asked + self.limits.lease / 3);
        self.stops.extend(lost.iter().filter(|c| self.running.get(&c.step_id) == Some(c)));
        // A claim may be on its way to us: it is given back once every turn that was under way when it was
        // first found has been answered, and nobody knows of it still.
        let known: HashSet<Claim> = self.held().into_iter().collect();
        let oldest = self.flights.keys().next().copied().unwrap_or(self.next_id);
        let since = |c: &Claim| self.strays.get(c).copied();
        let unknown: Vec<Claim> = others.iter().filter(|c| !known.contains(c)).copied().collect();
        let lost = unknown.iter().filter(|c| since(c).is_some_and(|turn| turn <= oldest));
        let lost: Vec<Report> = lost.map(|c| Report::Released(*c)).collect();
        self.strays = unknown.iter().map(|c| (*c, since(c).unwrap_or(self.next_id))).collect();
        self.ended.extend(lost);
    }

    /// A renewal failed for now; it is tried again well before the lease runs out.
    pub fn not_renewed(&mut self, now: Duration) {
        self.renewing = false;
        self.renew_at = now + (self.limits.lease / 20).min(Duration::from_secs(1));
    }

    /// Something told of new work: one more look, also if one is under way.
    pub fn woken(&mut self) {
        self.woken = true;
    }

    /// Something told of a cancellation: the claims are checked at once.
    pub fn check_claims(&mut self, now: Duration) {
        if !self.running.is_empty() {
            self.renew_at = self.renew_at.min(now);
        }
    }

    /// Whether notifications arrive, so that polls may be rare.
    pub fn set_notified(&mut self, now: Duration, notified: bool) {
        if self.notified && !notified {
            (self.look_at, self.pause) = (now, self.limits.poll_min);
        }
        self.notified = notified;
    }

    /// Whether nothing is left, as [`Action::AskDrained`] asked.
    pub fn drained(&mut self, now: Duration, nothing_left: bool) {
        self.asking = false;
        if nothing_left && self.is_empty() && !self.look && !self.woken {
            self.stop(now);
        }
    }

    /// Claims no more; ends when what runs has ended, or was told to after the drain time.
    pub fn stop(&mut self, now: Duration) {
        if self.phase == Phase::Working {
            self.phase = Phase::Draining { until: now + self.limits.drain, told: false };
        }
    }

    /// Whether it claims no more.
    pub fn is_stopping(&self) -> bool {
        self.phase != Phase::Working
    }

    /// Whether nothing runs and nothing is to be reported.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty() && self.ended.is_empty() && self.flights.is_empty()
    }

    /// The claims that the worker knows of: running, or ended and not reported yet.
    pub fn held(&self) -> Vec<Claim> {
        let waiting = self.ended.iter().map(Report::claim);
        let flying = self.flights.values().flat_map(|f| f.reports.iter().map(Report::claim));
        self.running.values().copied().chain(waiting).chain(flying).collect()
    }

    /// What time alone brings about.
    fn pass(&mut self, now: Duration) {
        if self.phase != Phase::Expired && now >= self.confirmed + self.limits.lease {
            self.expire();
        }
        if let Phase::Draining { until, told: false } = self.phase
            && now >= until
        {
            self.phase = Phase::Draining { until, told: true };
            self.stops.extend(self.running.values());
        }
    }

    fn expire(&mut self) {
        self.phase = Phase::Expired;
        self.stops = self.running.values().copied().collect();
    }

    /// How many steps may be claimed: what runs, waits to be reported or has been asked for takes a place.
    fn free(&self) -> usize {
        let asked: usize = self.flights.values().map(|f| f.claim).sum();
        self.limits.capacity.saturating_sub(self.running.len() + self.ended.len() + asked)
    }

    fn exchange(&mut self, now: Duration) -> Option<Exchange> {
        if now < self.retry_at || self.flights.len() >= TURNS {
            return None;
        }
        let working = self.phase == Phase::Working;
        // The turn that takes back steps of dead workers carries no reports, and comes also when there is
        // no end of them.
        let expire = working && now >= self.expire_at && self.flights.is_empty();
        let reports = if expire { vec![] } else { self.take_reports() };
        let asked = self.look || self.woken && now >= self.woken_at;
        let wanted = asked || now >= self.look_at && self.flights.is_empty() || !reports.is_empty();
        let claim = if working && wanted { self.free() } else { 0 };
        let pressing = expire && !self.ended.is_empty();
        if reports.is_empty() && claim == 0 && !pressing {
            return None;
        }
        let goes_on = reports.iter().any(|r| matches!(r, Report::Completed(..)));
        let short = goes_on && reports.len() <= FEW.0 && now < self.looked + FEW.1;
        let further = claim > 0 && (asked || !short);
        if expire {
            self.expire_at = now + self.limits.poll_max.min(self.limits.lease / 3);
        }
        Some(self.depart(now, reports, claim, further, expire))
    }

    fn depart(
        &mut self,
        now: Duration,
        reports: Vec<Report>,
        claim: usize,
        further: bool,
        expire: bool,
    ) -> Exchange {
        if further {
            (self.look, self.woken, self.looked) = (false, false, now);
        }
        let (id, reports) = (self.next_id, Arc::new(reports));
        self.next_id += 1;
        self.flights.insert(id, Flight { reports: reports.clone(), claim, further });
        Exchange { id, reports, claim, further, expire }
    }

    fn take_reports(&mut self) -> Vec<Report> {
        if !self.flights.is_empty() && self.ended.len() < WORTH {
            return vec![];
        }
        self.ended.drain(..self.ended.len().min(self.limits.batch)).collect()
    }
}
