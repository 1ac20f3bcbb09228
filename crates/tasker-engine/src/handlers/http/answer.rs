//! What an answer means. Pure: no request is sent here.

use std::error::Error;

use chrono::{DateTime, Utc};
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER},
};
use serde_json::{Map, Value};

use crate::{
    handler::{Failure, StepError},
    retry_after,
};

/// The most characters of an answer's own explanation.
const MAX_EXCERPT: usize = 200;

/// Whether another attempt may help after a status that is no success.
///
/// 408, 425, 429 and 5xx say so themselves; 409 is as a rule a conflict with something that runs now.
/// Everything else is an answer to the request as it is, and will be the same next time.
pub(super) fn failure(status: u16) -> Failure {
    match status {
        408 | 409 | 425 | 429 | 500..=599 => Failure::Retryable,
        _ => Failure::Permanent,
    }
}

/// The failure that a status means. A date in `Retry-After` is of the other side's clock, and so is its `Date`: the wait
/// is the time between the two. Without one it is seen from `now`.
pub(super) fn refusal(
    name: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &Value,
    now: DateTime<Utc>,
) -> StepError {
    let mut message = format!("{name} answered {status}");
    if status.is_redirection() && headers.contains_key(LOCATION) {
        message.push_str(", and redirects are not followed: give the address that it leads to");
    }
    if let Some(excerpt) = excerpt(body) {
        message.push_str(": ");
        message.push_str(&excerpt);
    }
    let code = format!("HTTP_{}", status.as_u16());
    match failure(status.as_u16()) {
        Failure::Retryable => {
            let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
            let theirs = text(DATE).and_then(|v| httpdate::parse_http_date(v).ok());
            let now = theirs.map_or(now, DateTime::from);
            let retry_after = text(RETRY_AFTER).and_then(|v| retry_after::parse(v, now));
            StepError { retry_after, ..StepError::retryable(message).with_code(code) }
        }
        Failure::Permanent => StepError::permanent(message).with_code(code),
    }
}

/// What the other side says about its refusal: `error` or `message`, also one inside the other.
fn excerpt(body: &Value) -> Option<String> {
    let said = body.get("error").or_else(|| body.get("message"))?;
    let said = said.get("message").unwrap_or(said).as_str()?;
    let line: Vec<&str> = said.split_whitespace().collect();
    let text: String = line.join(" ").chars().take(MAX_EXCERPT).collect();
    (!text.is_empty()).then_some(text)
}

/// The failure of an exchange that did not come to its end.
pub(super) fn lost(name: &str, error: &reqwest::Error) -> StepError {
    if error.is_timeout() {
        return StepError::retryable(format!("{name} gave no answer in time")).with_code("HTTP_TIMEOUT");
    }
    let what = if error.is_connect() { "could not be reached" } else { "broke off" };
    StepError::retryable(format!("{name} {what}: {}", root_cause(error))).with_code("HTTP_CONNECT")
}

/// The innermost error: the outer ones repeat the URL, with everything in it.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The failure of an answer that is too long to be stored.
pub(super) fn too_large(name: &str, limit: usize) -> StepError {
    let message = format!("{name} answered with a body of more than {limit} bytes");
    StepError::permanent(message).with_code("HTTP_BODY")
}

/// The headers as an object of texts.
pub(super) fn headers(headers: &HeaderMap) -> Value {
    let mut object = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()));
        object.insert(name.as_str().to_owned(), values.collect::<Vec<_>>().join(", ").into());
    }
    Value::Object(object)
}

/// The body as the value that it stands for.
pub(super) fn body(name: &str, headers: &HeaderMap, bytes: Vec<u8>) -> Result<Value, StepError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_ascii_lowercase);
    let parsed = || serde_json::from_slice(&bytes);
    match content_type.as_deref().map(is_json) {
        Some(true) => parsed().map_err(|e| {
            let message = format!("{name} answered with JSON that cannot be read: {e}");
            StepError::retryable(message).with_code("HTTP_BODY")
        }),
        // An answer that does not say what it is may still be JSON.
        None if parsed().is_ok() => Ok(parsed().unwrap_or_default()),
        Some(false) | None => String::from_utf8(bytes).map(Value::String).map_err(|_| {
            let message = format!("{name} answered with a body that is not text in UTF-8");
            StepError::permanent(message).with_code("HTTP_BODY")
        }),
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_status_has_its_failure() {
        let retryable: Vec<u16> =
            (100..600).filter(|s| failure(*s) == Failure::Retryable).filter(|s| *s < 500).collect();
        assert_eq!(retryable, [408, 409, 425, 429]);
        assert!((500..600).all(|s| failure(s) == Failure::Retryable));
    }

    #[test]
    fn the_excerpt_is_short_and_on_one_line() {
        let said = |body: Value| excerpt(&body);
        assert_eq!(said(json!({"error": "no\n  such thing"})).as_deref(), Some("no such thing"));
        assert_eq!(said(json!({"error": {"message": "a"}, "message": "b"})).as_deref(), Some("a"));
        assert_eq!(said(json!({"message": "b"})).as_deref(), Some("b"));
        assert_eq!(said(json!({"message": "x".repeat(500)})).map(|s| s.len()), Some(MAX_EXCERPT));
        for nothing in [json!(null), json!({"error": 1}), json!({"error": " "}), json!({"errors": []})] {
            assert_eq!(said(nothing), None);
        }
    }

    fn typed(content_type: Option<&'static str>, bytes: &[u8]) -> Result<Value, StepError> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        body("GET x", &headers, bytes.to_vec())
    }

    #[test]
    fn a_body_is_what_the_answer_says_that_it_is() {
        assert_eq!(typed(Some("application/json; charset=utf-8"), b"{\"a\":9.99}"), Ok(json!({"a": 9.99})));
        assert_eq!(typed(Some("application/problem+json"), b"[1]"), Ok(json!([1])));
        assert_eq!(typed(Some("text/plain"), b"1"), Ok(json!("1")));
        assert_eq!(typed(None, b"1"), Ok(json!(1)));
        assert_eq!(typed(None, b"hello"), Ok(json!("hello")));
        assert_eq!(typed(Some("application/json"), b""), Ok(Value::Null));
        assert_eq!(typed(Some("application/json"), b"{").expect_err("broken").failure, Failure::Retryable);
        assert_eq!(typed(Some("image/png"), &[0xff]).expect_err("no text").failure, Failure::Permanent);
    }
}
