//! Begun logins in `tasker.logins`.

use std::{fmt, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use tasker_model::schema::logins::{self, dsl};

use super::{Connections, clock, run};
use crate::{AuthFuture, Digest, Login, LoginStore, Unavailable};

#[derive(Queryable, Selectable)]
#[diesel(table_name = logins)]
struct Kept {
    nonce: String,
    code_verifier: String,
    return_to: String,
}

fn insert(
    conn: &mut PgConnection,
    login: &Login,
    seconds: u32,
    now: Option<DateTime<Utc>>,
) -> QueryResult<()> {
    let now = clock(conn, now)?;
    diesel::insert_into(dsl::logins)
        .values((
            dsl::digest.eq(login.state.as_bytes()),
            dsl::browser.eq(login.browser.as_bytes()),
            dsl::nonce.eq(&login.nonce),
            dsl::code_verifier.eq(&login.code_verifier),
            dsl::return_to.eq(&login.return_to),
            dsl::expires_at.eq(now + TimeDelta::seconds(i64::from(seconds))),
        ))
        .execute(conn)
        .map(drop)
}

/// One statement, so of two who ask at once one gets the row.
fn take(
    conn: &mut PgConnection,
    state: &Digest,
    browser: &Digest,
    now: Option<DateTime<Utc>>,
) -> QueryResult<Option<Login>> {
    let now = clock(conn, now)?;
    let its = dsl::logins
        .find(state.as_bytes())
        .filter(dsl::browser.eq(browser.as_bytes()))
        .filter(dsl::expires_at.gt(now));
    let kept: Option<Kept> =
        diesel::delete(its).returning(Kept::as_returning()).get_result(conn).optional()?;
    Ok(kept.map(|k| Login::new(state.clone(), browser.clone(), k.nonce, k.code_verifier, k.return_to)))
}

/// Logins of `tasker.logins`.
#[derive(Clone)]
pub struct PgLogins(Arc<dyn Connections>);

impl PgLogins {
    /// Borrows a connection for each request.
    pub fn new(connections: impl Connections) -> Self {
        Self(Arc::new(connections))
    }
}

const WHAT: &str = "the store of logins";

impl LoginStore for PgLogins {
    fn insert(
        &self,
        login: Login,
        seconds: u32,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'_, Result<(), Unavailable>> {
        Box::pin(run(&self.0, WHAT, move |conn| insert(conn, &login, seconds, now)))
    }

    fn take(
        &self,
        state: Digest,
        browser: Digest,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'_, Result<Option<Login>, Unavailable>> {
        Box::pin(run(&self.0, WHAT, move |conn| take(conn, &state, &browser, now)))
    }
}

impl fmt::Debug for PgLogins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgLogins")
    }
}
