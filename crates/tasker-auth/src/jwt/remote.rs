//! Keys that their issuer publishes and replaces: fetched when they are needed, looked at again from time to
//! time and for an unknown key id, but never more often than the cool-down allows.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use super::{Algorithm, KeySet};
use crate::{Unavailable, fetch::Fetcher};

pub(crate) struct RemoteKeys {
    url: String,
    fetcher: Fetcher,
    state: RwLock<State>,
    /// Whoever holds it fetches; the others wait for the outcome.
    turn: Mutex<()>,
    ages: Ages,
}

/// How old keys may become.
#[derive(Clone, Copy)]
pub(crate) struct Ages {
    /// Then they are looked at again.
    pub(crate) refresh: TimeDelta,
    /// Sooner they are not, whatever a token names.
    pub(crate) cool_down: TimeDelta,
    /// Then they count no more, if they could not be looked at.
    pub(crate) most: TimeDelta,
}

impl Default for Ages {
    fn default() -> Self {
        let (refresh, cool_down) = (TimeDelta::minutes(5), TimeDelta::seconds(30));
        Self { refresh, cool_down, most: TimeDelta::days(1) }
    }
}

#[derive(Clone, Default)]
struct State {
    keys: Arc<KeySet>,
    fetched_at: Option<DateTime<Utc>>,
    tried_at: Option<DateTime<Utc>>,
}

impl RemoteKeys {
    /// Keys at a URL, or the rest of a sentence that says why they cannot be fetched from there.
    pub(crate) fn new(url: &str, fetcher: Fetcher, ages: Ages) -> Result<Self, String> {
        fetcher.check(url)?;
        Ok(Self { url: url.to_owned(), fetcher, state: RwLock::default(), turn: Mutex::default(), ages })
    }

    /// The keys, looked at again first where they are due or have none for this token.
    pub(crate) async fn set_for(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        now: DateTime<Utc>,
    ) -> Result<Arc<KeySet>, Unavailable> {
        let before = self.snapshot();
        if self.is_due(&before, id, algorithm, now) {
            let _turn = self.turn.lock().await;
            // Whoever waited for the turn finds what the one before has fetched.
            if self.is_due(&self.snapshot(), id, algorithm, now) {
                self.fetch(now).await;
            }
        }
        let state = self.snapshot();
        let usable = state.fetched_at.is_some_and(|at| now - at < self.ages.most);
        usable
            .then_some(state.keys)
            .ok_or_else(|| Unavailable::new("the keys of the issuer", format!("{} has given none", self.url)))
    }

    fn is_due(&self, state: &State, id: Option<&str>, algorithm: Algorithm, now: DateTime<Utc>) -> bool {
        // The clock may have been set back; then an instant that lies ahead counts for as long as one behind.
        let is_recent = |at: Option<DateTime<Utc>>, span| at.is_some_and(|at| (now - at).abs() < span);
        let is_known = state.keys.candidates(id, algorithm).next().is_some();
        let is_wanted = !is_known || !is_recent(state.fetched_at, self.ages.refresh);
        is_wanted && !is_recent(state.tried_at, self.ages.cool_down)
    }

    async fn fetch(&self, now: DateTime<Utc>) {
        let fetched = self.fetcher.get(&self.url).await.and_then(|text| KeySet::parse(&text));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.tried_at = Some(now);
        match fetched {
            // The whole set is replaced: a key that is no longer published signs nothing more.
            Ok(keys) => (state.keys, state.fetched_at) = (Arc::new(keys), Some(now)),
            Err(reason) => {
                tracing::warn!(url = self.url, reason, "the keys of the issuer could not be fetched")
            }
        }
    }

    fn snapshot(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteKeys at {}", self.url)
    }
}
