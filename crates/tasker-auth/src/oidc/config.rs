//! The options of `oidc`.

use serde::{Deserialize, Serialize};

use crate::{
    FetchConfig, Problem, Secret, SecretSource, SessionConfig,
    jwt::{Algorithm, ClaimNames, Family},
};

/// The options of `oidc`. `issuer`, `client_id`, `redirect_url` and the secret of the session are required.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcConfig {
    /// The provider's own name, a URL; its description is found below it.
    pub issuer: String,
    /// The name of this service at the provider.
    pub client_id: String,
    /// What proves it; without, the service is a public client.
    pub client_secret: Option<SecretSource>,
    /// The URL of the route `/auth/callback` as browsers see it, registered at the provider.
    pub redirect_url: String,
    /// What is asked for; `openid` must be among it.
    pub scopes: Vec<String>,
    /// The algorithms in which the provider may sign, all of one family, none of them HMAC.
    pub algorithms: Vec<Algorithm>,
    /// How far the clocks of provider and service may differ, at most 300.
    pub leeway_seconds: u32,
    /// How long a login may take, 60 to 3600.
    pub login_seconds: u32,
    /// Where to go after a login that was begun without a place to return to.
    pub after_login: String,
    /// How the provider is asked.
    pub fetch: FetchConfig,
    /// Which claims are read.
    pub claims: ClaimNames,
    /// The session in which a login ends.
    pub session: SessionConfig,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            redirect_url: String::new(),
            scopes: vec!["openid".into(), "profile".into()],
            algorithms: vec![Algorithm::RS256],
            leeway_seconds: 60,
            login_seconds: 600,
            after_login: "/".into(),
            fetch: FetchConfig::default(),
            claims: ClaimNames { subject: vec!["sub".into()], ..ClaimNames::default() },
            session: SessionConfig::default(),
        }
    }
}

impl OidcConfig {
    /// Every mistake, with its key.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            self.session.problems().into_iter().map(|p| p.within("session")).collect();
        problems.extend(self.claims.problems());
        problems.extend(self.fetch.problems());
        let mut wrong = |key: &str, reason: &str| problems.push(Problem::new(key, reason));
        for (key, value) in
            [("issuer", &self.issuer), ("client_id", &self.client_id), ("redirect_url", &self.redirect_url)]
        {
            if value.is_empty() {
                wrong(key, "is required");
            }
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            wrong("scopes", "must have `openid` among them");
        }
        let family = self.algorithms.first().map(|a| a.family());
        let is_one = self.algorithms.iter().all(|a| Some(a.family()) == family);
        if !is_one || family.is_none_or(|f| f == Family::Hmac) {
            wrong("algorithms", "must be of one family of public keys: RS, PS, ES or EdDSA");
        }
        if self.algorithms.contains(&Algorithm::ES512) && cfg!(not(feature = "es512")) {
            wrong(
                "algorithms",
                "has ES512, which needs the feature `es512` of tasker-auth; this program lacks it",
            );
        }
        if self.leeway_seconds > 300 {
            wrong("leeway_seconds", "must be at most 300");
        }
        if !(60..=3_600).contains(&self.login_seconds) {
            wrong("login_seconds", "must be 60 to 3600");
        }
        if !is_local(&self.after_login) {
            wrong("after_login", "must be a path of this service, such as `/`");
        }
        if let Err(reason) = self.secret() {
            wrong("client_secret", &reason);
        }
        problems
    }

    pub(super) fn secret(&self) -> Result<Option<Secret>, String> {
        self.client_secret.as_ref().map(SecretSource::read).transpose()
    }
}

/// Whether it is a path of this service: browsers take `//host` and `/\host` for another one.
pub(super) fn is_local(path: &str) -> bool {
    let mut chars = path.chars();
    let starts = chars.next() == Some('/') && !matches!(chars.next(), Some('/' | '\\'));
    starts && path.len() <= 2_000 && path.chars().all(|c| c.is_ascii_graphic() && c != '\\')
}
