//! Which requests are served badly, and how: decided by a seed and the request's identity alone.
//! An identity meets at most one fault, on its first request, so that whoever tries again gets through.

use std::{collections::HashSet, str::FromStr, time::Duration};

use serde::Serialize;

/// Of a hundred identities, this many meet a fault.
const PERCENT: u64 = 12;
/// How long a slow answer takes, in milliseconds: from this, and up to this much longer.
const SLOW_MS: u64 = 200;
const SLOW_SPREAD_MS: u64 = 400;

/// The fault plan: a seed, or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Faults {
    seed: Option<u64>,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// 429 with `Retry-After: 1`.
    TooManyRequests,
    /// 503 without a word about when.
    Unavailable,
    /// 503 with a `Retry-After` that is a date.
    UnavailableUntil,
    /// A good answer, late.
    Slow,
    /// The connection is closed without an answer.
    Dropped,
    /// The same, but after the request took effect: to try again is to do it twice, but for the idempotency key.
    DroppedAfterwards,
}

impl Fault {
    /// The last is only for requests that change something.
    const ALL: [Self; 6] = [
        Self::TooManyRequests,
        Self::Unavailable,
        Self::UnavailableUntil,
        Self::Slow,
        Self::Dropped,
        Self::DroppedAfterwards,
    ];
}

/// What makes two requests the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Whether the request changes something.
    changes: bool,
    text: String,
}

impl Identity {
    /// The engine sends one key for every attempt of a step, so an attempt after a fault has its identity.
    pub(super) fn new(method: &str, path: &str, key: Option<&str>) -> Self {
        Self { changes: method != "GET", text: format!("{method} {path} {}", key.unwrap_or_default()) }
    }
}

impl Faults {
    /// Every request is served well.
    pub(crate) const fn off() -> Self {
        Self { seed: None }
    }

    /// About 12 % of identities meet a fault; which, and of what kind, is the seed's to say.
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self { seed: Some(seed) }
    }

    /// The fault that the identity's first request meets, and how long a slow answer to it takes.
    pub(super) fn planned(self, identity: &Identity) -> Option<(Fault, Duration)> {
        let chance = stable_hash(self.seed?, &identity.text);
        let kind = scramble(chance);
        let kinds = if identity.changes { &Fault::ALL[..] } else { &Fault::ALL[..5] };
        let fault = kinds[(kind % kinds.len() as u64) as usize];
        let pause = Duration::from_millis(SLOW_MS + scramble(kind) % (SLOW_SPREAD_MS + 1));
        (chance % 100 < PERCENT).then_some((fault, pause))
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::off()),
            seed => seed
                .parse()
                .map(Self::seeded)
                .map_err(|_| format!("A fault seed is a whole number or off, not {seed}.")),
        }
    }
}

/// The faults that have happened.
#[derive(Debug)]
pub(super) struct Encounters {
    faults: Faults,
    met: HashSet<Identity>,
}

impl Encounters {
    pub(super) fn new(faults: Faults) -> Self {
        Self { faults, met: HashSet::new() }
    }

    /// The fault for this request, which from now on has happened.
    pub(super) fn meet(&mut self, identity: Identity) -> Option<(Fault, Duration)> {
        let planned = self.faults.planned(&identity)?;
        self.met.insert(identity).then_some(planned)
    }
}

/// FNV-1a, mixed with the seed. The standard library's hasher has a new seed in every process.
fn stable_hash(seed: u64, text: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    scramble(text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv) ^ scramble(seed))
}

/// A step of SplitMix64.
fn scramble(number: u64) -> u64 {
    let a = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ (c >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn events(count: usize) -> impl Iterator<Item = Identity> {
        (0..count).map(|task| Identity::new("POST", "/events", Some(&format!("{task}:5:0"))))
    }

    fn plan(seed: u64) -> Vec<Option<(Fault, Duration)>> {
        events(500).map(|identity| Faults::seeded(seed).planned(&identity)).collect()
    }

    #[test]
    fn a_seed_decides() {
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
        assert!(events(500).all(|identity| Faults::off().planned(&identity).is_none()));
    }

    #[test]
    fn the_hash_is_the_same_on_every_machine_and_day() {
        assert_eq!(scramble(0), 0xe220_a839_7b1d_cdaf, "the first number that SplitMix64 gives for seed 0");
        assert_eq!(stable_hash(42, "foobar"), 0x7424_6717_ec47_40f5);
    }

    #[test]
    fn one_identity_in_eight_meets_a_fault_of_any_kind() {
        let mut kinds = BTreeMap::new();
        for (fault, pause) in events(10_000).filter_map(|identity| Faults::seeded(9).planned(&identity)) {
            *kinds.entry(fault).or_insert(0) += 1;
            assert!((200..=600).contains(&pause.as_millis()));
        }
        let met: i32 = kinds.values().sum();
        assert!((1_100..1_300).contains(&met), "{met}");
        assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), Fault::ALL);
        assert!(kinds.values().all(|count| (150..250).contains(count)), "{kinds:?}");
    }

    #[test]
    fn only_a_request_that_changes_something_is_dropped_afterwards() {
        let reads = (0..10_000).map(|id| Identity::new("GET", &format!("/carts/{id}"), None));
        let met: Vec<_> = reads.filter_map(|identity| Faults::seeded(9).planned(&identity)).collect();
        assert!((1_100..1_300).contains(&met.len()), "{}", met.len());
        assert!(met.iter().all(|(fault, _)| *fault != Fault::DroppedAfterwards));
    }

    #[test]
    fn an_identity_meets_its_fault_once() {
        let mut encounters = Encounters::new(Faults::seeded(3));
        let first = events(500).filter(|identity| encounters.meet(identity.clone()).is_some()).count();
        assert!(first > 0);
        assert!(events(500).all(|identity| encounters.meet(identity).is_none()));
    }

    #[test]
    fn an_identity_is_method_path_and_key() {
        let identity = Identity::new("GET", "/carts/1", Some("1:2:0"));
        assert_eq!(identity, Identity::new("GET", "/carts/1", Some("1:2:0")));
        for other in [
            ("POST", "/carts/1", Some("1:2:0")),
            ("GET", "/carts/2", Some("1:2:0")),
            ("GET", "/carts/1", None),
        ] {
            assert_ne!(identity, Identity::new(other.0, other.1, other.2));
        }
    }

    #[test]
    fn an_option_is_a_seed_or_off() {
        assert_eq!("off".parse(), Ok(Faults::off()));
        assert_eq!("42".parse(), Ok(Faults::seeded(42)));
        assert_eq!("no".parse::<Faults>(), Err("A fault seed is a whole number or off, not no.".to_owned()));
    }
}
