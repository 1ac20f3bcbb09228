//! Durations as people write them: `500ms`, `30s`, `1.5m`, `2h`, `1d`; a bare number is seconds.

/// What a sentence says is expected.
pub(super) const EXPECTED: &str = "a duration such as 30s, 500ms or 5m (a bare number is seconds)";

/// Milliseconds. None unless it is a whole, non-negative number of them.
pub(super) fn parse_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit_ms = match unit {
        "ms" => 1.0,
        "s" | "" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let number = number.trim_end();
    let plain = number.starts_with(|c: char| c.is_ascii_digit());
    whole_ms(number.parse::<f64>().ok().filter(|_| plain)? * unit_ms)
}

/// Of a bare number.
pub(super) fn seconds_ms(seconds: f64) -> Option<u64> {
    whole_ms(seconds * 1_000.0)
}

/// A tenth of a second is not exact in binary, so a millionth of a millisecond is forgiven.
fn whole_ms(ms: f64) -> Option<u64> {
    let whole = ms.round();
    let fits = (0.0..9e15).contains(&whole) && (ms - whole).abs() < 1e-6;
    fits.then_some(whole as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("30 s", 30_000),
            ("30", 30_000),
            ("0.1s", 100),
            ("1.5m", 90_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
        for text in ["", "s", "-1s", "+1s", "1w", "1M", "1e3s", "inf", "nan", "0.5ms", "1s2", "1 2s", ".5s"] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
        assert_eq!(seconds_ms(0.25), Some(250));
        assert_eq!(seconds_ms(-1.0), None);
    }
}
