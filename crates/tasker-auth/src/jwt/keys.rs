//! Keys and sets of them, as JWKS.

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Algorithm;
use crate::Unavailable;

/// A key by its kind. The kind decides which algorithms it is good for, so a public key is never taken for the
/// secret of an HMAC.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Hmac(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Key {
    fn serves(&self, algorithm: Algorithm) -> bool {
        use super::Family;
        match self {
            Self::Hmac(_) => algorithm.family() == Family::Hmac,
            Self::Rsa { .. } => matches!(algorithm.family(), Family::Rsa | Family::RsaPss),
            Self::P256(_) => algorithm == Algorithm::ES256,
            Self::P384(_) => algorithm == Algorithm::ES384,
            Self::P521(_) => algorithm == Algorithm::ES512,
            Self::Ed25519(_) => algorithm == Algorithm::EdDSA,
        }
    }
}

/// A key with what its set says of it.
#[derive(Clone, PartialEq, Eq)]
struct NamedKey {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    key: Key,
}

/// Public keys, as a JWKS names them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<NamedKey>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet of {}", self.keys.len())
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWKS. Keys that are not for signatures, of an unknown kind, or secret (`oct`) are left out, as the
    /// standard asks; a set without any other is refused, with the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let set: Jwks = serde_json::from_str(text).map_err(|e| format!("is no JWKS: {e}"))?;
        let read = |value| NamedKey::from_jwk(serde_json::from_value::<Jwk>(value).ok()?);
        let keys: Vec<NamedKey> = set.keys.into_iter().filter_map(read).collect();
        if keys.is_empty() {
            return Err(
                "has no public key for signatures (RSA from 2048 bits, P-256, P-384, P-521, Ed25519)".into(),
            );
        }
        Ok(Self { keys })
    }

    /// Reads public keys in PEM, one after the other, as `openssl pkey -pubout` writes them. A block that is not
    /// one of ours is refused, with the rest of a sentence: whoever writes the file means every key in it.
    pub fn parse_pem(text: &str) -> Result<Self, String> {
        let keys = super::pem::keys(text)?;
        let named = |key| NamedKey { id: None, algorithm: None, key };
        Ok(Self { keys: keys.into_iter().map(named).collect() })
    }

    /// Secrets of HMAC.
    pub(crate) fn secrets<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let named = |s: &str| NamedKey { id: None, algorithm: None, key: Key::Hmac(s.as_bytes().to_vec()) };
        Self { keys: secrets.into_iter().map(named).collect() }
    }

    /// The keys that may have signed a token with this id and algorithm: those of the id, and those that have
    /// none. A token without an id may be of any.
    pub(crate) fn candidates<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Key> {
        let fits = move |named: &&NamedKey| {
            let same_id = id.is_none() || named.id.is_none() || named.id.as_deref() == id;
            same_id && named.algorithm.is_none_or(|a| a == algorithm) && named.key.serves(algorithm)
        };
        // Bounded, so that a large set makes no expensive requests.
        self.keys.iter().filter(fits).take(8).map(|named| &named.key)
    }
}

impl NamedKey {
    fn from_jwk(jwk: Jwk) -> Option<Self> {
        let verifies = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let algorithm = match &jwk.alg {
            None => None,
            // A key for an algorithm that is not known is for none of ours.
            Some(name) => Some(Algorithm::named(name)?),
        };
        let key = Key::from_jwk(&jwk)?;
        verifies.then_some(Self { id: jwk.kid, algorithm, key })
    }
}

impl Key {
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let bytes = |text: &Option<String>| BASE64.decode(text.as_deref()?).ok();
        let point = |length: usize| {
            let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
            (x.len() == length && y.len() == length).then(|| [vec![4], x, y].concat())
        };
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let n = bytes(&jwk.n)?;
                (n.len() >= 256).then_some(Self::Rsa { n, e: bytes(&jwk.e)? })
            }
            ("EC", Some("P-256")) => point(32).map(Self::P256),
            ("EC", Some("P-384")) => point(48).map(Self::P384),
            ("EC", Some("P-521")) => point(66).map(Self::P521),
            ("OKP", Some("Ed25519")) => bytes(&jwk.x).filter(|x| x.len() == 32).map(Self::Ed25519),
            _ => None,
        }
    }
}

/// Where keys come from.
pub(crate) enum Keys {
    Fixed(Arc<KeySet>),
    #[cfg(feature = "jwks-url")]
    Remote(Box<super::remote::RemoteKeys>),
}

impl Keys {
    /// A set in which a token of this id and algorithm can be looked up.
    pub(crate) async fn set_for(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        now: DateTime<Utc>,
    ) -> Result<Arc<KeySet>, Unavailable> {
        match self {
            Self::Fixed(set) => {
                let _ = (id, algorithm, now);
                Ok(Arc::clone(set))
            }
            #[cfg(feature = "jwks-url")]
            Self::Remote(keys) => keys.set_for(id, algorithm, now).await,
        }
    }
}
