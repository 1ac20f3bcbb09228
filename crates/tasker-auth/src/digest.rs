//! The digest under which a random secret is kept, and the one way to compare it.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 of a random secret. It has no `==`: [`matches`](Self::matches) takes the same time wherever the
/// two differ.
///
/// ```compile_fail,E0369
/// use tasker_auth::Digest;
/// let _ = Digest::of("a") == Digest::of("b");
/// ```
#[derive(Clone)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a text.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// One that was stored; `None` where it is not 32 bytes.
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// To be stored.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are of the same secret, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}
