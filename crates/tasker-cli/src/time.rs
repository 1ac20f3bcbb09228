//! Instants and durations as people read them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// `2026-01-02T03:04:05Z`.
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `850 ms`, `3.2 s`, `4 min 5 s`, `3 h 2 min`, `2 d 5 h`.
pub(crate) fn span(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0 => format!("{} ms", duration.as_millis()),
        1..=59 => format!("{:.1} s", duration.as_secs_f64()),
        60..=3_599 => format!("{} min {} s", s / 60, s % 60),
        3_600..=86_399 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// How long from one instant to another; zero where it lies behind.
pub(crate) fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    to.signed_duration_since(from).max(TimeDelta::zero()).to_std().unwrap_or_default()
}

/// `2026-01-02T03:04:05Z`, or with an offset and parts of a second.
pub(crate) fn parse_instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(Into::into)
        .map_err(|_| format!("`{text}` is no instant; write 2026-01-02T03:04:05Z"))
}

/// `30s`, `500ms`, `2min`, `1h`, `30d`; a bare number is seconds.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 =
        digits.trim().parse().map_err(|_| format!("`{text}` is no duration; write 30s or 500ms"))?;
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        other => return Err(format!("`{other}` is no unit; known are ms, s, min, h and d")),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| format!("`{text}` is not a possible duration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_and_read() {
        let written =
            [250, 3_240, 245_000, 11_000_000, 190_800_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(written, ["250 ms", "3.2 s", "4 min 5 s", "3 h 3 min", "2 d 5 h"]);
        assert_eq!(parse_span("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_span("1.5"), Ok(Duration::from_millis(1_500)));
        assert_eq!(parse_span("30d"), Ok(Duration::from_secs(2_592_000)));
        assert!(
            parse_span("-1s").is_err() && parse_span("soon").is_err() && parse_span("3 fortnights").is_err()
        );
    }
}
