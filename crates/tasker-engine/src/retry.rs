//! The retry coordinator: decides, at the moment an attempt failed, how it is recorded and how long to wait.
//! Pure; whether attempts are left is the database's to say.

use tasker_model::FailureKind;

use crate::{
    backoff,
    commands::{Claim, FailedAttempt},
    definition::BackoffPolicy,
    handler::{Failure, StepError},
};

/// How an attempt ended that did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptFailure {
    /// The handler said so.
    Refused(StepError),
    /// The step's timeout ended it.
    TimedOut {
        /// The timeout, milliseconds.
        after_ms: u64,
    },
    /// The handler panicked.
    Panicked(String),
}

/// The longest message that is stored with a step, in characters.
pub const MESSAGE_LIMIT: usize = 10_000;

/// Decides how a failure is recorded. `random` in 0 to 1 moves the jitter.
pub fn decide(
    claim: Claim,
    attempt: i32,
    policy: &BackoffPolicy,
    failure: &AttemptFailure,
    random: f64,
) -> FailedAttempt {
    let (kind, retry_after, message) = match failure {
        AttemptFailure::Refused(e) => (kind(e.failure), e.retry_after, message(e)),
        AttemptFailure::TimedOut { after_ms } => {
            (FailureKind::Timeout, None, format!("the attempt took longer than its timeout of {after_ms} ms"))
        }
        AttemptFailure::Panicked(text) => (FailureKind::Panic, None, format!("the handler panicked: {text}")),
    };
    let wait = backoff::wait(policy, attempt.max(1).unsigned_abs(), retry_after, random);
    let delay_ms =
        if kind == FailureKind::Permanent { 0 } else { i64::try_from(wait.as_millis()).unwrap_or(i64::MAX) };
    FailedAttempt { claim, kind, delay_ms, message: clean(&message) }
}

fn kind(failure: Failure) -> FailureKind {
    match failure {
        Failure::Retryable => FailureKind::Retryable,
        Failure::Permanent => FailureKind::Permanent,
    }
}

fn message(error: &StepError) -> String {
    match &error.code {
        Some(code) => format!("{code}: {}", error.message),
        None => error.message.clone(),
    }
}

/// PostgreSQL's text takes no NUL, and nobody reads a novel.
fn clean(message: &str) -> String {
    message.chars().filter(|c| *c != '\0').take(MESSAGE_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tasker_model::{StepId, TaskId};

    use super::*;

    const CLAIM: Claim = Claim { task_id: TaskId(1), step_id: StepId(2), token: 3 };

    fn decided(attempt: i32, failure: AttemptFailure) -> FailedAttempt {
        decide(CLAIM, attempt, &BackoffPolicy::default(), &failure, 0.5)
    }

    #[test]
    fn every_way_to_fail_has_its_kind_and_wait() {
        let retryable = decided(3, AttemptFailure::Refused(StepError::retryable("busy")));
        assert_eq!((retryable.kind, retryable.delay_ms), (FailureKind::Retryable, 4_000));
        let permanent = decided(1, AttemptFailure::Refused(StepError::permanent("no").with_code("HTTP_404")));
        assert_eq!((permanent.kind, permanent.delay_ms), (FailureKind::Permanent, 0));
        assert_eq!(permanent.message, "HTTP_404: no");
        assert_eq!(decided(1, AttemptFailure::TimedOut { after_ms: 5 }).kind, FailureKind::Timeout);
        assert_eq!(decided(1, AttemptFailure::Panicked("x".into())).kind, FailureKind::Panic);
    }

    #[test]
    fn what_the_other_side_asks_for_wins() {
        let error = StepError::retryable("busy").with_retry_after(Duration::from_secs(30));
        assert_eq!(decided(1, AttemptFailure::Refused(error)).delay_ms, 30_000);
    }

    #[test]
    fn a_message_is_storable() {
        let failed = decided(1, AttemptFailure::Panicked("a\0b".repeat(MESSAGE_LIMIT)));
        assert!(!failed.message.contains('\0'));
        assert_eq!(failed.message.chars().count(), MESSAGE_LIMIT);
    }
}
