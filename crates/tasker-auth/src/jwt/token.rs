//! Reads a token and checks everything about it that does not depend on what its claims mean here.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Algorithm, keys::Keys};
use crate::{AuthError, Refusal};

/// Longer tokens are not read.
const LONGEST: usize = 16 * 1024;

/// What a token must be.
pub(crate) struct Expected<'a> {
    pub(crate) algorithms: &'a [Algorithm],
    pub(crate) issuer: &'a str,
    pub(crate) audiences: &'a [String],
    pub(crate) leeway_seconds: u32,
}

/// What a token says of itself before anything of it is believed.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Whatever must be understood is not.
    crit: Option<Value>,
}

/// The claims of a token whose signature, times, issuer and audience are as expected. Before the signature holds,
/// every refusal is [`Refusal::Invalid`].
pub(crate) async fn verify(
    text: &str,
    keys: &Keys,
    expected: &Expected<'_>,
    now: DateTime<Utc>,
) -> Result<Map<String, Value>, AuthError> {
    let (message, signature, header) = parts(text).ok_or(Refusal::Invalid)?;
    let algorithm = Algorithm::named(&header.alg).filter(|a| expected.algorithms.contains(a));
    let algorithm = algorithm.ok_or(Refusal::Invalid)?;
    let set = keys.set_for(header.kid.as_deref(), algorithm, now).await?;
    let mut candidates = set.candidates(header.kid.as_deref(), algorithm);
    if !candidates.any(|key| algorithm.verifies(key, message.as_bytes(), &signature)) {
        return Err(Refusal::Invalid.into());
    }
    let payload = message.split_once('.').and_then(|(_, payload)| BASE64.decode(payload).ok());
    let claims = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or(Refusal::Invalid)?;
    check(&claims, expected, now)?;
    Ok(claims)
}

/// What was signed, the signature, and the header; `None` where the text is no token.
fn parts(text: &str) -> Option<(&str, Vec<u8>, Header)> {
    if text.len() > LONGEST {
        return None;
    }
    let (message, signature) = text.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    if payload.contains('.') {
        return None;
    }
    let header: Header = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
    let is_plain = header.crit.is_none() && header.kid.as_ref().is_none_or(|id| id.len() <= 256);
    is_plain.then_some((message, BASE64.decode(signature).ok()?, header))
}

fn check(claims: &Map<String, Value>, expected: &Expected<'_>, now: DateTime<Utc>) -> Result<(), Refusal> {
    let instant = |name| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Refusal::Invalid),
    };
    let (now, leeway) = (now.timestamp_millis() as f64 / 1000.0, f64::from(expected.leeway_seconds));
    if now >= instant("exp")?.ok_or(Refusal::Invalid)? + leeway {
        return Err(Refusal::Expired);
    }
    for name in ["nbf", "iat"] {
        if instant(name)?.is_some_and(|from| now + leeway < from) {
            return Err(Refusal::NotYet);
        }
    }
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(Refusal::Invalid);
    }
    let is_ours = |value: &Value| value.as_str().is_some_and(|a| expected.audiences.iter().any(|e| e == a));
    match claims.get("aud") {
        Some(Value::Array(all)) if all.iter().any(is_ours) => Ok(()),
        Some(one) if is_ours(one) => Ok(()),
        Some(_) => Err(Refusal::Audience),
        None => Err(Refusal::Invalid),
    }
}
