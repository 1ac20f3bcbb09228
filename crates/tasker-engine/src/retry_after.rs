//! The value of an HTTP `Retry-After` header.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

/// How long a `Retry-After` header asks to wait.
///
/// Digits are seconds; an HTTP date is the time left until then as seen at `now`, nothing if it has
/// passed. Anything else, a negative or broken number included, is `None`: the step's own backoff then
/// decides. Not capped here; [`backoff::wait`](crate::backoff::wait) does that.
pub fn parse(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a u64 holds still mean "very long".
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(SystemTime::from(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &str) -> Option<Duration> {
        let now = DateTime::from_timestamp(784_111_717, 0).expect("a valid instant");
        parse(s, now)
    }

    #[test]
    fn digits_are_seconds() {
        assert_eq!(at("0"), Some(Duration::ZERO));
        assert_eq!(at(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(at("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn a_date_is_the_time_left() {
        assert_eq!(at("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(at("Sunday, 06-Nov-94 08:49:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(at("Sun, 06 Nov 1994 08:48:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn anything_else_is_no_wish() {
        for s in ["", " ", "-1", "1.5", "soon", "12 s", "٣"] {
            assert_eq!(at(s), None, "{s:?}");
        }
    }
}
