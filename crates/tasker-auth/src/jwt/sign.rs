//! Signs tokens with a secret: for services that issue their own, and for tests.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, TimeDelta, Utc};
use ring::hmac;
use serde_json::{Map, Value, json};

use super::Algorithm;
use crate::{Problem, Secret};

/// Signs tokens with HS256, HS384 or HS512.
pub struct HmacSigner {
    algorithm: Algorithm,
    key: hmac::Key,
}

impl std::fmt::Debug for HmacSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacSigner {}", self.algorithm)
    }
}

impl HmacSigner {
    /// A signer; a [`Problem`] where the algorithm has no secret or the secret is too short for it.
    pub fn new(algorithm: Algorithm, secret: &Secret) -> Result<Self, Problem> {
        let Some(hash) = algorithm.hmac() else {
            return Err(Problem::new("algorithm", format!("{algorithm} does not sign with a secret")));
        };
        let fewest = algorithm.secret_bytes();
        if secret.expose().len() < fewest {
            return Err(Problem::new("secret", format!("must have at least {fewest} bytes for {algorithm}")));
        }
        Ok(Self { algorithm, key: hmac::Key::new(hash, secret.expose().as_bytes()) })
    }

    /// The token with these claims.
    pub fn sign(&self, claims: &Map<String, Value>) -> String {
        let header = json!({ "alg": self.algorithm, "typ": "JWT" }).to_string();
        let payload = Value::Object(claims.clone()).to_string();
        let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
        let signature = hmac::sign(&self.key, message.as_bytes());
        format!("{message}.{}", BASE64.encode(signature.as_ref()))
    }
}

/// A token for tests: of the issuer `tasker-test`, for `tasker-api`, good for an hour.
///
/// ```
/// use tasker_auth::{Secret, jwt::{Algorithm, HmacSigner, TestToken}};
///
/// let secret = Secret::new("a secret of at least thirty-two bytes");
/// let signer = HmacSigner::new(Algorithm::HS256, &secret).unwrap();
/// let text = TestToken::of("1").claim("roles", serde_json::json!(["admin"])).sign(&signer);
/// assert_eq!(text.split('.').count(), 3);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct TestToken {
    claims: Map<String, Value>,
    now: DateTime<Utc>,
    lifetime: TimeDelta,
}

impl TestToken {
    /// A token of the subject.
    pub fn of(subject: impl Into<String>) -> Self {
        let claims = [
            ("sub".to_owned(), Value::String(subject.into())),
            ("iss".to_owned(), json!("tasker-test")),
            ("aud".to_owned(), json!("tasker-api")),
        ];
        Self { claims: claims.into_iter().collect(), now: Utc::now(), lifetime: TimeDelta::hours(1) }
    }

    /// Issued at another instant than the present.
    pub const fn at(mut self, now: DateTime<Utc>) -> Self {
        self.now = now;
        self
    }

    /// Good for this long; a negative time makes it expired.
    pub const fn good_for(mut self, lifetime: TimeDelta) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// With a claim, in place of the one of this name.
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        self.claims.insert(name.to_owned(), value);
        self
    }

    /// Its claims, `iat` and `exp` among them.
    pub fn claims(&self) -> Map<String, Value> {
        let mut claims = self.claims.clone();
        claims.entry("iat").or_insert(json!(self.now.timestamp()));
        claims.entry("exp").or_insert(json!((self.now + self.lifetime).timestamp()));
        claims
    }

    /// Its text.
    pub fn sign(&self, signer: &HmacSigner) -> String {
        signer.sign(&self.claims())
    }
}
