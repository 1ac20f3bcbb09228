//! A reading role: its pool, and a thread that keeps watch over how fresh it is.

use std::{
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use diesel::PgConnection;

use crate::{
    DatabaseName,
    connect::{Position, Target, position},
    freshness::History,
    lsn::Lsn,
    pool::Pool,
};

/// A reading role.
pub(crate) struct Replica {
    pub(crate) name: DatabaseName,
    pub(crate) pool: Pool,
    primary: Target,
    bound: Duration,
    known: Arc<Mutex<Known>>,
    watched: Once,
}

/// What is known of a replica.
#[derive(Debug, Default)]
struct Known {
    /// Every commit before this instant has been replayed. `None` where it may not be read at all.
    complete_until: Option<Instant>,
    replayed: Lsn,
    /// Why it is not read, unless it only is behind.
    problem: Option<String>,
}

/// How a reading role does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaStatus {
    /// Its name.
    pub name: DatabaseName,
    /// Whether reads go there now.
    pub is_read: bool,
    /// How far it may be behind, at most: how long ago it was last seen to have everything. `None` where
    /// nothing is known.
    pub behind: Option<Duration>,
    /// Why it is not read, unless it only is behind. Not yet asked is a reason.
    pub problem: Option<String>,
}

impl Replica {
    pub(crate) fn new(name: DatabaseName, pool: Pool, primary: Target, bound: Duration) -> Self {
        let known = Known { problem: Some("it has not been asked yet".into()), ..Known::default() };
        Self { name, pool, primary, bound, known: Arc::new(Mutex::new(known)), watched: Once::new() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is within its bound.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.watch();
        let until = self.known().complete_until;
        until.is_some_and(|until| now.saturating_duration_since(until) <= self.bound)
    }

    /// Whether it has a write, and is not out of use otherwise.
    pub(crate) fn has(&self, lsn: Lsn) -> bool {
        self.watch();
        let known = self.known();
        known.complete_until.is_some() && known.replayed >= lsn
    }

    /// Takes it out of use until it has answered again.
    pub(crate) fn suspend(&self, problem: String) {
        let mut known = self.known();
        known.complete_until = None;
        known.problem = Some(problem);
    }

    pub(crate) fn status(&self, now: Instant) -> ReplicaStatus {
        let is_read = self.is_fresh(now);
        let known = self.known();
        let behind = known.complete_until.map(|until| now.saturating_duration_since(until));
        ReplicaStatus { name: self.name.clone(), is_read, behind, problem: known.problem.clone() }
    }

    /// Starts the watch with the first use; it ends with this value.
    fn watch(&self) {
        self.watched.call_once(|| {
            let watch = Watch {
                known: Arc::downgrade(&self.known),
                primary: Link { target: self.primary.clone(), conn: None },
                replica: Link { target: self.pool.target().clone(), conn: None },
                history: History::new(self.bound),
                timeline: String::new(),
                every: (self.bound / 5).clamp(Duration::from_millis(20), Duration::from_secs(1)),
                name: self.name.clone(),
            };
            let started = thread::Builder::new().name("tasker replica".into()).spawn(move || watch.keep());
            // Without a thread nothing is known of the replica, and the writing role is read.
            if let Err(error) = started {
                tracing::warn!(replica = %self.name, "a replica cannot be watched, and the writing role is read: {error}");
                self.suspend(format!("it cannot be watched: {error}"));
            }
        });
    }
}

/// A connection that is opened again when it is lost.
struct Link {
    target: Target,
    conn: Option<PgConnection>,
}

impl Link {
    fn ask(&mut self) -> Result<Position, String> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.target.connect()?,
        };
        let position = position(&mut conn).map_err(|e| e.to_string())?;
        self.conn = Some(conn);
        Ok(position)
    }
}

/// What a look showed.
struct Seen {
    replayed: Lsn,
    complete_until: Option<Instant>,
    /// Whether the primary is another than at the last look.
    is_new: bool,
}

/// Why a look showed nothing.
enum Blind {
    Primary(String),
    Replica(String),
}

impl Blind {
    fn sentence(&self) -> String {
        match self {
            Self::Primary(reason) => format!("the writing role cannot be asked how far it is: {reason}"),
            Self::Replica(reason) => reason.clone(),
        }
    }
}

struct Watch {
    known: Weak<Mutex<Known>>,
    primary: Link,
    replica: Link,
    history: History,
    timeline: String,
    every: Duration,
    name: DatabaseName,
}

impl Watch {
    fn keep(mut self) {
        let mut told = None;
        while self.known.strong_count() > 0 {
            let looked = self.look();
            let problem = looked.as_ref().err().map(Blind::sentence);
            let Some(known) = self.known.upgrade() else { return };
            self.learn(&mut known.lock().unwrap_or_else(PoisonError::into_inner), looked);
            drop(known);
            self.tell(&mut told, problem);
            thread::sleep(self.every);
        }
    }

    fn look(&mut self) -> Result<Seen, Blind> {
        let asked_at = Instant::now();
        let primary = self.primary.ask().map_err(Blind::Primary)?;
        if primary.is_standby {
            self.primary.conn = None;
            return Err(Blind::Primary("it takes no writes".into()));
        }
        let is_new = primary.timeline != self.timeline;
        if is_new {
            self.history.clear();
            self.timeline.clone_from(&primary.timeline);
        }
        self.history.note(asked_at, primary.lsn());
        let replica = self.replica.ask().map_err(Blind::Replica)?;
        if let Some(reason) = primary.foreign(&replica) {
            self.replica.conn = None;
            return Err(Blind::Replica(reason.into()));
        }
        let replayed = replica.lsn();
        // No replica is ahead of its primary, unless it follows one that has lost its office.
        if replayed > primary.lsn() && replayed > self.primary.ask().map_err(Blind::Primary)?.lsn() {
            return Err(Blind::Replica("it is ahead of the writing role and follows another primary".into()));
        }
        Ok(Seen { replayed, complete_until: self.history.complete_until(replayed), is_new })
    }

    fn learn(&self, known: &mut Known, looked: Result<Seen, Blind>) {
        match looked {
            Ok(seen) => {
                // A server that has gone back was started again, and may lack what it had.
                let holds = seen.replayed >= known.replayed && !seen.is_new;
                let before = known.complete_until.filter(|_| holds);
                let complete_until = seen.complete_until.max(before);
                *known = Known { complete_until, replayed: seen.replayed, problem: None };
            }
            // What was known of the replica still holds, and grows old.
            Err(blind @ Blind::Primary(_)) => known.problem = Some(blind.sentence()),
            Err(blind @ Blind::Replica(_)) => {
                *known = Known { problem: Some(blind.sentence()), ..Known::default() };
            }
        }
    }

    /// Says once what has changed.
    fn tell(&self, told: &mut Option<Option<String>>, problem: Option<String>) {
        let before = told.replace(problem.clone()).flatten();
        match (before, problem) {
            (None, Some(problem)) => {
                tracing::warn!(replica = %self.name, "a replica is not read, but the writing role: {problem}");
            }
            (Some(_), None) => tracing::info!(replica = %self.name, "the replica is read again"),
            _ => {}
        }
    }
}
