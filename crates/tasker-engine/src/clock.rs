//! Where the time of a command comes from: the database, or a clock that a test moves by hand.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// The source of instants. The default reads the database's clock inside each command.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<Mutex<DateTime<Utc>>>>);

impl Clock {
    /// The database's clock.
    pub fn database() -> Self {
        Self(None)
    }

    /// A clock that stands still until it is moved. Clones share it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Some(Arc::new(Mutex::new(start))))
    }

    /// What to pass to a command: an instant, or `None` for the database's.
    pub fn now(&self) -> Option<DateTime<Utc>> {
        self.0.as_ref().map(|c| *c.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Moves a manual clock on; the database's clock is not ours to move.
    pub fn advance(&self, by: TimeDelta) {
        if let Some(clock) = &self.0 {
            *clock.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }

    /// Moves a manual clock to an instant, never back.
    pub fn advance_to(&self, to: DateTime<Utc>) {
        if let Some(clock) = &self.0 {
            let mut now = clock.lock().unwrap_or_else(PoisonError::into_inner);
            *now = to.max(*now);
        }
    }
}
