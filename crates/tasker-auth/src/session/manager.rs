//! Starts, knows and ends sessions.
//!
//! The id of a session is made here at every start and never taken from a request, so nobody can have a victim
//! sign in to a session that they know. A request that may change something must carry the CSRF token of its
//! session, which another site cannot read.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderName;
use sha2::Sha256;

use super::{NewSession, SessionConfig, SessionStore, cookie::cookie, cookie::set_cookie};
use crate::{
    AuthError, AuthFuture, Authenticator, Digest, Identity, Method, Problem, Refusal, Request, Unavailable,
    random,
};

/// The header that carries the CSRF token.
const CSRF: &str = "x-csrf-token";

/// Starts, knows and ends sessions.
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    /// The first signs; all are accepted.
    keys: Vec<Hmac<Sha256>>,
    cookie: String,
    is_secure: bool,
    idle_seconds: u32,
    lifetime_seconds: u32,
}

/// The value of a `Set-Cookie` header, which is a secret of its browser.
#[derive(Clone)]
pub struct SetCookie(pub(crate) String);

impl SetCookie {
    /// The value. Whoever asks for it answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A session right after its start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Started {
    /// To be set in the answer to the login.
    pub set_cookie: SetCookie,
    /// To be sent in `x-csrf-token` with every request that may change something.
    pub csrf: crate::Secret,
}

impl Sessions {
    /// Sessions in a store, or every mistake in the options.
    pub fn new(config: &SessionConfig, store: Arc<dyn SessionStore>) -> Result<Self, Vec<Problem>> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let secrets = config.secrets().map_err(|(key, reason)| vec![Problem::new(key, reason)])?;
        // HMAC takes keys of any length.
        let keys = secrets.iter().filter_map(|s| Hmac::new_from_slice(s.expose().as_bytes()).ok()).collect();
        Ok(Self {
            store,
            keys,
            cookie: config.cookie.clone(),
            is_secure: config.secure,
            idle_seconds: config.idle_seconds,
            lifetime_seconds: config.lifetime_seconds,
        })
    }

    /// Starts a session for somebody who has just proved who they are, and ends the one that the request came
    /// with.
    pub async fn start(&self, request: Request<'_>, identity: Identity) -> Result<Started, Unavailable> {
        if let Ok(Some(id)) = self.id(&request) {
            self.store.remove(Digest::of(id)).await?;
        }
        let id = random::hex::<32>();
        let new = NewSession { digest: Digest::of(&id), identity, lifetime_seconds: self.lifetime_seconds };
        self.store.insert(new, request.now).await?;
        let value = format!("{id}.{}", self.sign("session", &id));
        let text = set_cookie(&self.cookie, &value, self.lifetime_seconds, self.is_secure);
        let csrf = crate::Secret::new(self.sign("csrf", &id));
        Ok(Started { set_cookie: SetCookie(text), csrf })
    }

    /// Ends the session of the request. Returns what removes its cookie.
    pub async fn end(&self, request: Request<'_>) -> Result<SetCookie, Unavailable> {
        if let Ok(Some(id)) = self.id(&request) {
            self.store.remove(Digest::of(id)).await?;
        }
        Ok(SetCookie(set_cookie(&self.cookie, "", 0, self.is_secure)))
    }

    /// Ends every session of a subject: for a changed password or role. Returns how many.
    pub async fn end_all(&self, subject: &str) -> Result<u64, Unavailable> {
        self.store.remove_all(subject).await
    }

    /// The CSRF token of the request's session, for a page that will send it; `None` without a session.
    pub fn csrf(&self, request: Request<'_>) -> Option<crate::Secret> {
        let id = self.id(&request).ok().flatten()?;
        Some(crate::Secret::new(self.sign("csrf", id)))
    }

    #[cfg(feature = "oidc")]
    pub(crate) const fn is_secure(&self) -> bool {
        self.is_secure
    }

    async fn identify(&self, request: Request<'_>) -> Result<Identity, AuthError> {
        let id = self.id(&request)?.ok_or(AuthError::Missing { expected: "sign in" })?;
        self.check_csrf(&request, id)?;
        let now: Option<DateTime<Utc>> = request.now;
        let found = self.store.find(Digest::of(id), self.idle_seconds, now).await?;
        let identity = found.ok_or(Refusal::Expired)?;
        Ok(Identity { method: Method::Session, ..identity })
    }

    fn check_csrf(&self, request: &Request<'_>, id: &str) -> Result<(), AuthError> {
        if !request.is_unsafe() {
            return Ok(());
        }
        let refused = AuthError::Csrf { header: CSRF };
        let header =
            |name: &'static str| request.header(&HeaderName::from_static(name)).map_err(|_| refused.clone());
        if header("sec-fetch-site")?.is_some_and(|site| site == "cross-site") {
            return Err(refused);
        }
        let sent = header(CSRF)?.unwrap_or_default();
        if self.is_signed("csrf", id, sent) { Ok(()) } else { Err(refused) }
    }

    /// The id in the cookie, where the signature is ours.
    fn id<'a>(&self, request: &Request<'a>) -> Result<Option<&'a str>, Refusal> {
        let Some(value) = cookie(request, &self.cookie)? else { return Ok(None) };
        let (id, signature) = value.split_once('.').ok_or(Refusal::Invalid)?;
        let is_ours = id.len() == 64 && self.is_signed("session", id, signature);
        if is_ours { Ok(Some(id)) } else { Err(Refusal::Invalid) }
    }

    fn sign(&self, purpose: &str, id: &str) -> String {
        self.keys
            .first()
            .map_or_else(String::new, |key| random::to_hex(&mac(key, purpose, id).finalize().into_bytes()))
    }

    /// In constant time, whichever key it was.
    fn is_signed(&self, purpose: &str, id: &str, signature: &str) -> bool {
        let Some(bytes) = random::from_hex(signature) else { return false };
        self.keys.iter().any(|key| mac(key, purpose, id).verify_slice(&bytes).is_ok())
    }
}

fn mac(key: &Hmac<Sha256>, purpose: &str, id: &str) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(purpose.as_bytes());
    mac.update(b":");
    mac.update(id.as_bytes());
    mac
}

impl Authenticator for Sessions {
    fn authenticate<'a>(&'a self, request: Request<'a>) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(self.identify(request))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("cookie", &self.cookie).finish_non_exhaustive()
    }
}
