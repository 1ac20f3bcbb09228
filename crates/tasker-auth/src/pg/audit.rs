//! The audit in `tasker.audit_log`.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use tasker_model::schema::audit_log::dsl;

use super::{Connections, run};
use crate::{AuditEntry, AuditSink, AuthFuture, Method, Permission, Unavailable};

/// Adds a record to `tasker.audit_log`, in the caller's transaction if there is one: a record of a change that
/// is rolled back goes with it. `now` `None` is the database's clock.
pub fn record_audit(
    conn: &mut PgConnection,
    entry: &AuditEntry,
    now: Option<DateTime<Utc>>,
) -> QueryResult<()> {
    diesel::insert_into(dsl::audit_log)
        .values((
            now.map(|at| dsl::at.eq(at)),
            dsl::subject.eq(entry.subject.as_deref()),
            dsl::method.eq(entry.method.map(Method::as_str)),
            dsl::operation.eq(clipped(&entry.operation)),
            dsl::permission.eq(entry.permission.map(Permission::as_str)),
            dsl::namespace.eq(entry.namespace.as_deref().map(clipped)),
            dsl::task_id.eq(entry.task_id),
            dsl::outcome.eq(entry.outcome.as_str()),
            dsl::reason.eq(clipped(&entry.reason)),
            dsl::correlation_id.eq(entry.correlation_id.as_str()),
            dsl::suppressed.eq(i32::try_from(entry.suppressed).unwrap_or(i32::MAX)),
        ))
        .execute(conn)
        .map(drop)
}

/// Whatever a request names is kept to 1,000 characters, and without the one that PostgreSQL cannot store.
fn clipped(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(1_000).collect()
}

/// Removes the oldest records before an instant, at most `limit`; returns how many. It is the only way out of
/// the table, by the function `tasker.prune_audit_log`.
pub fn prune_audit(conn: &mut PgConnection, before: DateTime<Utc>, limit: i32) -> QueryResult<i64> {
    diesel::select(prune_audit_log(before, limit)).get_result(conn)
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// Of `migrations/0003_auth`.
    #[sql_name = "tasker.prune_audit_log"]
    fn prune_audit_log(
        p_before: diesel::sql_types::Timestamptz,
        p_limit: diesel::sql_types::Integer,
    ) -> diesel::sql_types::BigInt;
}

/// Records into `tasker.audit_log`.
#[derive(Clone)]
pub struct PgAudit(Arc<dyn Connections>);

impl PgAudit {
    /// Each record is a transaction of its own on a borrowed connection.
    pub fn new(connections: impl Connections) -> Self {
        Self(Arc::new(connections))
    }
}

impl AuditSink for PgAudit {
    fn record(
        &self,
        entry: AuditEntry,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'_, Result<(), Unavailable>> {
        Box::pin(run(&self.0, "the audit", move |conn| record_audit(conn, &entry, now)))
    }
}

impl fmt::Debug for PgAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgAudit")
    }
}
