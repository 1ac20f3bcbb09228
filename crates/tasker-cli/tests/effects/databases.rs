//! The sections `database` and `health`: where commands work, and what pools do.

use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::Text,
};
use tasker_config::Config;
use tasker_localpg::{Cluster, ClusterOptions, Search};
use tasker_multidb::{Database, Databases, Host};
use tasker_testkit::TestDatabase;

use super::{ONE, configured, unnamed, until};
use crate::support::Bench;

/// The section with these databases.
fn section(lines: &str, databases: &[(&str, &str)]) -> String {
    let each = databases.iter().map(|(name, url)| format!("[database.databases.{name}]\nurl = \"{url}\"\n"));
    format!("[database]\n{lines}\n{}", each.collect::<String>())
}

/// A bench with two databases, and in which of them a task is after it was submitted.
fn submitted(config: impl Fn(&str, &str) -> String) -> [i64; 2] {
    let (one, two) = (Bench::new(), Bench::new());
    one.file("w.yaml", ONE);
    unnamed(&one, &config(one.database.url(), two.database.url()), &["submit", "w.yaml"]).expect(0);
    [&one, &two].map(|bench| bench.count("select count(*) as n from tasker.tasks"))
}

pub(crate) fn secondary() {
    let config = |enabled: &'static str| {
        move |one: &str, two: &str| {
            section(&format!("name = \"tasker\"\n{enabled}"), &[("primary", one), ("tasker", two)])
        }
    };
    assert_eq!(submitted(config("enable_secondary_database = true")), [0, 1]);
    assert_eq!(submitted(config("")), [1, 0]);
}

pub(crate) fn name() {
    let config = |name: &'static str| {
        move |one: &str, two: &str| {
            let lines = format!("enable_secondary_database = true\nname = \"{name}\"");
            section(&lines, &[("primary", one), ("tasker", two)])
        }
    };
    assert_eq!(submitted(config(":tasker")), [0, 1]);
    assert_eq!(submitted(config("primary")), [1, 0]);
}

pub(crate) fn primary() {
    let config =
        |line: &'static str| move |one: &str, two: &str| section(line, &[("primary", one), ("other", two)]);
    assert_eq!(submitted(config("primary = \"other\"")), [0, 1]);
    assert_eq!(submitted(config("")), [1, 0]);
}

pub(crate) fn url() {
    assert_eq!(submitted(|_, two| section("", &[("primary", two)])), [0, 1]);
    assert_eq!(submitted(|one, _| section("", &[("primary", one)])), [1, 0]);
}

pub(crate) fn on_missing() {
    let bench = Bench::new();
    let config = |line: &str| {
        let lines = format!("enable_secondary_database = true\nname = \"nonexistent_db\"\n{line}");
        section(&lines, &[("primary", bench.database.url())])
    };
    let ran = unnamed(&bench, &config("on_missing = \"use_primary\""), &["task", "list"]).expect(0);
    assert!(ran.err.contains("secondary database 'nonexistent_db' is enabled but not found"), "{ran:?}");
    let ran = unnamed(&bench, &config(""), &["task", "list"]).expect(4);
    assert!(
        ran.err.contains("database.name is `nonexistent_db`, which `databases` does not have"),
        "{ran:?}"
    );
}

/// The databases of a configuration with one at a URL, whose section has further lines.
fn databases(url: &str, lines: &str) -> Databases {
    let text = format!("[database.databases.primary]\nurl = \"{url}\"\n{lines}");
    let config = Config::builder().toml("t", text).build().unwrap_or_else(|report| panic!("{report}"));
    Databases::open(config.database()).unwrap()
}

pub(crate) fn namespaces() {
    let config = Config::builder().toml(
        "t",
        section(
            "[database.namespaces]\nshop = \"tasker\"",
            &[("primary", "postgres://db/a"), ("tasker", "postgres://db/b")],
        ),
    );
    let databases = Databases::open(config.build().unwrap().database()).unwrap();
    assert_eq!(databases.for_namespace("shop").name().as_str(), "tasker");
    assert_eq!(databases.for_namespace("else").name().as_str(), "primary");
}

/// A connection of a pool, however busy the machine is that makes it.
fn taken(pool: &Database<Host>) -> tasker_multidb::Connection<Host> {
    let taken = std::cell::RefCell::new(None);
    until("the pool has a connection", || {
        *taken.borrow_mut() = pool.writing().ok();
        taken.borrow().is_some()
    });
    taken.into_inner().unwrap()
}

pub(crate) fn connections() {
    let database = TestDatabase::new();
    let pool =
        |lines: &str| databases(database.url(), &format!("checkout_timeout_ms = 200\n{lines}")).primary();
    let (one, many) = (pool("connections = 1"), pool(""));
    let (_first, _another) = (taken(&one), taken(&many));
    assert!(one.writing().is_err());
    taken(&many);
}

pub(crate) fn checkout_timeout() {
    let database = TestDatabase::new();
    let pool = |timeout: u32| {
        databases(database.url(), &format!("connections = 1\ncheckout_timeout_ms = {timeout}")).primary()
    };
    let impatient = pool(10);
    let _first = taken(&impatient);
    assert!(impatient.writing().is_err());
    // The connection comes back while the second one waits.
    let patient = pool(600_000);
    let first = taken(&patient);
    let waiting = thread::spawn(move || patient.writing().is_ok());
    thread::sleep(Duration::from_millis(100));
    drop(first);
    assert!(waiting.join().unwrap());
}

pub(crate) fn application_name() {
    let seen = |lines: &str| {
        let database = TestDatabase::new();
        let pool = databases(database.url(), lines).primary();
        pool.write(|conn| text(conn, "current_setting('application_name')")).unwrap()
    };
    assert_eq!(seen("application_name = \"shop floor\""), "shop floor");
    assert_eq!(seen(""), "tasker");
    let said = recorded("application_name = \"shop floor\"");
    assert!(said.contains("application_name\0shop floor\0"), "{said:?}");
}

pub(crate) fn statements() {
    assert!(recorded("").contains("__diesel_stmt"));
    assert!(!recorded("statements = \"unnamed\"").contains("__diesel_stmt"));
}

/// What a command sends to the server, through a proxy that reads along.
fn recorded(lines: &str) -> String {
    let bench = Bench::new();
    let conn = &mut bench.database.connection();
    let server = text(conn, "trim(both '\"' from current_setting('unix_socket_directories')) || '/.s.PGSQL.' || current_setting('port')").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join(".s.PGSQL.5432")).unwrap();
    let sent = Arc::new(Mutex::new(vec![]));
    let heard = Arc::clone(&sent);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = UnixStream::connect(&server).unwrap();
            let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let heard = Arc::clone(&heard);
            thread::spawn(move || {
                pass(from_client, to_server, |bytes| heard.lock().unwrap().extend_from_slice(bytes))
            });
            thread::spawn(move || pass(server, client, |_| ()));
        }
    });
    let url = format!("postgres://postgres@/{}?host={}", bench.database.name(), dir.path().display());
    let config = format!("[database.databases.primary]\nurl = \"{url}\"\n{lines}");
    unnamed(&bench, &config, &["task", "list"]).expect(0);
    let sent = sent.lock().unwrap();
    String::from_utf8_lossy(&sent).into_owned()
}

fn pass(mut from: UnixStream, mut to: UnixStream, hear: impl Fn(&[u8])) {
    let mut buffer = [0; 65_536];
    while let Ok(n) = from.read(&mut buffer) {
        hear(&buffer[..n]);
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    for end in [from, to] {
        let _ended_already = end.shutdown(std::net::Shutdown::Both);
    }
}

/// A server that takes connections and never says anything.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "postgres://postgres@{}/x?sslmode=disable&gssencmode=disable",
        listener.local_addr().unwrap()
    );
    (listener, url)
}

pub(crate) fn connect_timeout() {
    let (_listener, url) = silent();
    let bench = Bench::new();
    let check = |seconds: u32| {
        let config = format!(
            "[health]\nreadiness_timeout_seconds = 6\n[database.databases.primary]\nurl = \"{url}\"\nconnect_timeout_seconds = {seconds}"
        );
        unnamed(&bench, &config, &["config", "check", "--connect"]).expect(5).err
    };
    assert!(check(1).contains("timeout expired"));
    assert!(check(300).contains("did not answer within 6 s"));
}

pub(crate) fn readiness_timeout() {
    let bench = Bench::new();
    let (_listener, url) = silent();
    let config =
        format!("[health]\nreadiness_timeout_seconds = 0.2\n[database.databases.primary]\nurl = \"{url}\"");
    let ran = unnamed(&bench, &config, &["config", "check", "--connect"]).expect(5);
    assert!(ran.err.contains("did not answer within 0.2 s"), "{ran:?}");
    let ran = configured(&bench, "", &["config", "check", "--connect"]).expect(0);
    assert!(ran.out.contains("the database answers, and its schema fits"), "{ran:?}");
}

/// A primary with a streaming replica, and the database that reads of it.
struct Pair {
    primary: Cluster,
    standby: Cluster,
}

impl Pair {
    fn start() -> Self {
        let start = |options| Cluster::start(&Search::from_env().find().unwrap(), options).unwrap();
        let primary = start(ClusterOptions::throw_away().setting("synchronous_commit", "local"));
        let standby = start(ClusterOptions::standby_of(&primary));
        Self { primary, standby }
    }

    fn database(&self, lines: &str, reading: &str) -> Database<Host> {
        let url = self.standby.url();
        let lines =
            format!("{lines}\n[database.databases.primary.reading.replica]\nurl = \"{url}\"\n{reading}");
        databases(&self.primary.url(), &lines).primary()
    }
}

fn is_read(database: &Database<Host>) -> bool {
    database.replicas()[0].is_read
}

fn from_standby(database: &Database<Host>) -> bool {
    database.read(|conn| text(conn, "pg_is_in_recovery()")).unwrap() == "true"
}

pub(crate) fn lag_bound() {
    let pair = Pair::start();
    let (near, far) = (pair.database("lag_bound_ms = 100", ""), pair.database("lag_bound_ms = 86400000", ""));
    until("both read the replica", || is_read(&near) && is_read(&far));
    PgConnection::establish(&pair.standby.url())
        .unwrap()
        .batch_execute("select pg_wal_replay_pause()")
        .unwrap();
    near.write(|conn| text(conn, "txid_current()")).unwrap();
    until("it is too late for the one", || !is_read(&near));
    assert!(is_read(&far) && from_standby(&far) && !from_standby(&near));
}

pub(crate) fn replica_url() {
    let database = TestDatabase::new();
    let reading = |url: &str| {
        let lines = format!("[database.databases.primary.reading.replica]\nurl = \"{url}\"");
        databases(database.url(), &lines).primary()
    };
    let problem = |database: &Database<Host>| database.replicas()[0].problem.clone();
    let there = reading(database.url());
    until("one is reached", || problem(&there).is_none());
    let (listener, _) = silent();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let nowhere = reading(&format!("postgres://{address}/x"));
    until("the other one is not", || problem(&nowhere).is_some_and(|why| why.contains("refused")));
}

pub(crate) fn replica_connections() {
    let pair = Pair::start();
    // One reads while another one does: from the replica if it has a second connection.
    let second = |reading: &str| {
        let database = pair.database("", reading);
        until("the replica is read", || is_read(&database));
        let inner = database.clone();
        let mut within = None;
        let outer = database.read(|conn| {
            within = Some(from_standby(&inner));
            text(conn, "pg_is_in_recovery()")
        });
        (outer.unwrap(), within)
    };
    assert_eq!(second("connections = 1"), ("true".into(), Some(false)));
    assert_eq!(second(""), ("true".into(), Some(true)));
}

fn text(conn: &mut PgConnection, sql: &str) -> diesel::QueryResult<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        text: String,
    }
    Ok(diesel::sql_query(format!("select ({sql})::text as text")).get_result::<Row>(conn)?.text)
}
