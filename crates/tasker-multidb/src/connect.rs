//! One connection: the parameters that every one of ours has, and a sentence where there is none.

use diesel::{
    Connection, ConnectionError, PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    connection::CacheSize,
    sql_types::{BigInt, Bool, Text},
};

use crate::{DatabaseUrl, NamedDatabase, StatementNames, lsn::Lsn};

/// Where to connect, and how.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: DatabaseUrl,
    pub(crate) statements: StatementNames,
}

impl Target {
    /// The URL with what the configuration and prudence add, where it does not say otherwise itself: a dead
    /// host is noticed within seconds, and among several hosts the one that takes writes is meant.
    pub(crate) fn new(url: DatabaseUrl, database: &NamedDatabase, writing: bool) -> Self {
        let several = writing && url.has_several_hosts();
        let url = url
            .or("application_name", database.application_name.replace(' ', "%20"))
            .or("connect_timeout", database.connect_timeout_seconds)
            .or("keepalives_idle", 10)
            .or("keepalives_interval", 5)
            .or("tcp_user_timeout", 15_000);
        let url = if several { url.or("target_session_attrs", "read-write") } else { url };
        Self { url, statements: database.statements }
    }

    /// A new connection, or why there is none.
    pub(crate) fn connect(&self) -> Result<PgConnection, String> {
        let connected = PgConnection::establish(self.url.expose());
        let mut conn = connected.map_err(|e| self.url.without_password(&sentence(&e)))?;
        if self.statements == StatementNames::Unnamed {
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        }
        Ok(conn)
    }
}

fn sentence(error: &ConnectionError) -> String {
    let text = match error {
        ConnectionError::BadConnection(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    if text.contains("SSL support is not compiled in") {
        return "its URL asks for TLS, which the bundled libpq does not have; build with the feature `system-libpq`".into();
    }
    text
}

#[derive(QueryableByName)]
struct Writable {
    #[diesel(sql_type = Bool)]
    writable: bool,
}

/// Whether the server takes writes from this connection.
pub(crate) fn is_writable(conn: &mut PgConnection) -> QueryResult<bool> {
    diesel::sql_query("select pg_catalog.current_setting('transaction_read_only') = 'off' as writable")
        .get_result::<Writable>(conn)
        .map(|answer| answer.writable)
}

/// Which server it is and where it stands.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Position {
    /// Whether it replays another server's log.
    #[diesel(sql_type = Bool)]
    pub(crate) is_standby: bool,
    /// What it has replayed, or as a primary flushed.
    #[diesel(sql_type = Text)]
    lsn: String,
    /// The same for a primary and all its replicas.
    #[diesel(sql_type = BigInt)]
    pub(crate) cluster: i64,
    /// The same for this server until it is started again.
    #[diesel(sql_type = BigInt)]
    pub(crate) started: i64,
    #[diesel(sql_type = Text)]
    pub(crate) database: String,
    /// Of a primary: another one after each promotion.
    #[diesel(sql_type = Text)]
    pub(crate) timeline: String,
}

impl Position {
    pub(crate) fn lsn(&self) -> Lsn {
        self.lsn.parse().unwrap_or_default()
    }

    /// Why what the other server holds is not a copy of what this one does.
    pub(crate) fn foreign(&self, other: &Self) -> Option<&'static str> {
        if self.cluster != other.cluster {
            return Some("it belongs to another cluster");
        }
        if self.database != other.database {
            return Some("its URL names another database");
        }
        (!other.is_standby && other.started != self.started).then_some("it is a primary itself")
    }
}

/// Asks a server where it stands. A primary says what is flushed, which is what replicas are sent: what is only
/// inserted may stay unsent for as long as nothing happens.
pub(crate) fn position(conn: &mut PgConnection) -> QueryResult<Position> {
    diesel::sql_query(
        "select r.is_standby,
                (case when r.is_standby then coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0'::pg_catalog.pg_lsn)
                      else pg_catalog.pg_current_wal_flush_lsn() end)::text as lsn,
                c.system_identifier as cluster,
                (extract(epoch from pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint as started,
                pg_catalog.current_database()::text as database,
                case when r.is_standby then ''
                     else pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) end as timeline
         from pg_catalog.pg_control_system() c, (select pg_catalog.pg_is_in_recovery() as is_standby) r",
    )
    .get_result(conn)
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = Text)]
    lsn: String,
}

/// Up to where a replica must have replayed to have what was committed on this connection. Where commits do not
/// wait for the disk, that is what is inserted.
pub(crate) fn written(conn: &mut PgConnection) -> QueryResult<Lsn> {
    let asked = diesel::sql_query(
        "select (case pg_catalog.current_setting('synchronous_commit')
                 when 'off' then pg_catalog.pg_current_wal_insert_lsn()
                 else pg_catalog.pg_current_wal_flush_lsn() end)::text as lsn",
    );
    Ok(asked.get_result::<Written>(conn)?.lsn.parse().unwrap_or(Lsn(u64::MAX)))
}
