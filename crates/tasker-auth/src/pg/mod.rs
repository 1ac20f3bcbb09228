//! Everything that is kept in PostgreSQL, in the tables of `tasker-model`. Functions take the caller's
//! connection and are one statement each; the stores borrow a connection for each of them.

mod audit;
#[cfg(feature = "oidc")]
mod logins;
#[cfg(feature = "session")]
mod sessions;
#[cfg(feature = "api-token")]
mod tokens;

use std::sync::Arc;

use diesel::{
    PgConnection, QueryResult,
    r2d2::{ConnectionManager, Pool},
};

pub use audit::{PgAudit, prune_audit, record_audit};
#[cfg(feature = "oidc")]
pub use logins::PgLogins;
#[cfg(feature = "session")]
pub use sessions::{PgSessions, prune_sessions};
#[cfg(feature = "api-token")]
pub use tokens::{IssuedToken, NewToken, PgTokens, TokenRow, issue_token, list_tokens, revoke_token};

use crate::{Registry, Unavailable};

/// Lends connections. A pool of `r2d2` does; so may anything else.
pub trait Connections: Send + Sync + 'static {
    /// Calls `work` once with a connection, on the calling thread, outside a transaction. The error is for the
    /// log.
    fn lend(&self, work: &mut dyn FnMut(&mut PgConnection) -> QueryResult<()>) -> Result<(), String>;
}

impl Connections for Pool<ConnectionManager<PgConnection>> {
    fn lend(&self, work: &mut dyn FnMut(&mut PgConnection) -> QueryResult<()>) -> Result<(), String> {
        let mut conn = self.get().map_err(|e| e.to_string())?;
        work(&mut conn).map_err(|e| e.to_string())
    }
}

impl Registry {
    /// With the authenticators that are kept in the database: `api_token` and `session`.
    #[must_use]
    pub fn with_postgres(self, connections: impl Connections + Clone) -> Self {
        #[cfg(feature = "api-token")]
        let tokens = Arc::new(PgTokens::new(connections.clone()));
        #[cfg(feature = "api-token")]
        let this = self.authenticator("api_token", move |options| {
            crate::ApiTokenAuthenticator::new(&crate::read_section(options)?, Arc::clone(&tokens) as _)
        });
        #[cfg(not(feature = "api-token"))]
        let this = self;
        #[cfg(feature = "session")]
        let sessions = Arc::new(PgSessions::new(connections));
        #[cfg(feature = "session")]
        let this = this.authenticator("session", move |options| {
            crate::Sessions::new(&crate::read_section(options)?, Arc::clone(&sessions) as _)
        });
        this
    }
}

/// Runs one unit of work on a thread that may block. `what` is told the asker where it fails.
async fn run<T: Send + 'static>(
    connections: &Arc<dyn Connections>,
    what: &'static str,
    mut work: impl FnMut(&mut PgConnection) -> QueryResult<T> + Send + 'static,
) -> Result<T, Unavailable> {
    let connections = Arc::clone(connections);
    let blocking = tokio::task::spawn_blocking(move || {
        let mut result = None;
        connections.lend(&mut |conn| {
            result = Some(work(conn)?);
            Ok(())
        })?;
        result.ok_or_else(|| "no connection was lent".to_owned())
    });
    let result = blocking.await.unwrap_or_else(|e| Err(e.to_string()));
    result.map_err(|detail| Unavailable::new(what, detail))
}

/// The instant to judge by: the one that was passed, else the database's.
#[cfg(feature = "session")]
fn clock(
    conn: &mut PgConnection,
    now: Option<chrono::DateTime<chrono::Utc>>,
) -> QueryResult<chrono::DateTime<chrono::Utc>> {
    use diesel::{RunQueryDsl, dsl::sql, select, sql_types::Timestamptz};
    now.map_or_else(|| select(sql::<Timestamptz>("pg_catalog.clock_timestamp()")).get_result(conn), Ok)
}

/// Rows of `text[]`, whose elements Diesel takes to be nullable.
#[cfg(feature = "api-token")]
fn array<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<Option<String>> {
    items.into_iter().map(|item| Some(item.to_string())).collect()
}
