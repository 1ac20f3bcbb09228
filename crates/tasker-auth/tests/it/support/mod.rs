//! What the tests of this crate share.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod keys;
pub(crate) mod provider;

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use tasker_auth::{
    Asked, AuditEntry, AuditSink, AuthFuture, Authenticator, CorrelationId, Identity, Request, Unavailable,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri},
};
use tasker_testkit::TestDatabase;

/// A request that owns its parts.
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) now: Option<DateTime<Utc>>,
}

impl Sent {
    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.parse().unwrap(),
            uri: path.parse().unwrap(),
            headers: HeaderMap::new(),
            now: None,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn at(mut self, now: DateTime<Utc>) -> Self {
        self.now = Some(now);
        self
    }

    pub(crate) fn request(&self) -> Request<'_> {
        let request = Request::new(&self.method, &self.uri, &self.headers);
        self.now.map_or(request, |now| request.at(now))
    }

    pub(crate) async fn to(
        &self,
        authenticator: &impl Authenticator,
    ) -> Result<Identity, tasker_auth::AuthError> {
        authenticator.authenticate(self.request()).await
    }
}

/// An audit that a test can read, or whose store is gone.
#[derive(Clone, Default)]
pub(crate) struct Records(pub(crate) Arc<Mutex<Vec<AuditEntry>>>, pub(crate) bool);

impl AuditSink for Records {
    fn record(&self, entry: AuditEntry, _: Option<DateTime<Utc>>) -> AuthFuture<'_, Result<(), Unavailable>> {
        if self.1 {
            return Box::pin(async { Err(Unavailable::new("the audit", "gone")) });
        }
        self.0.lock().unwrap().push(entry);
        Box::pin(async { Ok(()) })
    }
}

pub(crate) fn asked(correlation_id: &CorrelationId) -> Asked<'_> {
    Asked { operation: "a test", correlation_id, now: None }
}

pub(crate) fn pool(
    database: &TestDatabase,
) -> diesel::r2d2::Pool<diesel::r2d2::ConnectionManager<diesel::PgConnection>> {
    diesel::r2d2::Pool::builder()
        .max_size(8)
        .build(diesel::r2d2::ConnectionManager::new(database.url()))
        .unwrap()
}

/// Bytes that look random and are the same each time: xorshift.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A text of up to 120 characters: some of any kind, some from the alphabets that parsers look for, some
    /// a valid sample with a few characters exchanged.
    pub(crate) fn text(&mut self, samples: &[&str]) -> String {
        const ALPHABET: &[u8] = b"abcdef0123456789_.:=-eyJ{}[]\"\\/%&?;,+ *ABCXYZ";
        let length = self.next() % 120;
        match self.next() % 3 {
            0 => (0..length).filter_map(|_| char::from_u32((self.next() % 0x3000) as u32)).collect(),
            1 => (0..length).map(|_| ALPHABET[self.next() as usize % ALPHABET.len()] as char).collect(),
            _ if samples.is_empty() => String::new(),
            _ => {
                let mut text: Vec<char> = samples[self.next() as usize % samples.len()].chars().collect();
                for _ in 0..1 + self.next() % 3 {
                    let at = self.next() as usize % (text.len() + 1);
                    let new = ALPHABET[self.next() as usize % ALPHABET.len()] as char;
                    match self.next() % 3 {
                        0 if at < text.len() => text[at] = new,
                        1 if at < text.len() => drop(text.remove(at)),
                        _ => text.insert(at.min(text.len()), new),
                    }
                }
                text.into_iter().collect()
            }
        }
    }
}
