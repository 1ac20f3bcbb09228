//! The text of a token: `prefix_lookup_secret`. The lookup finds the row and is no secret; the digest of the
//! whole text proves the rest.

use std::fmt;

use crate::{Digest, random};

const LOOKUP: usize = 16;
const SECRET: usize = 64;

/// A token's text, which is a secret. It is made once and can be shown once.
#[derive(Clone)]
pub struct TokenText {
    text: String,
    lookup: String,
}

impl TokenText {
    /// A new one, with 256 random bits.
    pub fn random(prefix: &str) -> Self {
        let lookup = random::hex::<{ LOOKUP / 2 }>();
        Self { text: format!("{prefix}_{lookup}_{}", random::hex::<{ SECRET / 2 }>()), lookup }
    }

    /// The text. Whoever asks for it answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What finds the row; no secret.
    pub fn lookup(&self) -> &str {
        &self.lookup
    }

    /// What is stored of it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.text)
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText {}…", self.lookup)
    }
}

/// What a sent text says, before anything is looked up.
#[derive(Clone)]
pub struct TokenParts<'a> {
    /// What finds the row.
    pub lookup: &'a str,
    /// The digest of the whole text.
    pub digest: Digest,
}

impl<'a> TokenParts<'a> {
    /// Reads a text of exactly the form of [`TokenText`]; `None` for any other.
    pub fn parse(prefix: &str, text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix(prefix)?.strip_prefix('_')?;
        let (lookup, secret) = rest.split_once('_')?;
        let is_hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        (is_hex(lookup, LOOKUP) && is_hex(secret, SECRET)).then(|| Self { lookup, digest: Digest::of(text) })
    }
}

impl fmt::Debug for TokenParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenParts {}…", self.lookup)
    }
}
