//! Knows whoever sends a token that the store holds.

use std::{collections::BTreeSet, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use http::{HeaderName, header::AUTHORIZATION};
use serde::{Deserialize, Serialize};

use super::TokenParts;
use crate::{
    AuthError, AuthFuture, Authenticator, Digest, Identity, Limit, Method, Namespaces, PermissionSet,
    Problem, Refusal, Request, Unavailable, token_header::TokenHeader,
};

/// The options of `api_token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiTokenConfig {
    /// The header that holds the token by itself. `Authorization: Bearer <token>` is read where it is absent.
    pub header: String,
    /// What every token begins with, 2 to 16 lowercase letters and digits.
    pub prefix: String,
}

impl Default for ApiTokenConfig {
    fn default() -> Self {
        Self { header: "x-api-token".into(), prefix: "tasker".into() }
    }
}

impl ApiTokenConfig {
    /// Every mistake, with its key.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = vec![];
        if self.header.parse::<HeaderName>().is_err() {
            problems.push(Problem::new("header", format!("`{}` is no name of a header", self.header)));
        }
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if !(2..=16).contains(&self.prefix.len()) || !self.prefix.bytes().all(fits) {
            problems.push(Problem::new("prefix", "must be 2 to 16 lowercase letters and digits"));
        }
        problems
    }
}

/// What is kept of a token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoredToken {
    /// Its number.
    pub id: i64,
    /// On whose behalf it acts.
    pub subject: String,
    /// The digest of its text.
    pub digest: Digest,
    /// The roles of whoever sends it.
    pub roles: BTreeSet<String>,
    /// What it is for; whoever sends it is permitted this, and nothing beyond. `None`: what the roles permit.
    pub permissions: Option<PermissionSet>,
    /// Where it is for.
    pub namespaces: Namespaces,
    /// Whether its time is over, by the clock that was asked for.
    pub is_expired: bool,
    /// Whether it was taken back.
    pub is_revoked: bool,
}

impl StoredToken {
    /// A token that is neither expired nor revoked, without scopes.
    pub fn new(id: i64, subject: impl Into<String>, digest: Digest) -> Self {
        Self {
            id,
            subject: subject.into(),
            digest,
            roles: BTreeSet::new(),
            permissions: None,
            namespaces: Namespaces::All,
            is_expired: false,
            is_revoked: false,
        }
    }

    fn identity(self) -> Identity {
        let identity = Identity::new(self.subject, Method::ApiToken).with_roles(self.roles);
        identity
            .with_permissions(self.permissions.iter().flat_map(|set| set.iter()))
            .limited(Limit::new(self.permissions, self.namespaces))
    }
}

/// Where tokens are kept.
pub trait TokenStore: Send + Sync {
    /// The token by its lookup, judged at `now` (`None`: by the clock of the store).
    fn find<'a>(
        &'a self,
        lookup: &'a str,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'a, Result<Option<StoredToken>, Unavailable>>;

    /// Notes that the token was used. It need not be exact, and a store may leave it out.
    fn used(&self, id: i64, now: Option<DateTime<Utc>>) -> AuthFuture<'_, Result<(), Unavailable>>;
}

/// Knows whoever sends a token that the store holds.
pub struct ApiTokenAuthenticator {
    store: Arc<dyn TokenStore>,
    prefix: String,
    header: TokenHeader,
    /// Compared with where there is no row, so that the answer takes the same time.
    nobody: Digest,
}

impl ApiTokenAuthenticator {
    /// The authenticator, or every mistake in its options.
    pub fn new(config: &ApiTokenConfig, store: Arc<dyn TokenStore>) -> Result<Self, Vec<Problem>> {
        let problems = config.problems();
        let (true, Ok(header)) = (problems.is_empty(), config.header.parse()) else { return Err(problems) };
        let names = if header == AUTHORIZATION { vec![AUTHORIZATION] } else { vec![header, AUTHORIZATION] };
        Ok(Self {
            store,
            prefix: config.prefix.clone(),
            header: TokenHeader::first_of(names),
            nobody: Digest::of(&crate::random::hex::<32>()),
        })
    }

    async fn identify(&self, request: Request<'_>) -> Result<Identity, AuthError> {
        let text = self.header.token(&request)?;
        let sent = TokenParts::parse(&self.prefix, text).ok_or(Refusal::Invalid)?;
        let found = self.store.find(sent.lookup, request.now).await?;
        let kept = found.as_ref().map_or(&self.nobody, |token| &token.digest);
        let is_genuine = kept.matches(&sent.digest);
        // Only whoever holds the secret learns what became of the token.
        let token = found.filter(|_| is_genuine).ok_or(Refusal::Invalid)?;
        if token.is_revoked {
            return Err(Refusal::Revoked.into());
        }
        if token.is_expired {
            return Err(Refusal::Expired.into());
        }
        self.store.used(token.id, request.now).await?;
        Ok(token.identity())
    }
}

impl Authenticator for ApiTokenAuthenticator {
    fn authenticate<'a>(&'a self, request: Request<'a>) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(self.identify(request))
    }
}

impl fmt::Debug for ApiTokenAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiTokenAuthenticator").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
