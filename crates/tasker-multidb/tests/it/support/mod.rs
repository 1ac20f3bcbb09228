//! Servers and databases of the tests, and a wait that ends when something is so.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::Text,
};
use tasker_localpg::{Cluster, ClusterOptions, Search, ServerBinaries};
use tasker_multidb::{DatabaseConfig, NamedDatabase, ReplicaConfig, UrlSource};

fn binaries() -> ServerBinaries {
    Search::from_env().find().expect("tests need PostgreSQL's programs")
}

/// A new cluster.
pub(crate) fn cluster(options: ClusterOptions) -> Cluster {
    Cluster::start(&binaries(), options).unwrap_or_else(|e| panic!("{e}"))
}

/// One of two primaries that live as long as the tests.
pub(crate) fn primary(number: usize) -> &'static Cluster {
    static BOTH: [OnceLock<Cluster>; 2] = [OnceLock::new(), OnceLock::new()];
    BOTH[number].get_or_init(|| cluster(ClusterOptions::throw_away()))
}

/// The URL of a new and empty database.
pub(crate) fn empty(cluster: &Cluster) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("d{}", COUNT.fetch_add(1, Ordering::Relaxed));
    execute(&mut connect(&cluster.url()), &format!("create database {name}"));
    cluster.url_for(&name)
}

/// The URL of a new database with Tasker's schema.
pub(crate) fn migrated(cluster: &Cluster) -> String {
    let url = empty(cluster);
    tasker_model::migrations::run_pending(&mut connect(&url)).unwrap_or_else(|e| panic!("{e}"));
    url
}

pub(crate) fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn execute(conn: &mut PgConnection, sql: &str) {
    conn.batch_execute(sql).unwrap_or_else(|e| panic!("`{sql}` failed: {e}"));
}

/// The text that a query gives.
pub(crate) fn text(conn: &mut PgConnection, sql: &str) -> diesel::QueryResult<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        text: String,
    }
    Ok(diesel::sql_query(format!("select ({sql})::text as text")).get_result::<Row>(conn)?.text)
}

/// A configuration of databases at these URLs, by name.
pub(crate) fn config(databases: &[(&str, &str)]) -> DatabaseConfig {
    let mut config = DatabaseConfig::default();
    for (name, url) in databases {
        config.databases.insert(name.parse().unwrap(), NamedDatabase::at(*url));
    }
    config
}

/// How far behind a replica of [`with_replica`] may be.
pub(crate) const BOUND: Duration = Duration::from_millis(1_500);

/// The same with a replica of the database called `primary`, within [`BOUND`].
pub(crate) fn with_replica(url: &str, replica: &str) -> DatabaseConfig {
    let mut config = config(&[("primary", url)]);
    let database = config.databases.get_mut("primary").unwrap();
    database.lag_bound_ms = 1_500;
    let role = ReplicaConfig { url: Some(UrlSource::text(replica)), ..ReplicaConfig::default() };
    database.reading.insert("replica".parse().unwrap(), role);
    config
}

/// Waits until it is so, for three minutes at most.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within three minutes");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// What this thread logs from here on, until the guard is dropped.
pub(crate) fn logged() -> (tracing::subscriber::DefaultGuard, Arc<Mutex<Vec<u8>>>) {
    struct Into(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Into {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Arc::<Mutex<Vec<u8>>>::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || Into(writer.clone())).finish();
    (tracing::subscriber::set_default(subscriber), lines)
}
