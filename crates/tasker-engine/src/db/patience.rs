//! How trouble is waited out: longer each time, and told once a minute for each cause.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{DbError, Fault};

/// The first wait after a lost connection or a refusal.
const FIRST: Duration = Duration::from_millis(50);

/// The first wait after a conflict: the other transaction is over.
const FIRST_OF_CONFLICT: Duration = Duration::from_millis(5);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(2);

/// How long a cause is not told again.
const QUIET: Duration = Duration::from_secs(60);

/// How many causes are remembered; a new one beyond that makes all forgotten.
const CAUSES: usize = 64;

/// What was complained of lately, shared by all clones of a [`Db`](super::Db).
#[derive(Debug, Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<HashMap<String, Told>>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    since: u64,
}

impl Complaints {
    /// Whether the cause is to be told now; then how often it came untold since the last time.
    fn due(&self, cause: &str, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = told.get_mut(cause) {
            if now.duration_since(last.at) < QUIET {
                last.since += 1;
                return None;
            }
            last.at = now;
            return Some(std::mem::take(&mut last.since));
        }
        if told.len() >= CAUSES {
            told.clear();
        }
        told.insert(cause.to_owned(), Told { at: now, since: 0 });
        Some(0)
    }
}

/// Waits between the tries of one piece of work, each wait twice the one before up to two seconds, less up to
/// half of it by chance. Made by [`Db::patience`](super::Db::patience).
#[derive(Debug)]
pub struct Patience {
    what: &'static str,
    complaints: Complaints,
    wait: Option<Duration>,
}

impl Patience {
    pub(super) fn new(what: &'static str, complaints: Complaints) -> Self {
        Self { what, complaints, wait: None }
    }

    /// Waits after a failure, or until `stop`. Logs a warning unless its cause was told within the last
    /// minute, by whomever of those who share the database.
    pub async fn after(&mut self, error: &DbError, stop: &CancellationToken) {
        self.complain(error);
        let wait = self.next(error.fault());
        tokio::select! {
            () = tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Says what is wrong, unless it was said within the last minute.
    pub fn complain(&self, error: &DbError) {
        if let Some(untold) = self.complaints.due(&cause(error), Instant::now()) {
            let what = self.what;
            tracing::warn!(%error, untold, "{what} failed for now; trying again");
        }
    }

    /// Starts again from the shortest wait, after a success.
    pub fn reset(&mut self) {
        self.wait = None;
    }

    fn next(&mut self, fault: Fault) -> Duration {
        let first = if fault == Fault::Conflict { FIRST_OF_CONFLICT } else { FIRST };
        let wait = self.wait.map_or(first, |last| (last * 2).min(LONGEST));
        self.wait = Some(wait);
        wait
    }
}

/// Causes that are one for everybody are told once; what the database alone can name goes by its message.
fn cause(error: &DbError) -> String {
    match error.fault() {
        Fault::Unclear | Fault::Data | Fault::Statement | Fault::Program => error.to_string(),
        fault => fault.sentence().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_a_minute_by_all_together() {
        let (one, start) = (Complaints::default(), Instant::now());
        let other = one.clone();
        assert_eq!(one.due("a", start), Some(0));
        assert_eq!(other.due("a", start), None);
        assert_eq!(other.due("b", start), Some(0));
        assert_eq!(one.due("a", start + QUIET - Duration::from_millis(1)), None);
        assert_eq!(one.due("a", start + QUIET), Some(2));
    }

    #[test]
    fn causes_are_bounded() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        for i in 0..1_000 {
            complaints.due(&i.to_string(), start);
        }
        assert!(complaints.0.lock().unwrap().len() <= CAUSES);
    }

    #[test]
    fn waits_double_up_to_two_seconds() {
        let mut patience = Patience::new("testing", Complaints::default());
        let waits: Vec<_> = (0..8).map(|_| patience.next(Fault::Connection).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        patience.reset();
        assert_eq!(patience.next(Fault::Conflict).as_millis(), 5);
    }
}
