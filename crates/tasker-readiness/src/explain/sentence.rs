//! The sentences of reasons and changes. That of a reason follows the step's name: "`ship` waits for …".

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use tasker_model::{FailureKind, StepState};

use super::reason::{Change, OpenParent, Paused, Reason};

/// How many names a sentence lists before it counts the rest.
const LISTED: usize = 5;
/// How much of an error is quoted, in characters.
const QUOTED: usize = 300;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCreated { created_at } => {
                write!(f, "did not exist yet; it was created at {}", instant(*created_at))
            }
            Self::Pruned { logged_from: Some(from) } => {
                write!(f, "has no answer: its log begins at {}", instant(*from))
            }
            Self::Pruned { logged_from: None } => f.write_str("has no answer: its log was pruned"),
            Self::InProgress {
                worker_id, worker, attempt, retry_limit, lease_until, lease_ran_out, ..
            } => {
                write!(f, "is being run (attempt {attempt} of {retry_limit}) by worker {worker_id}")?;
                if let Some(name) = worker {
                    write!(f, " ({})", quoted(name))?;
                }
                match (lease_until, lease_ran_out) {
                    (Some(until), false) => write!(f, ", whose lease holds until {}", instant(*until)),
                    (Some(until), true) => write!(f, ", whose lease ran out at {}", instant(*until)),
                    (None, _) => f.write_str(", whose lease held and was renewed later"),
                }
            }
            Self::Complete { .. } => f.write_str("is complete"),
            Self::ResolvedManually { actor, because, .. } => by(f, "was resolved by hand", actor, because),
            Self::Cancelled { actor, because, .. } => by(f, "was cancelled", actor, because),
            Self::Permanent { error, .. } => write!(f, "failed for good: {}", said(error)),
            Self::Exhausted { retry_limit: 0, .. } => f.write_str("never runs, because its retry limit is 0"),
            Self::Exhausted { attempts, retry_limit, failure_kind: None, .. } => {
                write!(f, "has no attempt left ({attempts} of {retry_limit})")
            }
            Self::Exhausted { attempts, retry_limit, failure_kind, error, .. } => {
                let error = failure(*failure_kind, error);
                write!(f, "has used up its attempts ({attempts} of {retry_limit}): {error}")
            }
            Self::NotRetryable { failure_kind, error, .. } => {
                write!(f, "failed and is not to be tried again: {}", failure(*failure_kind, error))
            }
            Self::WaitingForParents { done, total, parents, .. } => {
                write!(f, "waits for {}; {done} of {total} parents are done", listed(parents))
            }
            Self::Held { dead, .. } if dead.is_empty() => {
                f.write_str("is held back, because a step of its task is dead and the workflow fails fast")
            }
            Self::Held { dead, .. } => {
                let (names, is) = (names(dead.iter().map(|d| &d.name)), are(dead.len()));
                write!(f, "is held back, because {names} {is} dead and the workflow fails fast")
            }
            Self::Paused { what, .. } => match what {
                Paused::Step => f.write_str("is paused"),
                Paused::Task => f.write_str("is not claimed, because its task is paused"),
                Paused::Queue { namespace, handler } => write!(
                    f,
                    "is not claimed, because the queue of handler `{handler}` in namespace `{namespace}` is paused"
                ),
            },
            Self::TaskFinished { state, .. } => write!(f, "is not claimed, because its task is {state}"),
            Self::WaitingForRetry { due_at, attempt, retry_limit, failure_kind, error, .. } => write!(
                f,
                "waits for attempt {attempt} of {retry_limit} at {}, because the last attempt failed: {}",
                instant(*due_at),
                failure(*failure_kind, error)
            ),
            Self::Scheduled { due_at, .. } => {
                write!(f, "waits for its first attempt at {}", instant(*due_at))
            }
            Self::NoWorker { namespace, handler, .. } => {
                write!(
                    f,
                    "is ready, but no living worker serves handler `{handler}` in namespace `{namespace}`"
                )
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing; it counts as done"),
            Self::Time { at } => write!(f, "time alone, at {}", instant(*at)),
            Self::Report => f.write_str("its handler's answer, its timeout, or the end of the lease"),
            Self::Reclaim => f.write_str("the next worker that claims takes the step back"),
            Self::Parents { dead } if dead.is_empty() => {
                f.write_str("it becomes ready when all its parents are done")
            }
            Self::Parents { dead } | Self::LiftHold { dead } if !dead.is_empty() => {
                write!(f, "somebody has to retry or resolve {}", names(dead.iter()))
            }
            Self::Parents { .. } | Self::LiftHold { .. } => {
                f.write_str("somebody has to retry or resolve what is dead")
            }
            Self::Retry => f.write_str("an operator's retry"),
            Self::RetryOrResolve => f.write_str("an operator's retry, or declaring it done"),
            Self::LimitOrResolve => f.write_str("a higher retry limit, or declaring it done"),
            Self::Resume { what: Paused::Step } => f.write_str("it becomes ready when it is resumed"),
            Self::Resume { what: Paused::Task } => f.write_str("it becomes ready when its task is resumed"),
            Self::Resume { what: Paused::Queue { .. } } => {
                f.write_str("it becomes ready when the queue is resumed")
            }
            Self::ReopenTask => {
                f.write_str("retrying or resolving what failed or was cancelled opens the task again")
            }
            Self::StartWorker { namespace, handler } => {
                write!(f, "a worker that has handler `{handler}` and serves namespace `{namespace}`")
            }
            Self::Unknown => f.write_str("nothing brings a pruned log back"),
        }
    }
}

/// `2026-01-02T03:04:05Z`.
fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn by(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    actor: &Option<String>,
    because: &Option<String>,
) -> fmt::Result {
    f.write_str(what)?;
    if let Some(actor) = actor {
        write!(f, " by {}", quoted(actor))?;
    }
    because.as_ref().map_or(Ok(()), |why| write!(f, ": {}", quoted(why)))
}

fn said(error: &Option<String>) -> String {
    error.as_deref().map_or_else(|| "no message".into(), quoted)
}

/// What the last attempt said, with the kind where the words alone do not tell.
fn failure(kind: Option<FailureKind>, error: &Option<String>) -> String {
    let said = said(error);
    match kind {
        Some(FailureKind::LostLease) => format!("{said} (its worker's lease ran out)"),
        Some(FailureKind::Retryable | FailureKind::Permanent | FailureKind::Timeout | FailureKind::Panic)
        | None => said,
    }
}

/// One line without control characters, cut where it is long: messages come from anywhere.
fn quoted(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c == ' ').filter(|w| !w.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn names<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    join(names.map(|n| format!("`{}`", quoted(n))))
}

fn listed(parents: &[OpenParent]) -> String {
    join(parents.iter().map(|p| format!("`{}` ({})", quoted(&p.name), standing(p))))
}

/// Where a parent stands: `error since …, attempt 3 of 3, dead`.
fn standing(parent: &OpenParent) -> String {
    let mut words = format!("{} since {}", parent.state, instant(parent.since));
    if matches!(parent.state, StepState::Error | StepState::InProgress) {
        words += &format!(", attempt {} of {}", parent.attempts, parent.retry_limit);
    }
    if let Some(next) = parent.next_attempt_at {
        words += &format!(", next at {}", instant(next));
    }
    if parent.dead {
        words += ", dead";
    }
    words
}

fn join(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(LISTED);
    let shown = items.take(LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

const fn are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_quoted_harmlessly_and_lists_are_cut() {
        let error = Some(format!("a\n\u{1b}[31m{}", "b".repeat(400)));
        let sentence = Reason::Permanent { since: DateTime::UNIX_EPOCH, error }.to_string();
        assert!(sentence.starts_with("failed for good: a [31mbbb") && sentence.ends_with("b…"), "{sentence}");
        let dead: Vec<String> = (0..7).map(|n| format!("s{n}")).collect();
        let sentence = Change::LiftHold { dead }.to_string();
        assert_eq!(sentence, "somebody has to retry or resolve `s0`, `s1`, `s2`, `s3`, `s4` and 2 more");
    }
}
