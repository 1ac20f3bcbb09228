//! The database as async code sees it: a pool of connections and a bounded number of blocking threads.
//!
//! A unit of work crosses to a blocking thread once, with a connection of its own, and comes back with its
//! result. Connections are not tested at each checkout; one that saw an error is tested when it comes back.

use std::{sync::Arc, time::Duration};

use diesel::{
    Connection, ConnectionError, PgConnection, RunQueryDsl,
    r2d2::{self, ManageConnection, PooledConnection, R2D2Connection},
    result::{DatabaseErrorKind, Error as QueryError},
};
use tokio::sync::Semaphore;

/// Why a unit of work did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// No connection, and why.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The database refused a statement or lost the connection.
    #[error("{}", describe(.0))]
    Query(#[from] QueryError),
    /// The unit of work panicked.
    #[error("a unit of database work panicked")]
    Panicked,
}

impl DbError {
    /// Whether the same work may succeed later: lost connections, restarts, deadlocks, serialization
    /// failures, exhausted pools and servers.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Query(e) => is_transient(e),
            Self::Panicked => false,
        }
    }
}

/// Whether a statement that failed so may succeed when it is tried again.
pub fn is_transient(error: &QueryError) -> bool {
    const TEXTS: &[&str] = &[
        "deadlock detected",
        "could not obtain lock",
        "lock timeout",
        "statement timeout",
        "terminating connection",
        "server closed the connection",
        "connection to server",
        "no connection to the server",
        "could not receive data",
        "could not send data",
        "the database system is",
        "cannot execute",
        "too many clients",
        "remaining connection slots",
        "due to conflict with recovery",
        "administrator command",
    ];
    match error {
        QueryError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::SerializationFailure,
            _,
        )
        | QueryError::BrokenTransactionManager => true,
        QueryError::DatabaseError(
            DatabaseErrorKind::ReadOnlyTransaction | DatabaseErrorKind::UnableToSendCommand,
            _,
        ) => true,
        QueryError::DatabaseError(_, info) => TEXTS.iter().any(|t| info.message().contains(t)),
        QueryError::RollbackErrorOnCommit { commit_error, .. } => is_transient(commit_error),
        _ => false,
    }
}

/// Whether the data violates a constraint: the same data is refused again.
pub fn is_violation(error: &QueryError) -> bool {
    use DatabaseErrorKind::{
        CheckViolation, ExclusionViolation, ForeignKeyViolation, NotNullViolation, RestrictViolation,
        UniqueViolation,
    };
    matches!(
        error,
        QueryError::DatabaseError(
            UniqueViolation
                | ForeignKeyViolation
                | RestrictViolation
                | NotNullViolation
                | CheckViolation
                | ExclusionViolation,
            _
        )
    )
}

/// What a refused statement means, as a sentence with the database's hint where it gives one.
pub fn describe(error: &QueryError) -> String {
    let QueryError::DatabaseError(_, info) = error else { return error.to_string() };
    let message = info.message();
    if message.contains("permission denied") {
        return format!(
            "the database role lacks a right: {message}; grant it, or migrate with the role that owns the schema"
        );
    }
    if message.contains("does not exist") && message.contains("tasker.") {
        return format!("Tasker's schema is not there ({message}); run `tasker migrate`");
    }
    match info.hint() {
        Some(hint) => format!("{message} ({hint})"),
        None => message.to_owned(),
    }
}

/// A pool and its permits. Cheap to clone; clones share both.
#[derive(Clone)]
pub struct Db {
    pool: r2d2::Pool<Manager>,
    permits: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("size", &self.pool.max_size()).finish_non_exhaustive()
    }
}

/// The fewest connections that a worker gets on with: claims, reports, renewals and one handler.
pub const MIN_CONNECTIONS: u32 = 4;

impl Db {
    /// Connects with a pool of `size` connections (at least [`MIN_CONNECTIONS`]), one of them at once, so
    /// that a wrong URL is refused here.
    pub fn connect(url: &str, size: u32) -> Result<Self, DbError> {
        connect(url)?;
        let size = size.max(MIN_CONNECTIONS);
        let pool = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(Duration::from_secs(10))
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(Manager { url: url.into() });
        let long = size as usize - (MIN_CONNECTIONS as usize - 1);
        Ok(Self {
            pool,
            permits: Arc::new(Semaphore::new(size as usize)),
            long: Arc::new(Semaphore::new(long)),
        })
    }

    /// Runs a short unit of work on a blocking thread with a connection.
    pub async fn run<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, DbError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| DbError::Panicked)?;
        let pool = self.pool.clone();
        let joined = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut conn = checkout(&pool)?;
            let result = work(&mut conn.inner);
            conn.suspect = result.is_err();
            Ok(result)
        });
        joined.await.map_err(|_| DbError::Panicked)?
    }

    /// Runs queries and nothing else; both kinds of error in one.
    pub async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, DbError> {
        Ok(self.run(work).await??)
    }

    /// Like [`run`](Self::run) for work that may take long, such as a transactional handler: a few
    /// connections always stay free for claims, reports and renewals.
    pub async fn run_long<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, DbError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let _long = self.long.clone().acquire_owned().await.map_err(|_| DbError::Panicked)?;
        self.run(work).await
    }
}

/// Opens one connection, or says in a sentence why not, without the password of the URL.
pub fn connect(url: &str) -> Result<PgConnection, DbError> {
    PgConnection::establish(url).map_err(|e| DbError::Unreachable(connection_sentence(&e)))
}

fn connection_sentence(error: &ConnectionError) -> String {
    let text = match error {
        ConnectionError::BadConnection(text) => text.trim().replace('\n', " "),
        other => other.to_string(),
    };
    if text.contains("SSL support is not compiled in") {
        return "its URL asks for TLS, which the bundled libpq does not have; build with the feature `system-libpq`".into();
    }
    text
}

fn checkout(pool: &r2d2::Pool<Manager>) -> Result<PooledConnection<Manager>, DbError> {
    pool.get().map_err(|e| {
        DbError::Unreachable(format!("no connection within {:?}: {e}", pool.connection_timeout()))
    })
}

struct Manager {
    url: String,
}

/// A connection that remembers whether its last unit of work failed.
struct Tracked {
    inner: PgConnection,
    suspect: bool,
}

impl ManageConnection for Manager {
    type Connection = Tracked;
    type Error = DbError;

    fn connect(&self) -> Result<Tracked, DbError> {
        Ok(Tracked { inner: connect(&self.url)?, suspect: false })
    }

    fn is_valid(&self, conn: &mut Tracked) -> Result<(), DbError> {
        diesel::sql_query("select 1").execute(&mut conn.inner)?;
        Ok(())
    }

    fn has_broken(&self, conn: &mut Tracked) -> bool {
        std::thread::panicking() || conn.inner.is_broken() || (conn.suspect && self.is_valid(conn).is_err())
    }
}
