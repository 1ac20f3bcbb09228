//! The parts of a request that an authenticator reads, whatever the web framework.

use std::fmt;

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, Method, Uri};

use crate::Refusal;

/// What an authenticator may look at.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The instant to judge by; `None` is the present, by the clock of whoever decides.
    pub now: Option<DateTime<Utc>>,
}

impl fmt::Debug for Request<'_> {
    /// Without headers and query, which may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri.path())
    }
}

impl<'a> Request<'a> {
    /// From the parts that every framework on the `http` crate has.
    pub const fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        Self { method, uri, headers, now: None }
    }

    /// Judged by another instant than the present.
    #[must_use]
    pub const fn at(mut self, now: DateTime<Utc>) -> Self {
        self.now = Some(now);
        self
    }

    /// The instant to judge by.
    pub fn instant(&self) -> DateTime<Utc> {
        self.now.unwrap_or_else(Utc::now)
    }

    /// Whether it may change something.
    pub fn is_unsafe(&self) -> bool {
        !matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
    }

    /// The one value of a header as text, `None` without the header. A header that is there twice, or is no
    /// visible ASCII, is refused: two readers could take it for different things.
    pub fn header(&self, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.headers.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Refusal::Invalid);
        }
        first.to_str().map(Some).map_err(|_| Refusal::Invalid)
    }
}

impl<'a> From<&'a http::request::Parts> for Request<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self::new(&parts.method, &parts.uri, &parts.headers)
    }
}

impl<'a, B> From<&'a http::Request<B>> for Request<'a> {
    fn from(request: &'a http::Request<B>) -> Self {
        Self::new(request.method(), request.uri(), request.headers())
    }
}

/// What ties the records of one request together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CorrelationId(String);

impl CorrelationId {
    /// The header that it comes in and goes out with.
    pub const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

    /// A new one, random.
    pub fn random() -> Self {
        Self(crate::random::hex::<16>())
    }

    /// The caller's own, where it is 1 to 128 letters, digits, `.`, `_`, `-` or `:`; whatever else would be
    /// written into logs as it stands.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-:".contains(&b);
        (1..=128).contains(&text.len()).then_some(())?;
        text.bytes().all(fits).then(|| Self(text.to_owned()))
    }

    /// The caller's own, else a new one.
    pub fn of(request: &Request<'_>) -> Self {
        let sent = request.header(&Self::HEADER).ok().flatten().and_then(Self::parse);
        sent.unwrap_or_else(Self::random)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
