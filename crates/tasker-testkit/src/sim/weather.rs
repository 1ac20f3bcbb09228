//! What kind of world a seed makes.

use fastrand::Rng;

/// How long trouble lasts, milliseconds.
pub(super) const TROUBLE: u64 = 15_000;

/// The longest that a handler runs, milliseconds.
pub(super) const HANDLER: u64 = 8_000;

/// The longest pause of a worker between two looks, milliseconds.
pub(super) const POLL: u64 = 1_000;

/// The same while notifications arrive.
pub(super) const POLL_NOTIFIED: u64 = 4_000;

/// How long a renewal holds, milliseconds.
pub(super) const LEASE: u64 = 3_000;

/// What may go wrong, in so many of a thousand cases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// Processes.
    pub(super) workers: usize,
    /// Deaths, each a process at a random time.
    pub(super) deaths: usize,
    /// Times at which a process stands still.
    pub(super) freezes: usize,
    /// Times at which one process cannot reach the database.
    pub(super) partitions: usize,
    /// Times at which nobody can.
    pub(super) outages: usize,
    /// Jumps of the database's clock by up to ten seconds, either way.
    pub(super) jumps: usize,
    /// Commands of operators.
    pub(super) operations: usize,
    /// Of a thousand commands, those that fail before they happen, and those whose answer is lost.
    pub(super) refused: u32,
    pub(super) unanswered: u32,
    /// Of a thousand notifications, those that are lost; `None` where there are none.
    pub(super) unheard: Option<u32>,
    /// The longest way of a command or answer, milliseconds.
    pub(super) latency: u64,
}

impl Weather {
    /// One world in five is calm: nothing goes wrong, and everything must come at once.
    pub(super) fn of(seed: u64, rng: &mut Rng) -> Self {
        if seed.is_multiple_of(5) {
            return Self::CALM;
        }
        // Jumps and operators make a step run twice for good reasons: other worlds do without.
        let honest = seed % 5 < 3;
        let some = |rng: &mut Rng, most: usize| if rng.bool() { rng.usize(0..=most) } else { 0 };
        Self {
            workers: 5,
            deaths: some(rng, 6),
            freezes: some(rng, 4),
            partitions: some(rng, 4),
            outages: some(rng, 3),
            jumps: if honest { 0 } else { some(rng, 3) },
            operations: if honest { 0 } else { some(rng, 8) },
            refused: rng.u32(0..80),
            unanswered: rng.u32(0..80),
            unheard: rng.bool().then(|| rng.u32(0..700)),
            latency: if rng.u8(..) < 60 { 800 } else { 20 },
        }
    }

    const CALM: Self = Self {
        workers: 1,
        deaths: 0,
        freezes: 0,
        partitions: 0,
        outages: 0,
        jumps: 0,
        operations: 0,
        refused: 0,
        unanswered: 0,
        unheard: None,
        latency: 2,
    };

    pub(super) fn is_calm(&self) -> bool {
        self.workers == 1
    }

    /// Whether an attempt that runs beside another of the same step is a fault.
    pub(super) fn is_honest(&self) -> bool {
        self.jumps == 0 && self.operations == 0
    }
}
