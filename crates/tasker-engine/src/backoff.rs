//! The one authority on how long a failed step waits for its next attempt.
//!
//! [`wait`] is called once, at the moment of failure; its result is stored as an instant and
//! everything else, SQL included, only compares with that instant.

use std::time::Duration;

use crate::definition::BackoffPolicy;

/// The longest wait that the other side may ask for. A longer `Retry-After` is shortened to this, so
/// that a wrong header cannot park a step for days.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(3_600);

/// The shortest wait. A policy or a header of zero means "at once", and an instant that lies in the
/// past by nothing would be the same as no instant at all.
pub const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// How long to wait after the `failures`-th failed attempt, counted from 1 (0 is read as 1).
///
/// The first rule that applies:
///
/// 1. `retry_after`, what the other side asked for: exactly that, without jitter (to come earlier
///    would be refused again), at most [`RETRY_AFTER_CAP`]. The policy's cap does not apply to it.
/// 2. The policy's wait, at most its cap, moved by its jitter: with `random` in 0 to 1 the wait is
///    multiplied by `1 + jitter × (2 × random − 1)`, and again held at the cap.
///
/// Both are at least [`SHORTEST_WAIT`]. With a jitter of 0, `random` makes no difference. The default
/// policy waits 1, 2, 4, 8, 16, 32, 64, 128, 256 and then 300 s, each moved by up to a tenth.
///
/// `random` is passed in, so that the function is pure. Whatever the input, the result is finite and
/// nothing overflows.
pub fn wait(policy: &BackoffPolicy, failures: u32, retry_after: Option<Duration>, random: f64) -> Duration {
    let wait = match retry_after {
        Some(asked) => asked.min(RETRY_AFTER_CAP),
        None => Duration::from_millis(by_policy(policy, failures.max(1), random)),
    };
    wait.max(SHORTEST_WAIT)
}

fn by_policy(policy: &BackoffPolicy, failures: u32, random: f64) -> u64 {
    let (wait, cap, jitter) = match policy {
        BackoffPolicy::Table { waits_ms, factor, cap_ms, jitter } => {
            (table(waits_ms, *factor, failures), *cap_ms, *jitter)
        }
        BackoffPolicy::Exponential { base_ms, factor, cap_ms, jitter } => {
            (exponential(*base_ms, *factor, failures), *cap_ms, *jitter)
        }
        BackoffPolicy::Fixed { wait_ms, jitter } => (*wait_ms, u64::MAX, *jitter),
    };
    jittered(wait.min(cap), jitter, random).min(cap)
}

/// The table's entry, or its last entry times the factor for every failure past the end. An empty table, which
/// no valid definition has, waits nothing.
fn table(waits_ms: &[u64], factor: f64, failures: u32) -> u64 {
    let past = (failures as usize).saturating_sub(waits_ms.len());
    match (waits_ms.get(failures as usize - 1), waits_ms.last()) {
        (Some(wait), _) => *wait,
        (None, Some(last)) => {
            exponential(*last, factor, u32::try_from(past).unwrap_or(u32::MAX).saturating_add(1))
        }
        (None, None) => 0,
    }
}

/// A conversion from a float saturates, so that infinity becomes the longest wait, which the cap then
/// cuts; only what is not a number needs a decision, and the first wait is the harmless one.
fn exponential(base_ms: u64, factor: f64, failures: u32) -> u64 {
    let exponent = i32::try_from(failures - 1).unwrap_or(i32::MAX);
    let wait = base_ms as f64 * factor.powi(exponent);
    if wait.is_nan() { base_ms } else { wait as u64 }
}

fn jittered(wait_ms: u64, jitter: f64, random: f64) -> u64 {
    let share = share(jitter) * (2.0 * share(random) - 1.0);
    // Not merely an optimization: a wait beyond 2^53 ms must not change by the way through a float.
    if share == 0.0 { wait_ms } else { (wait_ms as f64 * (1.0 + share)).round() as u64 }
}

fn share(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table_policy(waits_ms: &[u64], cap_ms: u64, jitter: f64) -> BackoffPolicy {
        BackoffPolicy::Table { waits_ms: waits_ms.to_vec(), factor: 2.0, cap_ms, jitter }
    }

    fn seconds(policy: &BackoffPolicy, failures: u32) -> f64 {
        wait(policy, failures, None, 0.5).as_secs_f64()
    }

    #[test]
    fn the_default_policy_doubles_to_five_minutes() {
        let policy = BackoffPolicy::default();
        let waits: Vec<f64> = (0..=12).map(|n| seconds(&policy, n)).collect();
        let expected = [1., 1., 2., 4., 8., 16., 32., 64., 128., 256., 300., 300., 300.];
        assert_eq!(waits, expected);
    }

    #[test]
    fn a_table_never_falls_below_its_last_entry() {
        let policy = table_policy(&[5_000, 10_000], 60_000, 0.0);
        let waits: Vec<f64> = (1..=6).map(|n| seconds(&policy, n)).collect();
        assert_eq!(waits, [5., 10., 20., 40., 60., 60.]);
        assert_eq!(seconds(&policy, 100), 60.);
    }

    #[test]
    fn past_the_table_each_wait_is_the_last_times_the_factor() {
        let policy =
            BackoffPolicy::Table { waits_ms: vec![5_000, 10_000], factor: 1.5, cap_ms: 60_000, jitter: 0.0 };
        let waits: Vec<f64> = (1..=7).map(|n| seconds(&policy, n)).collect();
        assert_eq!(waits, [5., 10., 15., 22.5, 33.75, 50.625, 60.]);
        assert_eq!(seconds(&policy, u32::MAX), 60.);
    }

    #[test]
    fn an_exponential_policy_starts_at_its_base() {
        let policy = BackoffPolicy::Exponential { base_ms: 200, factor: 1.5, cap_ms: 1_000, jitter: 0.0 };
        let waits: Vec<f64> = (1..=5).map(|n| seconds(&policy, n)).collect();
        assert_eq!(waits, [0.2, 0.3, 0.45, 0.675, 1.0]);
    }

    #[test]
    fn a_fixed_policy_never_changes() {
        let policy = BackoffPolicy::Fixed { wait_ms: 250, jitter: 0.0 };
        assert_eq!(seconds(&policy, 1), 0.25);
        assert_eq!(seconds(&policy, u32::MAX), 0.25);
    }

    #[test]
    fn what_the_other_side_asks_for_wins_up_to_its_own_cap() {
        let policy = BackoffPolicy::default();
        let asked = |s| wait(&policy, 1, Some(Duration::from_secs(s)), 0.0);
        assert_eq!(asked(30), Duration::from_secs(30));
        assert_eq!(asked(600), Duration::from_secs(600));
        assert_eq!(asked(86_400), RETRY_AFTER_CAP);
        assert_eq!(asked(0), SHORTEST_WAIT);
    }

    #[test]
    fn jitter_moves_either_way_and_stops_at_the_cap() {
        let policy = table_policy(&[10_000], 10_500, 0.1);
        assert_eq!(wait(&policy, 1, None, 0.0), Duration::from_millis(9_000));
        assert_eq!(wait(&policy, 1, None, 0.5), Duration::from_millis(10_000));
        assert_eq!(wait(&policy, 1, None, 1.0), Duration::from_millis(10_500));
        let whole = table_policy(&[1], 10, 1.0);
        assert_eq!(wait(&whole, 1, None, 0.0), SHORTEST_WAIT);
    }

    fn any_policy() -> impl Strategy<Value = BackoffPolicy> {
        prop_oneof![
            (prop::collection::vec(any::<u64>(), 0..4), any::<f64>(), any::<u64>(), any::<f64>()).prop_map(
                |(waits_ms, factor, cap_ms, jitter)| BackoffPolicy::Table {
                    waits_ms,
                    factor,
                    cap_ms,
                    jitter
                }
            ),
            (any::<u64>(), any::<f64>(), any::<u64>(), any::<f64>()).prop_map(
                |(base_ms, factor, cap_ms, jitter)| BackoffPolicy::Exponential {
                    base_ms,
                    factor,
                    cap_ms,
                    jitter
                }
            ),
            (any::<u64>(), any::<f64>())
                .prop_map(|(wait_ms, jitter)| BackoffPolicy::Fixed { wait_ms, jitter }),
        ]
    }

    fn cap(policy: &BackoffPolicy) -> Duration {
        let ms = match policy {
            BackoffPolicy::Table { cap_ms, .. } | BackoffPolicy::Exponential { cap_ms, .. } => *cap_ms,
            BackoffPolicy::Fixed { .. } => u64::MAX,
        };
        Duration::from_millis(ms).max(SHORTEST_WAIT)
    }

    proptest! {
        #[test]
        fn every_input_gives_a_wait_within_the_bounds(
            policy in any_policy(), failures: u32, asked in prop::option::of(any::<Duration>()), random: f64,
        ) {
            let wait = wait(&policy, failures, asked, random);
            let longest = if asked.is_some() { RETRY_AFTER_CAP } else { cap(&policy) };
            prop_assert!(wait >= SHORTEST_WAIT && wait <= longest);
        }

        #[test]
        fn without_jitter_chance_makes_no_difference(
            base_ms: u64, factor in 1.0..10.0_f64, cap_ms: u64, failures: u32, a: f64, b: f64,
        ) {
            let policy = BackoffPolicy::Exponential { base_ms, factor, cap_ms, jitter: 0.0 };
            prop_assert_eq!(wait(&policy, failures, None, a), wait(&policy, failures, None, b));
        }

        #[test]
        fn without_jitter_no_wait_is_shorter_than_the_one_before(
            waits in prop::collection::vec(1..1_000_u64, 1..6), cap_ms in 1..100_000_u64, failures in 1..100_u32,
        ) {
            let mut waits = waits;
            waits.sort_unstable();
            let policy = table_policy(&waits, cap_ms, 0.0);
            prop_assert!(wait(&policy, failures, None, 0.0) <= wait(&policy, failures + 1, None, 0.0));
        }
    }
}
