//! Knows whoever sends a token of the configured issuer.

use std::{fmt, fs, path::Path, sync::Arc};

use super::{
    Algorithm, ClaimNames, JwtConfig,
    keys::{KeySet, Keys},
    token::{Expected, verify},
};
use crate::{
    AuthError, AuthFuture, Authenticator, Identity, Method, Problem, Request, token_header::TokenHeader,
};

/// Knows whoever sends a token of the configured issuer.
pub struct JwtAuthenticator {
    algorithms: Vec<Algorithm>,
    issuer: String,
    audience: Vec<String>,
    leeway_seconds: u32,
    header: TokenHeader,
    keys: Keys,
    claims: ClaimNames,
}

impl JwtAuthenticator {
    /// The authenticator, or every mistake in its options. Published keys are fetched when the first token
    /// comes.
    pub fn new(config: &JwtConfig) -> Result<Self, Vec<Problem>> {
        let problems = config.problems();
        let (true, Ok(header)) = (problems.is_empty(), config.header.parse()) else { return Err(problems) };
        Ok(Self {
            algorithms: config.algorithms.clone(),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway_seconds: config.leeway_seconds,
            header: TokenHeader::first_of(vec![header]),
            keys: keys(config).map_err(|problem| vec![problem])?,
            claims: config.claims.clone(),
        })
    }

    async fn identify(&self, request: Request<'_>) -> Result<Identity, AuthError> {
        let text = self.header.token(&request)?;
        let expected = Expected {
            algorithms: &self.algorithms,
            issuer: &self.issuer,
            audiences: &self.audience,
            leeway_seconds: self.leeway_seconds,
        };
        let claims = verify(text, &self.keys, &expected, request.instant()).await?;
        Ok(self.claims.identity(&claims, Method::Jwt)?)
    }
}

fn keys(config: &JwtConfig) -> Result<Keys, Problem> {
    if let Some(path) = &config.jwks_file {
        return from_file("jwks_file", path, KeySet::parse);
    }
    if let Some(path) = &config.public_keys_file {
        return from_file("public_keys_file", path, KeySet::parse_pem);
    }
    #[cfg(feature = "jwks-url")]
    if let Some(url) = &config.jwks_url {
        let wrong = |reason| Problem::new("jwks_url", reason);
        let fetcher = crate::fetch::Fetcher::new(&config.fetch).map_err(wrong)?;
        let remote = super::remote::RemoteKeys::new(url, fetcher, config.ages()).map_err(wrong)?;
        return Ok(Keys::Remote(Box::new(remote)));
    }
    let secrets = config.secrets().map_err(|(key, reason)| Problem::new(key, reason))?;
    Ok(Keys::Fixed(Arc::new(KeySet::secrets(secrets.iter().map(|s| s.expose())))))
}

fn from_file(
    key: &str,
    path: &Path,
    parse: impl Fn(&str) -> Result<KeySet, String>,
) -> Result<Keys, Problem> {
    let wrong = |reason| Problem::new(key, format!("{}: {reason}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    Ok(Keys::Fixed(Arc::new(parse(&text).map_err(wrong)?)))
}

impl Authenticator for JwtAuthenticator {
    fn authenticate<'a>(&'a self, request: Request<'a>) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(self.identify(request))
    }
}

impl fmt::Debug for JwtAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthenticator")
            .field("algorithms", &self.algorithms)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
