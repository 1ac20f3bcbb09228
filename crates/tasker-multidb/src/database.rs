//! One database as the program uses it: a writing pool, and reading pools that are chosen by freshness.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use diesel::{
    PgConnection, QueryResult,
    result::{DatabaseErrorKind, Error as QueryError},
};

use crate::{
    ConfigError, DatabaseError, DatabaseName, DatabaseUrl, NamedDatabase, Problem, ReadToken, ReplicaStatus,
    config::url_of,
    connect::{Target, written},
    pool::{Lent, Pool},
    replica::Replica,
};

/// Marks what holds Tasker's tables.
#[derive(Debug, Clone, Copy)]
pub enum Tasker {}

/// Marks what holds the tables of the program that embeds Tasker.
#[derive(Debug, Clone, Copy)]
pub enum Host {}

/// A database for one use. Cheap to clone; all clones, and both uses, share the pools. Everything here blocks:
/// async code calls it on a thread that may.
///
/// ```compile_fail
/// # use tasker_multidb::{Database, Host, Tasker};
/// fn submit(tasker: &Database<Tasker>) {}
/// fn wrong(host: &Database<Host>) { submit(host) }
/// ```
pub struct Database<U> {
    roles: Arc<Roles>,
    marker: PhantomData<fn() -> U>,
}

/// The roles of a database.
pub(crate) struct Roles {
    pub(crate) name: DatabaseName,
    pub(crate) url: DatabaseUrl,
    pub(crate) config: NamedDatabase,
    pub(crate) writing: Pool,
    pub(crate) reading: Vec<Replica>,
    next: AtomicUsize,
}

impl Roles {
    pub(crate) fn new(name: &DatabaseName, config: &NamedDatabase) -> Result<Self, ConfigError> {
        let wrong = |key: String| {
            move |p: Problem| ConfigError(vec![Problem::new(format!("{key}.{}", p.key), p.reason)])
        };
        let url = url_of(config.url.as_ref()).map_err(wrong(format!("databases.{name}")))?;
        let (target, patience) = (Target::new(url.clone(), config, true), config.checkout_timeout());
        let mut reading = vec![];
        for (replica, role) in &config.reading {
            let key = format!("databases.{name}.reading.{replica}");
            let url = url_of(role.url.as_ref()).map_err(wrong(key))?;
            let pool = Pool::new(Target::new(url, config, false), false, role.connections, patience);
            reading.push(Replica::new(replica.clone(), pool, target.clone(), config.lag_bound()));
        }
        let writing = Pool::new(target, true, config.connections, patience);
        let (name, config) = (name.clone(), config.clone());
        Ok(Self { name, url, config, writing, reading, next: AtomicUsize::new(0) })
    }

    fn unreachable(&self, reason: String) -> DatabaseError {
        DatabaseError::Unreachable { name: self.name.clone(), reason }
    }

    fn refused(&self, source: QueryError) -> DatabaseError {
        DatabaseError::Query { name: self.name.clone(), source }
    }
}

impl<U> Database<U> {
    pub(crate) fn new(roles: Arc<Roles>) -> Self {
        Self { roles, marker: PhantomData }
    }

    pub(crate) fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &DatabaseName {
        &self.roles.name
    }

    /// Where its writing role is; shown without its password.
    pub fn url(&self) -> &DatabaseUrl {
        &self.roles.url
    }

    /// Where the writing role is with all that the configuration adds: for a pool of one's own.
    pub fn writing_url(&self) -> &DatabaseUrl {
        &self.roles.writing.target().url
    }

    /// Its part of the configuration.
    pub fn config(&self) -> &NamedDatabase {
        &self.roles.config
    }

    /// A connection of the writing role, tested once when it comes back. [`write`](Self::write) saves the test.
    pub fn writing(&self) -> Result<Connection<U>, DatabaseError> {
        let lent = self.roles.writing.checkout().map_err(|reason| self.roles.unreachable(reason))?;
        Ok(Connection { lent, marker: PhantomData })
    }

    /// Runs work on a connection of the writing role, outside a transaction. It is run once at most: what was
    /// sent when the connection was lost may or may not have been committed.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
    ) -> Result<T, DatabaseError> {
        self.write_with(work)?.map_err(|source| self.roles.refused(source))
    }

    /// The same for work with errors of its own.
    pub fn write_with<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<Result<T, E>, DatabaseError> {
        let mut conn = self.writing()?;
        let result = work(&mut conn);
        conn.lent.suspect = result.is_err();
        Ok(result)
    }

    /// Like [`write`](Self::write), and the token by which [`read_after`](Self::read_after) sees what was
    /// committed; one more round trip.
    pub fn write_for_token<T>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
    ) -> Result<(T, ReadToken), DatabaseError> {
        let (done, lsn) = self.write(|conn| Ok((work(conn)?, written(conn)?)))?;
        Ok((done, ReadToken { database: self.name().clone(), lsn }))
    }

    /// Runs queries in a read-only transaction on a replica within its lag bound, or where there is none, on
    /// the writing role. Where a replica is lost or cancels the work, it is run again elsewhere, so it must
    /// change nothing but its result.
    pub fn read<T>(&self, work: impl FnMut(&mut PgConnection) -> QueryResult<T>) -> Result<T, DatabaseError> {
        let now = Instant::now();
        self.read_where(|replica| replica.is_fresh(now), work)
    }

    /// The same on a replica that has the write, however far behind it is otherwise, or on the writing role. A
    /// token of another database is no reason to read a replica.
    pub fn read_after<T>(
        &self,
        token: &ReadToken,
        work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> Result<T, DatabaseError> {
        let ours = token.database == *self.name();
        self.read_where(|replica| ours && replica.has(token.lsn), work)
    }

    fn read_where<T>(
        &self,
        usable: impl Fn(&Replica) -> bool,
        mut work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> Result<T, DatabaseError> {
        let reading = &self.roles.reading;
        let first = self.roles.next.fetch_add(1, Ordering::Relaxed);
        for at in 0..reading.len() {
            let replica = &reading[first.wrapping_add(at) % reading.len()];
            if !usable(replica) {
                continue;
            }
            if let Ok(result) = read_replica(replica, &mut work) {
                return result.map_err(|source| self.roles.refused(source));
            }
        }
        self.write(|conn| read_only(conn, work))
    }

    /// How the reading roles do; none where there are none. The first call starts asking them.
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        let now = Instant::now();
        self.roles.reading.iter().map(|replica| replica.status(now)).collect()
    }
}

/// The work is to be done elsewhere.
struct Elsewhere;

fn read_replica<T>(
    replica: &Replica,
    work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
) -> Result<QueryResult<T>, Elsewhere> {
    let mut lent = replica.pool.checkout().map_err(|reason| {
        replica.suspend(reason);
        Elsewhere
    })?;
    let result = read_only(&mut lent.inner, work);
    lent.suspect = result.is_err();
    match &result {
        Err(e) if is_lost(e) => {
            replica.suspend("the connection was lost".into());
            Err(Elsewhere)
        }
        Err(e) if is_conflict(e) => Err(Elsewhere),
        _ => Ok(result),
    }
}

/// A write by mistake fails on every role alike, not only where a replica is read.
fn read_only<T>(
    conn: &mut PgConnection,
    work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    conn.build_transaction().read_only().run(work)
}

fn is_lost(error: &QueryError) -> bool {
    use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
    matches!(
        error,
        QueryError::DatabaseError(ClosedConnection | UnableToSendCommand, _)
            | QueryError::BrokenTransactionManager
    )
}

/// A replica cancels a query that stands in the way of what it has to replay.
fn is_conflict(error: &QueryError) -> bool {
    matches!(error, QueryError::DatabaseError(DatabaseErrorKind::SerializationFailure, _))
}

impl<U> Clone for Database<U> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.roles))
    }
}

impl<U> fmt::Debug for Database<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("name", self.name()).field("url", self.url()).finish_non_exhaustive()
    }
}

/// A connection of the writing role of a database for one use: what needs Tasker's tables asks for a
/// `Connection<Tasker>`, and the host's is refused by the compiler. It goes back to its pool when it is dropped.
pub struct Connection<U> {
    lent: Lent,
    marker: PhantomData<fn() -> U>,
}

impl<U> Deref for Connection<U> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.lent.inner
    }
}

impl<U> DerefMut for Connection<U> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.lent.inner
    }
}

impl<U> fmt::Debug for Connection<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}
