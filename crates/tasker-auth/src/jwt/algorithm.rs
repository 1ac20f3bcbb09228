//! The signature algorithms that are known. `none` is not one of them.

use std::fmt;

use ring::{hmac, signature as sig};
use serde::{Deserialize, Serialize};

use super::keys::Key;

/// A signature algorithm, by its name in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA PKCS#1 1.5 with SHA-256.
    RS256,
    /// RSA PKCS#1 1.5 with SHA-384.
    RS384,
    /// RSA PKCS#1 1.5 with SHA-512.
    RS512,
    /// RSA PSS with SHA-256.
    PS256,
    /// RSA PSS with SHA-384.
    PS384,
    /// RSA PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512; it needs the feature `es512`.
    ES512,
    /// Ed25519.
    EdDSA,
}

/// Algorithms that may stand side by side in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// HMAC: whoever checks can also sign.
    Hmac,
    /// RSA PKCS#1 1.5.
    Rsa,
    /// RSA PSS.
    RsaPss,
    /// ECDSA.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: &'static [Self] = &[
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// Its family.
    pub const fn family(self) -> Family {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => Family::Hmac,
            Self::RS256 | Self::RS384 | Self::RS512 => Family::Rsa,
            Self::PS256 | Self::PS384 | Self::PS512 => Family::RsaPss,
            Self::ES256 | Self::ES384 | Self::ES512 => Family::Ecdsa,
            Self::EdDSA => Family::Ed25519,
        }
    }

    /// The name in a token; `None` for any other text, `none` among them.
    pub(crate) fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.to_string() == text)
    }

    /// The fewest bytes of a secret: as many as the hash has.
    pub(crate) const fn secret_bytes(self) -> usize {
        match self {
            Self::HS384 => 48,
            Self::HS512 => 64,
            _ => 32,
        }
    }

    pub(crate) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::HS256 => Some(hmac::HMAC_SHA256),
            Self::HS384 => Some(hmac::HMAC_SHA384),
            Self::HS512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    /// Whether the signature is the key's. A key of another kind than the algorithm's verifies nothing.
    pub(crate) fn verifies(self, key: &Key, message: &[u8], signature: &[u8]) -> bool {
        let rsa = |n, e, parameters| {
            sig::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
        };
        let plain = |algorithm: &'static dyn sig::VerificationAlgorithm, key: &[u8]| {
            sig::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match (self, key) {
            (Self::HS256 | Self::HS384 | Self::HS512, Key::Hmac(secret)) => self.hmac().is_some_and(|a| {
                // In constant time.
                hmac::verify(&hmac::Key::new(a, secret), message, signature).is_ok()
            }),
            (Self::RS256, Key::Rsa { n, e }) => rsa(n, e, &sig::RSA_PKCS1_2048_8192_SHA256),
            (Self::RS384, Key::Rsa { n, e }) => rsa(n, e, &sig::RSA_PKCS1_2048_8192_SHA384),
            (Self::RS512, Key::Rsa { n, e }) => rsa(n, e, &sig::RSA_PKCS1_2048_8192_SHA512),
            (Self::PS256, Key::Rsa { n, e }) => rsa(n, e, &sig::RSA_PSS_2048_8192_SHA256),
            (Self::PS384, Key::Rsa { n, e }) => rsa(n, e, &sig::RSA_PSS_2048_8192_SHA384),
            (Self::PS512, Key::Rsa { n, e }) => rsa(n, e, &sig::RSA_PSS_2048_8192_SHA512),
            (Self::ES256, Key::P256(point)) => plain(&sig::ECDSA_P256_SHA256_FIXED, point),
            (Self::ES384, Key::P384(point)) => plain(&sig::ECDSA_P384_SHA384_FIXED, point),
            #[cfg(feature = "es512")]
            (Self::ES512, Key::P521(point)) => verifies_p521(point, message, signature),
            (Self::EdDSA, Key::Ed25519(key)) => plain(&sig::ED25519, key),
            _ => false,
        }
    }
}

#[cfg(feature = "es512")]
fn verifies_p521(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    use p521::ecdsa::{Signature, VerifyingKey, signature::Verifier};
    let key = VerifyingKey::from_sec1_bytes(point);
    let signature = Signature::from_slice(signature);
    key.is_ok_and(|key| signature.is_ok_and(|signature| key.verify(message, &signature).is_ok()))
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
