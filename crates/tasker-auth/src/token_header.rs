//! Where a request has its token.

use http::{HeaderName, header::AUTHORIZATION};

use crate::{AuthError, Refusal, Request};

/// Where a token is sent: in `Authorization`, after `Bearer`, or by itself in a header of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenHeader(Vec<HeaderName>);

impl TokenHeader {
    /// The first of these headers that the request has counts.
    pub(crate) const fn first_of(names: Vec<HeaderName>) -> Self {
        Self(names)
    }

    /// The token. Without the scheme, `Authorization` is refused.
    pub(crate) fn token<'a>(&self, request: &Request<'a>) -> Result<&'a str, AuthError> {
        for name in &self.0 {
            match request.header(name)? {
                None => {}
                Some(value) if *name == AUTHORIZATION => return Ok(bearer(value)?),
                Some(value) => return Ok(value),
            }
        }
        let expected = if self.0.contains(&AUTHORIZATION) {
            "send the header `Authorization: Bearer <token>`"
        } else {
            "send the token in the configured header"
        };
        Err(AuthError::Missing { expected })
    }
}

fn bearer(value: &str) -> Result<&str, Refusal> {
    let (scheme, token) = value.split_once(' ').ok_or(Refusal::Invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim_matches(' ')) } else { Err(Refusal::Invalid) }
}
