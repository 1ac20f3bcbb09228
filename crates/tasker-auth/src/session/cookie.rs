//! The text of cookies, both ways.

use http::header::COOKIE;

use crate::{Refusal, Request};

/// The one cookie of the name, `None` without. One that is there twice was set by somebody else too, and is
/// refused.
pub(crate) fn cookie<'a>(request: &Request<'a>, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut found = None;
    for header in request.headers.get_all(COOKIE) {
        let text = header.to_str().map_err(|_| Refusal::Invalid)?;
        for pair in text.split(';') {
            let Some((key, value)) = pair.trim().split_once('=') else { continue };
            if key == name && found.replace(value).is_some() {
                return Err(Refusal::Invalid);
            }
        }
    }
    Ok(found)
}

/// The value of `Set-Cookie`; `max_age` 0 removes the cookie.
pub(crate) fn set_cookie(name: &str, value: &str, max_age: u32, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}")
}
