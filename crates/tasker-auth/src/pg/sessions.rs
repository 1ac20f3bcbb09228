//! Sessions in `tasker.sessions`.

use std::{fmt, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use tasker_model::schema::sessions::dsl;

use super::{Connections, clock, run};
use crate::{AuthFuture, Digest, Identity, NewSession, SessionStore, Unavailable};

fn insert(conn: &mut PgConnection, new: &NewSession, now: Option<DateTime<Utc>>) -> QueryResult<()> {
    let now = clock(conn, now)?;
    let identity = serde_json::to_value(&new.identity)
        .map_err(|e| diesel::result::Error::SerializationError(e.into()))?;
    diesel::insert_into(dsl::sessions)
        .values((
            dsl::digest.eq(new.digest.as_bytes()),
            dsl::subject.eq(&new.identity.subject),
            dsl::identity.eq(identity),
            dsl::created_at.eq(now),
            dsl::last_seen_at.eq(now),
            dsl::expires_at.eq(now + TimeDelta::seconds(i64::from(new.lifetime_seconds))),
        ))
        .execute(conn)
        .map(drop)
}

fn find(
    conn: &mut PgConnection,
    digest: &Digest,
    idle_seconds: u32,
    now: Option<DateTime<Utc>>,
) -> QueryResult<Option<Identity>> {
    let now = clock(conn, now)?;
    let oldest = now - TimeDelta::seconds(i64::from(idle_seconds));
    let live = dsl::sessions
        .find(digest.as_bytes())
        .filter(dsl::expires_at.gt(now))
        .filter(dsl::last_seen_at.gt(oldest));
    let found: Option<(serde_json::Value, DateTime<Utc>)> =
        live.select((dsl::identity, dsl::last_seen_at)).first(conn).optional()?;
    let Some((identity, last_seen_at)) = found else { return Ok(None) };
    // To a tenth of the idle time, so that not every request writes. Never backwards, whoever comes first.
    if now - last_seen_at > TimeDelta::seconds(i64::from(idle_seconds / 10)) {
        let behind = live.filter(dsl::last_seen_at.lt(now));
        diesel::update(behind).set(dsl::last_seen_at.eq(now)).execute(conn)?;
    }
    // An identity that this version cannot read signs in anew.
    Ok(serde_json::from_value(identity).ok())
}

/// Ends a session; nothing where there is none.
fn remove(conn: &mut PgConnection, digest: &Digest) -> QueryResult<()> {
    diesel::delete(dsl::sessions.find(digest.as_bytes())).execute(conn).map(drop)
}

/// Removes sessions and begun logins whose time is over, at most `limit` of each; returns how many.
pub fn prune_sessions(conn: &mut PgConnection, limit: i64, now: Option<DateTime<Utc>>) -> QueryResult<usize> {
    use tasker_model::schema::logins::dsl as login;
    let now = clock(conn, now)?;
    let over: Vec<Vec<u8>> =
        dsl::sessions.filter(dsl::expires_at.le(now)).select(dsl::digest).limit(limit).load(conn)?;
    let abandoned: Vec<Vec<u8>> =
        login::logins.filter(login::expires_at.le(now)).select(login::digest).limit(limit).load(conn)?;
    let sessions = diesel::delete(dsl::sessions.filter(dsl::digest.eq_any(over))).execute(conn)?;
    let logins = diesel::delete(login::logins.filter(login::digest.eq_any(abandoned))).execute(conn)?;
    Ok(sessions + logins)
}

/// Sessions of `tasker.sessions`.
#[derive(Clone)]
pub struct PgSessions(Arc<dyn Connections>);

impl PgSessions {
    /// Borrows a connection for each request.
    pub fn new(connections: impl Connections) -> Self {
        Self(Arc::new(connections))
    }
}

const WHAT: &str = "the store of sessions";

impl SessionStore for PgSessions {
    fn insert(&self, new: NewSession, now: Option<DateTime<Utc>>) -> AuthFuture<'_, Result<(), Unavailable>> {
        Box::pin(run(&self.0, WHAT, move |conn| insert(conn, &new, now)))
    }

    fn find(
        &self,
        digest: Digest,
        idle_seconds: u32,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'_, Result<Option<Identity>, Unavailable>> {
        Box::pin(run(&self.0, WHAT, move |conn| find(conn, &digest, idle_seconds, now)))
    }

    fn remove(&self, digest: Digest) -> AuthFuture<'_, Result<(), Unavailable>> {
        Box::pin(run(&self.0, WHAT, move |conn| remove(conn, &digest)))
    }

    fn remove_all<'a>(&'a self, subject: &'a str) -> AuthFuture<'a, Result<u64, Unavailable>> {
        let subject = subject.to_owned();
        let remove = move |conn: &mut PgConnection| {
            let all = dsl::sessions.filter(dsl::subject.eq(&subject));
            diesel::delete(all).execute(conn).map(|count| count as u64)
        };
        Box::pin(run(&self.0, WHAT, remove))
    }
}

impl fmt::Debug for PgSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgSessions")
    }
}
