//! API tokens in `tasker.api_tokens`.

use std::{collections::BTreeSet, fmt, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{dsl::now as database_now, prelude::*};
use tasker_model::schema::api_tokens::{self, dsl};

use super::{Connections, array, run};
use crate::{
    AuthFuture, Digest, Namespaces, Permission, PermissionSet, StoredToken, TokenStore, TokenText,
    Unavailable,
};

/// A token to be issued.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewToken {
    /// On whose behalf it acts.
    pub subject: String,
    /// For people: what it is for.
    pub name: String,
    /// The roles of whoever sends it.
    pub roles: BTreeSet<String>,
    /// What it is for: permitted, and nothing beyond. `None`: what the roles permit.
    pub permissions: Option<PermissionSet>,
    /// Where it is for.
    pub namespaces: Namespaces,
    /// Until when; `None` is without end.
    pub expires_at: Option<DateTime<Utc>>,
    /// Who issues it.
    pub created_by: String,
}

impl NewToken {
    /// Without roles and scopes, which permits nothing yet; without end.
    pub fn new(subject: impl Into<String>, name: impl Into<String>, created_by: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            name: name.into(),
            roles: BTreeSet::new(),
            permissions: None,
            namespaces: Namespaces::All,
            expires_at: None,
            created_by: created_by.into(),
        }
    }
}

/// A token right after it was issued.
#[derive(Debug)]
#[non_exhaustive]
pub struct IssuedToken {
    /// Its number, to revoke it by.
    pub id: i64,
    /// Its text. It is nowhere else and cannot be had again.
    pub text: TokenText,
}

/// A token as it may be listed.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = api_tokens)]
#[non_exhaustive]
pub struct TokenRow {
    /// Its number.
    pub api_token_id: i64,
    /// What its text begins with, after the prefix.
    pub lookup: String,
    /// On whose behalf it acts.
    pub subject: String,
    /// For people.
    pub name: String,
    /// Who issued it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Its last use, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Issues a token: one row of `tasker.api_tokens`, in the caller's transaction if there is one.
pub fn issue_token(conn: &mut PgConnection, prefix: &str, new: &NewToken) -> QueryResult<IssuedToken> {
    let text = TokenText::random(prefix);
    let namespaces = match &new.namespaces {
        Namespaces::All => None,
        Namespaces::Only(names) => Some(array(names)),
    };
    let id = diesel::insert_into(dsl::api_tokens)
        .values((
            dsl::lookup.eq(text.lookup()),
            dsl::digest.eq(text.digest().as_bytes()),
            dsl::subject.eq(&new.subject),
            dsl::name.eq(&new.name),
            dsl::roles.eq(array(&new.roles)),
            dsl::permissions.eq(new.permissions.map(|set| array(set.iter()))),
            dsl::namespaces.eq(namespaces),
            dsl::expires_at.eq(new.expires_at),
            dsl::created_by.eq(&new.created_by),
        ))
        .returning(dsl::api_token_id)
        .get_result(conn)?;
    Ok(IssuedToken { id, text })
}

/// Takes a token back. Returns whether it was there and not yet taken back; it is refused from the commit on.
/// `now` `None` is the database's clock.
pub fn revoke_token(
    conn: &mut PgConnection,
    id: i64,
    revoked_by: &str,
    now: Option<DateTime<Utc>>,
) -> QueryResult<bool> {
    let live = dsl::api_tokens.find(id).filter(dsl::revoked_at.is_null());
    let by = dsl::revoked_by.eq(revoked_by);
    let changed = match now {
        Some(at) => diesel::update(live).set((dsl::revoked_at.eq(at), by)).execute(conn)?,
        None => diesel::update(live).set((dsl::revoked_at.eq(database_now), by)).execute(conn)?,
    };
    Ok(changed == 1)
}

/// The tokens of a subject, or all, by number from the newest; at most `limit`.
pub fn list_tokens(conn: &mut PgConnection, subject: Option<&str>, limit: i64) -> QueryResult<Vec<TokenRow>> {
    let mut query = dsl::api_tokens.select(TokenRow::as_select()).into_boxed();
    if let Some(subject) = subject {
        query = query.filter(dsl::subject.eq(subject.to_owned()));
    }
    query.order(dsl::api_token_id.desc()).limit(limit).load(conn)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_tokens)]
struct Kept {
    api_token_id: i64,
    subject: String,
    digest: Vec<u8>,
    roles: Vec<Option<String>>,
    permissions: Option<Vec<Option<String>>>,
    namespaces: Option<Vec<Option<String>>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl Kept {
    /// `None` where the digest is none, which the table does not allow.
    fn into_stored(self, is_expired: bool) -> Option<StoredToken> {
        let mut token = StoredToken::new(self.api_token_id, self.subject, Digest::stored(&self.digest)?);
        token.roles = self.roles.into_iter().flatten().collect();
        // A permission that this version does not know permits nothing.
        let known = |text: Option<String>| text?.parse::<Permission>().ok();
        token.permissions = self.permissions.map(|texts| texts.into_iter().filter_map(known).collect());
        token.namespaces = self.namespaces.map(|names| names.into_iter().flatten().collect()).into();
        (token.is_expired, token.is_revoked) = (is_expired, self.revoked_at.is_some());
        Some(token)
    }
}

fn find(
    conn: &mut PgConnection,
    lookup: &str,
    now: Option<DateTime<Utc>>,
) -> QueryResult<Option<StoredToken>> {
    let row = dsl::api_tokens.filter(dsl::lookup.eq(lookup));
    let found: Option<(Kept, Option<bool>)> = match now {
        Some(at) => row.select((Kept::as_select(), dsl::expires_at.le(at))).first(conn).optional()?,
        None => row.select((Kept::as_select(), dsl::expires_at.le(database_now))).first(conn).optional()?,
    };
    Ok(found.and_then(|(kept, is_over)| kept.into_stored(is_over.unwrap_or(false))))
}

/// One write a minute and token at most, however often it is used.
fn note_use(conn: &mut PgConnection, id: i64, now: DateTime<Utc>) -> QueryResult<()> {
    let stale = dsl::last_used_at.is_null().or(dsl::last_used_at.lt(now - TimeDelta::minutes(1)));
    let seen = dsl::api_tokens.find(id).filter(stale.assume_not_null());
    // Asked first, since a read costs no write of the log.
    if diesel::select(diesel::dsl::exists(seen)).get_result::<bool>(conn)? {
        diesel::update(seen).set(dsl::last_used_at.eq(now)).execute(conn)?;
    }
    Ok(())
}

/// Tokens of `tasker.api_tokens`.
#[derive(Clone)]
pub struct PgTokens(Arc<dyn Connections>);

impl PgTokens {
    /// Borrows a connection for each request.
    pub fn new(connections: impl Connections) -> Self {
        Self(Arc::new(connections))
    }
}

const WHAT: &str = "the store of API tokens";

impl TokenStore for PgTokens {
    fn find<'a>(
        &'a self,
        lookup: &'a str,
        now: Option<DateTime<Utc>>,
    ) -> AuthFuture<'a, Result<Option<StoredToken>, Unavailable>> {
        let lookup = lookup.to_owned();
        Box::pin(run(&self.0, WHAT, move |conn| find(conn, &lookup, now)))
    }

    fn used(&self, id: i64, now: Option<DateTime<Utc>>) -> AuthFuture<'_, Result<(), Unavailable>> {
        let now = now.unwrap_or_else(Utc::now);
        Box::pin(run(&self.0, WHAT, move |conn| note_use(conn, id, now)))
    }
}

impl fmt::Debug for PgTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgTokens")
    }
}
