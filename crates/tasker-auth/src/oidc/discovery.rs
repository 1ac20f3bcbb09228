//! What the provider says of itself: where it lets users in, where it gives tokens, and its keys.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::{
    Unavailable,
    fetch::Fetcher,
    jwt::{Ages, Keys, RemoteKeys},
};

/// How long a description is believed.
const BELIEVED: TimeDelta = TimeDelta::hours(1);

#[derive(Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

/// A provider as it described itself.
pub(super) struct Provider {
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) keys: Keys,
}

/// Asks the provider for its description when it is needed, and again after an hour.
pub(super) struct Discovery {
    issuer: String,
    fetcher: Fetcher,
    known: Mutex<Option<(DateTime<Utc>, Arc<Provider>)>>,
}

const WHAT: &str = "the provider of identities";

impl Discovery {
    /// A provider by its issuer, or the rest of a sentence that says why it cannot be asked.
    pub(super) fn new(issuer: &str, fetcher: Fetcher) -> Result<Self, String> {
        fetcher.check(issuer)?;
        Ok(Self { issuer: issuer.to_owned(), fetcher, known: Mutex::default() })
    }

    pub(super) const fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// The provider; where it cannot be asked again, as it was known before.
    pub(super) async fn provider(&self, now: DateTime<Utc>) -> Result<Arc<Provider>, Unavailable> {
        let mut known = self.known.lock().await;
        if let Some((at, provider)) = &*known
            && (now - *at).abs() < BELIEVED
        {
            return Ok(Arc::clone(provider));
        }
        match (self.ask().await, &*known) {
            (Ok(provider), _) => {
                let provider = Arc::new(provider);
                *known = Some((now, Arc::clone(&provider)));
                Ok(provider)
            }
            (Err(_), Some((_, provider))) => Ok(Arc::clone(provider)),
            (Err(reason), None) => Err(Unavailable::new(WHAT, format!("{}: {reason}", self.issuer))),
        }
    }

    async fn ask(&self) -> Result<Provider, String> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let text = self.fetcher.get(&url).await?;
        let said: Description = serde_json::from_str(&text).map_err(|e| format!("its description: {e}"))?;
        if said.issuer != self.issuer {
            return Err(format!("it calls itself {}", said.issuer));
        }
        for url in [&said.authorization_endpoint, &said.token_endpoint, &said.jwks_uri] {
            self.fetcher.check(url).map_err(|reason| format!("{url} {reason}"))?;
        }
        let keys = RemoteKeys::new(&said.jwks_uri, self.fetcher.clone(), Ages::default())?;
        Ok(Provider {
            authorization_endpoint: said.authorization_endpoint,
            token_endpoint: said.token_endpoint,
            keys: Keys::Remote(Box::new(keys)),
        })
    }
}
