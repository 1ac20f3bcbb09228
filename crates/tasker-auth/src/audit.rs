//! Who did or was refused what. Records are only ever added; where they go is a trait.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{AuditConfig, AuthFuture, CorrelationId, Method, Permission, Unavailable};

/// Which decisions are recorded. Refusals always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Recorded {
    /// Only refusals.
    Refusals,
    /// What changes something, and refusals.
    Changes,
    /// Everything.
    All,
}

/// How a request ended for its asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Permitted.
    Allowed,
    /// Known, but not permitted.
    Denied,
    /// Not let in.
    Refused,
}

impl Outcome {
    /// The word in the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Refused => "refused",
        }
    }
}

/// One record. The instant is the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Who; `None` where it is not known.
    pub subject: Option<String>,
    /// How they were known.
    pub method: Option<Method>,
    /// The operation asked for.
    pub operation: String,
    /// The permission asked for; `None` where it did not come to that.
    pub permission: Option<Permission>,
    /// In which namespace.
    pub namespace: Option<String>,
    /// On which task.
    pub task_id: Option<i64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// The request's.
    pub correlation_id: CorrelationId,
    /// How many refusals before it were not recorded, since there were too many in their minute.
    pub suppressed: u32,
}

/// Where records go.
pub trait AuditSink: Send + Sync {
    /// Keeps the record for good before it returns. `now` is the instant to record; `None` is the present, by
    /// the clock of the store.
    fn record(
        &self,
        entry: AuditEntry,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'_, Result<(), Unavailable>>;
}

impl fmt::Debug for dyn AuditSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditSink")
    }
}

/// Writes records as events of `tracing`, target `tasker_auth::audit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogAudit;

impl AuditSink for LogAudit {
    fn record(&self, entry: AuditEntry, _: Option<DateTime<Utc>>) -> AuthFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            tracing::info!(
                target: "tasker_auth::audit",
                subject = entry.subject,
                operation = entry.operation,
                permission = entry.permission.map(Permission::as_str),
                namespace = entry.namespace,
                task_id = entry.task_id,
                outcome = entry.outcome.as_str(),
                reason = entry.reason,
                correlation_id = entry.correlation_id.as_str(),
                suppressed = entry.suppressed,
            );
            Ok(())
        })
    }
}

/// A sink with the rule of what is recorded.
pub(crate) struct Audit {
    sink: Arc<dyn AuditSink>,
    recorded: Recorded,
    refusals: Mutex<Minute>,
    refusals_per_minute: u32,
}

/// The refusals of one minute.
#[derive(Debug, Default)]
struct Minute {
    number: i64,
    recorded: u32,
    suppressed: u32,
}

impl Audit {
    pub(crate) fn new(sink: Arc<dyn AuditSink>, config: &AuditConfig) -> Self {
        Self {
            sink,
            recorded: config.record,
            refusals: Mutex::default(),
            refusals_per_minute: config.refusals_per_minute,
        }
    }

    pub(crate) async fn record(
        &self,
        mut entry: AuditEntry,
        changes: bool,
        now: Option<DateTime<Utc>>,
    ) -> Result<(), Unavailable> {
        if entry.outcome == Outcome::Allowed {
            let wanted = self.recorded == Recorded::All || (self.recorded == Recorded::Changes && changes);
            return if wanted { self.sink.record(entry, now).await } else { Ok(()) };
        }
        let Some(suppressed) = self.admit(now.unwrap_or_else(Utc::now)) else { return Ok(()) };
        entry.suppressed = suppressed;
        self.sink.record(entry, now).await
    }

    /// Whether one more refusal is recorded; then, how many before it were not.
    fn admit(&self, now: DateTime<Utc>) -> Option<u32> {
        let mut minute = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.timestamp().div_euclid(60);
        if minute.number != number {
            (minute.number, minute.recorded) = (number, 0);
        }
        if minute.recorded >= self.refusals_per_minute {
            minute.suppressed = minute.suppressed.saturating_add(1);
            return None;
        }
        minute.recorded += 1;
        Some(std::mem::take(&mut minute.suppressed))
    }
}
