//! Faults that a store can be given, each one that an implementation could have. The checks must find every one.

/// A seeded fault of the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A report is accepted whatever its token.
    NoFencing,
    /// A claim does not ask whether the worker still lives.
    LeaseNotChecked,
    /// A dead worker renews and is taken for alive again.
    RenewRevives,
    /// Parents that end in one batch are counted off once.
    DecrementsOnce,
    /// A task settles as soon as its last steps are done.
    FinalizerCountsSinks,
    /// The attempt is not counted at the claim but at the failure.
    AttemptsNotCountedAtClaim,
    /// A retry makes a step available whose parents are not done.
    RetryForgetsParents,
    /// A retry leaves the counter of live steps as it was.
    RetryForgetsLive,
    /// A cancellation leaves running steps alone.
    CancelForgetsRunning,
    /// A worker counts as reaped though some of its steps are left.
    ReapsTooEarly,
    /// Fail-fast does not hold steps that wait for a retry.
    HoldForgetsRetries,
    /// A resolved step does not release its children.
    ResolveForgetsChildren,
    /// A held child counts as live when its last parent ends.
    HeldChildCounted,
    /// A resolution does not settle a task in error whose last dead step it was.
    ResolveForgetsToSettle,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::NoFencing,
        Self::LeaseNotChecked,
        Self::RenewRevives,
        Self::DecrementsOnce,
        Self::FinalizerCountsSinks,
        Self::AttemptsNotCountedAtClaim,
        Self::RetryForgetsParents,
        Self::RetryForgetsLive,
        Self::CancelForgetsRunning,
        Self::ReapsTooEarly,
        Self::HoldForgetsRetries,
        Self::ResolveForgetsChildren,
        Self::HeldChildCounted,
        Self::ResolveForgetsToSettle,
    ];
}
