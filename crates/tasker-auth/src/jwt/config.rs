//! The options of `jwt`.

use std::path::PathBuf;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::{Algorithm, ClaimNames, Family};
#[cfg(feature = "jwks-url")]
use crate::FetchConfig;
use crate::{Problem, Secret, SecretSource};

/// The options of `jwt`. `issuer`, `audience` and exactly one of `secret`, `jwks_file`, `jwks_url` and
/// `public_keys_file` are required.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtConfig {
    /// The algorithms that are accepted, all of one family.
    pub algorithms: Vec<Algorithm>,
    /// The claim `iss` that every token must have.
    pub issuer: String,
    /// The claim `aud` must have at least one of these.
    pub audience: Vec<String>,
    /// How far the clocks of issuer and service may differ, at most 300.
    pub leeway_seconds: u32,
    /// The header; in `Authorization` the token stands after `Bearer`, in any other by itself.
    pub header: String,
    /// For HS256, HS384, HS512: the secret, of at least 32, 48 or 64 bytes.
    pub secret: Option<SecretSource>,
    /// Secrets that are accepted still, while tokens of them live.
    pub previous_secrets: Vec<SecretSource>,
    /// For the other algorithms: the file with the public keys, as JWKS.
    pub jwks_file: Option<PathBuf>,
    /// For the other algorithms: the file with the public keys, as PEM.
    pub public_keys_file: Option<PathBuf>,
    /// For the other algorithms: where the issuer publishes its keys.
    pub jwks_url: Option<String>,
    /// How often published keys are looked at again.
    pub jwks_refresh_seconds: u32,
    /// How long after looking, an unknown key id does not make it look again.
    pub jwks_cool_down_seconds: u32,
    /// How old keys may be that cannot be looked at again.
    pub jwks_max_age_seconds: u32,
    /// How keys are fetched.
    #[cfg(feature = "jwks-url")]
    pub fetch: FetchConfig,
    /// Which claims are read.
    pub claims: ClaimNames,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            algorithms: vec![Algorithm::HS256],
            issuer: String::new(),
            audience: vec![],
            leeway_seconds: 60,
            header: "authorization".into(),
            secret: None,
            previous_secrets: vec![],
            jwks_file: None,
            public_keys_file: None,
            jwks_url: None,
            jwks_refresh_seconds: 300,
            jwks_cool_down_seconds: 30,
            jwks_max_age_seconds: 86_400,
            #[cfg(feature = "jwks-url")]
            fetch: FetchConfig::default(),
            claims: ClaimNames::default(),
        }
    }
}

impl JwtConfig {
    /// Every mistake, with its key.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.claims.problems();
        let mut wrong = |key: &str, reason: &str| problems.push(Problem::new(key, reason));
        if self.algorithms.is_empty() {
            wrong("algorithms", "must name at least one");
        }
        let family = self.family();
        if self.algorithms.iter().any(|a| Some(a.family()) != family) {
            wrong("algorithms", "must all be of one family, or a token could choose how it is checked");
        }
        if self.issuer.is_empty() {
            wrong("issuer", "is required: the claim `iss` of your tokens");
        }
        if self.audience.is_empty() || self.audience.iter().any(String::is_empty) {
            wrong("audience", "is required: what your tokens name as `aud`");
        }
        if self.leeway_seconds > 300 {
            wrong("leeway_seconds", "must be at most 300");
        }
        if self.header.parse::<HeaderName>().is_err() {
            wrong("header", "is no name of a header");
        }
        self.key_problems(family, &mut wrong);
        #[cfg(feature = "jwks-url")]
        problems.extend(self.fetch.problems());
        problems
    }

    pub(crate) fn family(&self) -> Option<Family> {
        self.algorithms.first().map(|a| a.family())
    }

    #[cfg(feature = "jwks-url")]
    pub(super) fn ages(&self) -> super::remote::Ages {
        let seconds = |n: u32| chrono::TimeDelta::seconds(i64::from(n));
        super::remote::Ages {
            refresh: seconds(self.jwks_refresh_seconds),
            cool_down: seconds(self.jwks_cool_down_seconds),
            most: seconds(self.jwks_max_age_seconds),
        }
    }

    fn key_problems(&self, family: Option<Family>, wrong: &mut impl FnMut(&str, &str)) {
        let is_hmac = family == Some(Family::Hmac);
        let sources = [self.jwks_file.is_some(), self.public_keys_file.is_some(), self.jwks_url.is_some()];
        let sources = sources.into_iter().filter(|is_there| *is_there).count();
        if is_hmac && sources > 0 {
            wrong("algorithms", "are of a secret, but public keys are configured: remove one of the two");
        }
        if !is_hmac && (self.secret.is_some() || !self.previous_secrets.is_empty()) {
            wrong("secret", "is for HS256, HS384 and HS512 only: remove it, or change `algorithms`");
        }
        if is_hmac && self.secret.is_none() {
            wrong("secret", "is required for HS256, HS384 and HS512");
        }
        if !is_hmac && sources != 1 {
            wrong("jwks_url", "or `jwks_file` or `public_keys_file` is required, exactly one of them");
        }
        if self.algorithms.contains(&Algorithm::ES512) && cfg!(not(feature = "es512")) {
            wrong(
                "algorithms",
                "has ES512, which needs the feature `es512` of tasker-auth; this program lacks it",
            );
        }
        if self.jwks_url.is_some() && cfg!(not(feature = "jwks-url")) {
            wrong("jwks_url", "needs the feature `jwks-url` of tasker-auth, which this program lacks");
        }
        if let Err((key, reason)) = self.secrets() {
            wrong(key, &reason);
        }
        for (key, seconds) in [
            ("jwks_refresh_seconds", self.jwks_refresh_seconds),
            ("jwks_cool_down_seconds", self.jwks_cool_down_seconds),
            ("jwks_max_age_seconds", self.jwks_max_age_seconds),
        ] {
            if seconds == 0 {
                wrong(key, "must be at least 1");
            }
        }
    }

    /// The secrets, each long enough; or which is not to be had, and why.
    pub(crate) fn secrets(&self) -> Result<Vec<Secret>, (&'static str, String)> {
        let fewest = self.algorithms.iter().map(|a| a.secret_bytes()).max().unwrap_or(32);
        let first = self.secret.iter().map(|source| ("secret", source));
        let all = first.chain(self.previous_secrets.iter().map(|source| ("previous_secrets", source)));
        all.map(|(key, source)| {
            let secret = source.read().map_err(|reason| (key, reason))?;
            if secret.expose().len() < fewest {
                return Err((key, format!("must have at least {fewest} bytes for these algorithms")));
            }
            Ok(secret)
        })
        .collect()
    }
}
