//! What grew: the last third of the samples against the third before it, once retention has come to its rhythm.

use std::time::Duration;

use super::sample::Sample;
use crate::battery::evidence::Evidence;

/// Fewer samples than this are shown and not judged.
const ENOUGH: usize = 30;

/// By how much each may have grown from one third to the next: tables and memory, latency.
const GROWTH: f64 = 0.10;
const DRIFT: f64 = 0.20;

/// Sets the figures, and adds what grew too much to the violations.
pub(super) fn tell(samples: &[Sample], keep: Duration, evidence: &mut Evidence) {
    // Before that the tables have to grow.
    let warm: Vec<Sample> =
        samples.iter().filter(|s| s.seconds > keep.as_secs_f64() + 30.0).copied().collect();
    evidence.set("judged_samples", warm.len());
    let third = warm.len() / 3;
    if third == 0 {
        return;
    }
    let (before, after) = (&warm[third..2 * third], &warm[2 * third..]);
    let growth = |of: fn(&Sample) -> f64| median(after, of) / median(before, of).max(f64::MIN_POSITIVE) - 1.0;
    let rss_per_hour = slope(&warm, |s| s.rss_kib as f64 / 1024.0) * 3_600.0;
    evidence.set("rss_mib_per_hour", round(rss_per_hour));
    let grown = [
        ("rss_growth", "the worker's memory", growth(|s| s.rss_kib as f64), GROWTH),
        ("p99_drift", "the p99", growth(|s| s.p99_ms), DRIFT),
        ("tables_growth", "the tables", growth(|s| s.tables_bytes as f64), GROWTH),
    ];
    for (name, what, by, limit) in grown {
        evidence.set(name, round(by));
        if warm.len() >= ENOUGH && by > limit {
            evidence.violations.push(format!("{what} grew by {:.0} %", by * 100.0));
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn median(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Of the straight line that fits best, per second.
fn slope(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let n = samples.len() as f64;
    let mean = |values: &dyn Fn(&Sample) -> f64| samples.iter().map(values).sum::<f64>() / n;
    let (x, y) = (mean(&|s| s.seconds), mean(&of));
    let over = samples.iter().map(|s| (s.seconds - x) * (of(s) - y)).sum::<f64>();
    let under = samples.iter().map(|s| (s.seconds - x).powi(2)).sum::<f64>();
    if under > 0.0 { over / under } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour of samples whose figures are these functions of the second.
    fn hour(rss: fn(f64) -> f64, p99: fn(f64) -> f64, tables: fn(f64) -> f64) -> Evidence {
        let samples: Vec<Sample> = (1..=360)
            .map(|n| {
                let seconds = f64::from(n * 10);
                Sample {
                    seconds,
                    steps_per_s: 1_000.0,
                    p50_ms: 1.0,
                    p99_ms: p99(seconds),
                    open: 1,
                    rss_kib: rss(seconds) as u64,
                    tables_bytes: tables(seconds) as i64,
                    dead_rows: 0,
                }
            })
            .collect();
        let mut evidence = Evidence::default();
        tell(&samples, Duration::from_secs(120), &mut evidence);
        evidence
    }

    #[test]
    fn what_stays_is_good_and_what_grows_is_not() {
        let flat = |_: f64| 1e5;
        assert!(hour(flat, flat, flat).is_good());
        // The tables grow until retention has come to its rhythm.
        assert!(hour(flat, flat, |s| s.min(140.0) * 1e6).is_good());
        let growing = |s: f64| 1e5 + s * 20.0;
        let grown = hour(growing, flat, flat).violations;
        assert!(grown.len() == 1 && grown[0].starts_with("the worker's memory grew by 1"), "{grown:?}");
        assert_eq!(hour(flat, |s| 10.0 + s / 600.0, flat).violations.len(), 0, "by less than a fifth");
        assert_eq!(hour(flat, |s| 5.0 + s / 100.0, flat).violations.len(), 1);
        assert_eq!(hour(flat, flat, |s| s * 1e6).violations.len(), 1);
        assert_eq!(hour(|s| 1e5 + 1_024.0 * s / 60.0, flat, flat).further["rss_mib_per_hour"], 60.0);
    }
}
