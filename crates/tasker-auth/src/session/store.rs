//! Where sessions are kept.

use chrono::{DateTime, Utc};

use crate::{AuthFuture, Digest, Identity, Unavailable};

/// A session to be kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewSession {
    /// The digest of its id, which is a secret of the browser.
    pub digest: Digest,
    /// Whose it is.
    pub identity: Identity,
    /// How long it lives at most, in seconds.
    pub lifetime_seconds: u32,
}

/// Where sessions are kept. `now` `None` is the clock of the store.
pub trait SessionStore: Send + Sync {
    /// Keeps a new one.
    fn insert(&self, new: NewSession, now: Option<DateTime<Utc>>) -> AuthFuture<'_, Result<(), Unavailable>>;

    /// Whose it is, where it lives; notes that it was seen.
    fn find(
        &self,
        digest: Digest,
        idle_seconds: u32,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'_, Result<Option<Identity>, Unavailable>>;

    /// Ends it.
    fn remove(&self, digest: Digest) -> AuthFuture<'_, Result<(), Unavailable>>;

    /// Ends all of a subject; returns how many.
    fn remove_all<'a>(&'a self, subject: &'a str) -> AuthFuture<'a, Result<u64, Unavailable>>;
}
