//! Where begun logins are kept.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::{AuthFuture, Digest, Unavailable};

/// A begun login.
#[derive(Clone)]
#[non_exhaustive]
pub struct Login {
    /// The digest of the state that was sent along.
    pub state: Digest,
    /// The digest of the cookie of the browser that began it.
    pub browser: Digest,
    /// What the token must repeat.
    pub nonce: String,
    /// What proves to the provider that the code is asked for by whoever began.
    pub code_verifier: String,
    /// The path to go to afterwards.
    pub return_to: String,
}

impl Login {
    /// One that was kept.
    pub const fn new(
        state: Digest,
        browser: Digest,
        nonce: String,
        code_verifier: String,
        return_to: String,
    ) -> Self {
        Self { state, browser, nonce, code_verifier, return_to }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login to {}", self.return_to)
    }
}

/// Where begun logins are kept. `now` `None` is the clock of the store.
pub trait LoginStore: Send + Sync {
    /// Keeps one for so many seconds.
    fn insert(
        &self,
        login: Login,
        seconds: u32,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'_, Result<(), Unavailable>>;

    /// Takes one out, where its time is not over and it is this browser's. Of two who ask at once, one gets it.
    fn take(
        &self,
        state: Digest,
        browser: Digest,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'_, Result<Option<Login>, Unavailable>>;
}
