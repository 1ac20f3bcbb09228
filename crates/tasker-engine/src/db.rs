//! The database as async code sees it: a pool of connections and a bounded number of blocking threads.
//!
//! A unit of work crosses to a blocking thread once, with a connection of its own, and comes back with its
//! result. Connections are not tested at each checkout; one that saw an error is tested when it comes back,
//! and when it turns out to be lost or read only, all others are tested before their next use.

mod fault;
mod patience;
mod rights;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{
    Connection, ConnectionError, PgConnection, QueryableByName, RunQueryDsl,
    connection::CacheSize,
    r2d2::{self, ManageConnection, PooledConnection, R2D2Connection},
    result::Error as QueryError,
    sql_types::Bool,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use patience::Complaints;

pub use fault::{Fault, describe, fault, is_transient, is_violation};
pub use patience::Patience;

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
    /// The role lacks a right.
    #[error(
        "the database role lacks a right: {missing} ({refusal}); grant it, or migrate with the role that owns the schema"
    )]
    Forbidden {
        /// Such as `update on table tasker.tasks`.
        missing: String,
        /// The database's own words.
        refusal: String,
    },
    /// The unit of work panicked.
    #[error("a unit of database work panicked")]
    Panicked,
}

impl DbError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unreachable(_) => Fault::Connection,
            Self::Query(e) => fault(e),
            Self::Forbidden { .. } => Fault::Statement,
            Self::Panicked => Fault::Program,
        }
    }

    /// Whether the same work may succeed later: see [`Fault::may_pass`].
    pub fn is_transient(&self) -> bool {
        self.fault().may_pass()
    }
}

/// How statements reach the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Statements {
    /// Prepared once a connection and named: the fastest, for a direct connection, a pooler of sessions, or a
    /// pooler of transactions that keeps track of names (PgBouncer from 1.21 with `max_prepared_statements`).
    #[default]
    Named,
    /// Parsed anew each time, in the same round trip: for a pooler of transactions that does not.
    Unnamed,
}

/// How to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbOptions {
    /// The most connections; at least [`MIN_CONNECTIONS`]. Default 8.
    pub connections: u32,
    /// How statements reach the database. Default named.
    pub statements: Statements,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self { connections: 8, statements: Statements::Named }
    }
}

/// A pool and its permits. Cheap to clone; clones share both, and what was complained of.
#[derive(Clone)]
pub struct Db {
    url: Arc<str>,
    pool: r2d2::Pool<Manager>,
    permits: Arc<Semaphore>,
    long: Arc<Semaphore>,
    /// Raised with each connection that was found lost or read only.
    troubles: Arc<AtomicU64>,
    complaints: Complaints,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("size", &self.pool.max_size()).finish_non_exhaustive()
    }
}

/// The fewest connections that a worker gets on with: claims, reports, renewals and one handler.
pub const MIN_CONNECTIONS: u32 = 4;

/// How long a unit of work waits for a connection that has to be made before it fails; making it goes on,
/// with pauses of up to half of it.
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(2);

impl Db {
    /// Connects with a pool of `size` connections (at least [`MIN_CONNECTIONS`]), one of them at once, so
    /// that a wrong URL is refused here.
    pub fn connect(url: &str, size: u32) -> Result<Self, DbError> {
        Self::connect_with(url, DbOptions { connections: size, ..DbOptions::default() })
    }

    /// The same with all options.
    pub fn connect_with(url: &str, options: DbOptions) -> Result<Self, DbError> {
        connect(url)?;
        let size = options.connections.max(MIN_CONNECTIONS);
        let troubles = Arc::<AtomicU64>::default();
        let pool = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(PATIENCE_TO_CONNECT)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(Manager {
                url: url.into(),
                statements: options.statements,
                troubles: troubles.clone(),
            });
        let long = size as usize - (MIN_CONNECTIONS as usize - 1);
        Ok(Self {
            url: url.into(),
            pool,
            permits: Arc::new(Semaphore::new(size as usize)),
            long: Arc::new(Semaphore::new(long)),
            troubles,
            complaints: Complaints::default(),
        })
    }

    /// What waits between the tries of one piece of work, `what` being a word such as "claiming".
    pub fn patience(&self, what: &'static str) -> Patience {
        Patience::new(what, self.complaints.clone())
    }

    /// Where it connects to, with whatever secret the URL holds: not to be shown.
    pub(crate) fn url(&self) -> &str {
        &self.url
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
        let db = self.clone();
        let joined = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            db.on_connection(work)
        });
        joined.await.map_err(|_| DbError::Panicked)?
    }

    /// Runs queries and nothing else; both kinds of error in one. Where the database refuses and does not
    /// pass on why, the role's rights are looked up, since waiting does not bring a missing one.
    pub async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, DbError> {
        self.run(move |conn| work(conn).map_err(|e| explained(conn, e))).await?
    }

    /// Like [`query`](Self::query), and passes the answer on from the thread that has it: no task is woken in between.
    pub(crate) fn query_then<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, QueryError> + Send + 'static,
        then: impl FnOnce(Result<T, DbError>) + Send + 'static,
    ) {
        let db = self.clone();
        let answer = move |permit: OwnedSemaphorePermit| {
            let work = |conn: &mut PgConnection| work(conn).map_err(|e| explained(conn, e));
            let answered = catch_unwind(AssertUnwindSafe(|| db.on_connection(work)));
            drop(permit);
            then(answered.unwrap_or(Err(DbError::Panicked)).flatten());
        };
        match self.permits.clone().try_acquire_owned() {
            Ok(permit) => drop(tokio::task::spawn_blocking(move || answer(permit))),
            Err(_) => {
                let permits = self.permits.clone();
                drop(tokio::spawn(async move {
                    // Nobody closes it.
                    if let Ok(permit) = permits.acquire_owned().await {
                        drop(tokio::task::spawn_blocking(move || answer(permit)));
                    }
                }));
            }
        }
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

    /// Runs work on this thread, whose caller holds a permit.
    fn on_connection<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<Result<T, E>, DbError> {
        let mut conn = self.checkout()?;
        // Tested before its next use unless it comes back in good order, also from a panic.
        conn.suspect = true;
        let result = work(&mut conn.inner);
        conn.suspect = result.is_err();
        Ok(result)
    }

    /// A connection that has not been found wanting since the last trouble, or was made for this call. Others are
    /// asked, one that waited unused since it was made too, and thrown away where they are wanting: so this ends after
    /// one round through the pool.
    fn checkout(&self) -> Result<PooledConnection<Manager>, DbError> {
        let asked = Instant::now();
        loop {
            let troubles = self.troubles.load(Ordering::Relaxed);
            let mut conn = self.pool.get().map_err(|e| {
                DbError::Unreachable(format!("no connection within {PATIENCE_TO_CONNECT:?}: {e}"))
            })?;
            if conn.tested_after == Some(troubles) || conn.made >= asked || conn.is_usable() {
                conn.tested_after = Some(troubles);
                return Ok(conn);
            }
            conn.unusable = true;
        }
    }
}

/// The refusal, or the right that it is for want of.
fn explained(conn: &mut PgConnection, error: QueryError) -> DbError {
    if fault(&error) != Fault::Unclear {
        return DbError::Query(error);
    }
    match rights::missing(conn) {
        Ok(Some(missing)) => DbError::Forbidden { missing, refusal: describe(&error) },
        _ => DbError::Query(error),
    }
}

/// Opens one connection, or says in a sentence why not, without the password of the URL.
pub fn connect(url: &str) -> Result<PgConnection, DbError> {
    connect_with(url, Statements::Named)
}

/// The same, with named or unnamed statements.
pub fn connect_with(url: &str, statements: Statements) -> Result<PgConnection, DbError> {
    let mut conn = PgConnection::establish(url).map_err(|e| DbError::Unreachable(connection_sentence(&e)))?;
    if statements == Statements::Unnamed {
        conn.set_prepared_statement_cache_size(CacheSize::Disabled);
    }
    Ok(conn)
}

fn connection_sentence(error: &ConnectionError) -> String {
    let text = match error {
        ConnectionError::BadConnection(text) => fault::one_line(text),
        other => other.to_string(),
    };
    if text.contains("SSL support is not compiled in") {
        return "its URL asks for TLS, which the bundled libpq does not have; build with the feature `system-libpq`".into();
    }
    text
}

struct Manager {
    url: String,
    statements: Statements,
    troubles: Arc<AtomicU64>,
}

/// A connection that remembers whether its last unit of work failed.
struct Tracked {
    inner: PgConnection,
    suspect: bool,
    unusable: bool,
    /// When it began to be made.
    made: Instant,
    /// The number of troubles at the time of its last test.
    tested_after: Option<u64>,
}

#[derive(QueryableByName)]
struct Writable {
    #[diesel(sql_type = Bool)]
    writable: bool,
}

impl Tracked {
    /// Whether it is alive and takes writes, by asking.
    fn is_usable(&mut self) -> bool {
        let asked = diesel::sql_query("select current_setting('transaction_read_only') = 'off' as writable");
        asked.get_result::<Writable>(&mut self.inner).is_ok_and(|answer| answer.writable)
    }
}

impl ManageConnection for Manager {
    type Connection = Tracked;
    type Error = DbError;

    fn connect(&self) -> Result<Tracked, DbError> {
        let made = Instant::now();
        let inner = connect_with(&self.url, self.statements)?;
        Ok(Tracked { inner, suspect: false, unusable: false, made, tested_after: None })
    }

    fn is_valid(&self, conn: &mut Tracked) -> Result<(), DbError> {
        diesel::sql_query("select 1").execute(&mut conn.inner)?;
        Ok(())
    }

    fn has_broken(&self, conn: &mut Tracked) -> bool {
        if conn.unusable || std::thread::panicking() {
            return true;
        }
        let broken = conn.inner.is_broken() || (conn.suspect && !conn.is_usable());
        if broken {
            self.troubles.fetch_add(1, Ordering::Relaxed);
        }
        broken
    }
}
