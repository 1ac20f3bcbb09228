//! The options of `session`.

use serde::{Deserialize, Serialize};

use crate::{Problem, Secret, SecretSource};

/// The options of `session`. `secret` is required.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// Signs cookies and CSRF tokens; at least 32 bytes.
    pub secret: Option<SecretSource>,
    /// Secrets that are accepted still, while sessions of them live.
    pub previous_secrets: Vec<SecretSource>,
    /// The name of the cookie. Browsers hold one that begins with `__Host-` to this host and to TLS.
    pub cookie: String,
    /// Whether the cookie is sent over TLS only; `false` is for development on one's own machine.
    pub secure: bool,
    /// How long a session lives without a request, 60 or more.
    pub idle_seconds: u32,
    /// How long a session lives at most, `idle_seconds` or more.
    pub lifetime_seconds: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            secret: None,
            previous_secrets: vec![],
            cookie: "__Host-tasker-session".into(),
            secure: true,
            idle_seconds: 1_800,
            lifetime_seconds: 43_200,
        }
    }
}

impl SessionConfig {
    /// Every mistake, with its key.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = vec![];
        let mut wrong = |key: &str, reason: &str| problems.push(Problem::new(key, reason));
        if self.secret.is_none() {
            wrong(
                "secret",
                "is required: at least 32 random bytes, the same in every process of the service",
            );
        }
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if self.cookie.is_empty() || !self.cookie.bytes().all(is_token) {
            wrong("cookie", "must be letters, digits, `-`, `_` and `.`");
        }
        if !self.secure && self.cookie.starts_with("__") {
            wrong("cookie", "must not begin with `__` where `secure` is false: browsers would not keep it");
        }
        if self.idle_seconds < 60 {
            wrong("idle_seconds", "must be at least 60");
        }
        if self.lifetime_seconds < self.idle_seconds {
            wrong("lifetime_seconds", "must be at least `idle_seconds`");
        }
        if let Err((key, reason)) = self.secrets() {
            wrong(key, &reason);
        }
        problems
    }

    /// The secrets, the one that signs first; or which is not to be had, and why.
    pub(super) fn secrets(&self) -> Result<Vec<Secret>, (&'static str, String)> {
        let first = self.secret.iter().map(|source| ("secret", source));
        let all = first.chain(self.previous_secrets.iter().map(|source| ("previous_secrets", source)));
        all.map(|(key, source)| {
            let secret = source.read().map_err(|reason| (key, reason))?;
            let is_long = secret.expose().len() >= 32;
            if is_long { Ok(secret) } else { Err((key, "must have at least 32 bytes".into())) }
        })
        .collect()
    }
}
