//! A streaming replica: read within its bound, left when it falls behind or goes, taken again when it is back.

use std::sync::{Arc, Barrier};

use diesel::{PgConnection, QueryResult, connection::SimpleConnection};
use tasker_localpg::{Cluster, ClusterOptions};
use tasker_multidb::{Database, Databases, Host};

use crate::support::{BOUND, cluster, connect, empty, execute, text, until, with_replica};

struct Pair {
    database: Database<Host>,
    primary: Cluster,
    standby: Option<Cluster>,
    name: String,
}

impl Pair {
    fn start() -> Self {
        Self::start_as("postgres")
    }

    /// The program connects as this role.
    fn start_as(role: &str) -> Self {
        let primary = cluster(ClusterOptions::throw_away().setting("synchronous_commit", "local"));
        let url = empty(&primary);
        let standby = cluster(ClusterOptions::standby_of(&primary));
        let name = text(&mut connect(&url), "current_database()").unwrap();
        let of_role = |url: String| url.replacen("postgres://postgres@", &format!("postgres://{role}@"), 1);
        let (url, replica) = (of_role(url), of_role(standby.url_for(&name)));
        if role != "postgres" {
            execute(&mut connect(&primary.url()), &format!("create role {role} login"));
        }
        let database = Databases::open(&with_replica(&url, &replica)).unwrap().primary();
        Self { database, primary, standby: Some(standby), name }
    }

    fn on_standby(&self) -> PgConnection {
        connect(&self.standby.as_ref().unwrap().url())
    }

    fn is_read(&self) -> bool {
        self.database.replicas()[0].is_read
    }

    fn problem(&self) -> String {
        self.database.replicas()[0].problem.clone().unwrap_or_default()
    }
}

fn is_standby(conn: &mut PgConnection) -> QueryResult<String> {
    text(conn, "pg_is_in_recovery()")
}

#[test]
fn a_replica_is_read_within_its_bound_and_left_beyond_it() {
    let pair = Pair::start();
    let read = || pair.database.read(is_standby).unwrap();
    assert_eq!(read(), "false", "nothing is known of it yet");
    until("the replica is fresh", || pair.is_read());
    assert_eq!(read(), "true");

    // Nothing is written, so it has everything, however long that lasts.
    execute(&mut connect(&pair.primary.url()), "select pg_switch_wal()");
    let begun = std::time::Instant::now();
    until("the bound passes, twice", || begun.elapsed() > 2 * BOUND);
    until("an idle primary makes no replica old", || pair.is_read());
    assert_eq!(read(), "true");

    execute(&mut pair.on_standby(), "select pg_wal_replay_pause()");
    pair.database.write(|conn| text(conn, "select txid_current()")).unwrap();
    execute(&mut connect(&pair.primary.url_for(&pair.name)), "create table seen (n int)");
    until("it falls behind", || !pair.is_read());
    assert_eq!(read(), "false");
    assert_eq!(pair.database.read(|conn| text(conn, "to_regclass('seen')")).unwrap(), "seen");

    execute(&mut pair.on_standby(), "select pg_wal_replay_resume()");
    until("it is back", || pair.is_read());
    assert_eq!(read(), "true");
    assert_eq!(pair.database.read(|conn| text(conn, "to_regclass('seen')")).unwrap(), "seen");
}

#[test]
fn a_writer_reads_what_it_wrote() {
    let pair = Pair::start();
    pair.database.write(|conn| text(conn, "1")).unwrap();
    execute(&mut connect(&pair.primary.url_for(&pair.name)), "create table notes (n int)");
    until("the replica is fresh", || pair.is_read());
    execute(&mut pair.on_standby(), "select pg_wal_replay_pause()");
    let insert = |conn: &mut PgConnection| {
        diesel::RunQueryDsl::execute(diesel::sql_query("insert into notes values (1)"), conn)
    };
    let (_, token) = pair.database.write_for_token(insert).unwrap();
    let count = |conn: &mut PgConnection| Ok((is_standby(conn)?, text(conn, "select count(*) from notes")?));
    // However fresh the replica counts, it does not have the row.
    assert_eq!(pair.database.read_after(&token, count).unwrap(), ("false".into(), "1".into()));
    execute(&mut pair.on_standby(), "select pg_wal_replay_resume()");
    until("the replica has it", || pair.database.read_after(&token, count).unwrap().0 == "true");
    assert_eq!(pair.database.read_after(&token, count).unwrap(), ("true".into(), "1".into()));
    let elsewhere: tasker_multidb::ReadToken = "other@0/1".parse().unwrap();
    assert_eq!(pair.database.read_after(&elsewhere, count).unwrap().0, "false");
}

#[test]
fn a_replica_that_goes_is_left_at_once_and_taken_again() {
    let pair = Pair::start();
    until("the replica is fresh", || pair.is_read());
    assert_eq!(pair.database.read(is_standby).unwrap(), "true");
    let together = Arc::new(Barrier::new(2));
    let reader = {
        let (database, together) = (pair.database.clone(), together.clone());
        std::thread::spawn(move || {
            let mut tries = 0;
            let answer = database.read(|conn| {
                tries += 1;
                if tries == 1 {
                    // In the middle of a read the replica is cut off.
                    together.wait();
                    together.wait();
                }
                is_standby(conn)
            });
            (answer.unwrap(), tries)
        })
    };
    together.wait();
    pair.standby.as_ref().unwrap().crash(true).unwrap();
    together.wait();
    assert_eq!(reader.join().unwrap(), ("false".into(), 2));
    until("it is taken again", || pair.is_read());
    assert_eq!(pair.database.read(is_standby).unwrap(), "true");
}

#[test]
fn a_replica_that_was_promoted_is_not_read() {
    let pair = Pair::start();
    until("the replica is fresh", || pair.is_read());
    execute(&mut pair.on_standby(), "select pg_promote()");
    until("it is found out", || pair.problem() == "it is a primary itself");
    assert!(!pair.is_read());
    assert_eq!(pair.database.read(is_standby).unwrap(), "false");
}

#[test]
fn a_write_by_mistake_fails_on_every_role() {
    // Freshness is told without any right.
    let pair = Pair::start_as("plain");
    let create = || {
        let work = |conn: &mut PgConnection| conn.batch_execute("create table t ()");
        pair.database.read(work).unwrap_err().to_string()
    };
    let on_primary = create();
    until("the replica is fresh", || pair.is_read());
    for said in [on_primary, create()] {
        assert!(said.contains("cannot execute CREATE TABLE in a read-only transaction"), "{said}");
    }
}

#[test]
fn a_replica_of_a_primary_that_lost_its_office_is_not_read() {
    let old = cluster(ClusterOptions::throw_away());
    let name = text(&mut connect(&empty(&old)), "current_database()").unwrap();
    execute(&mut connect(&old.url_for(&name)), "create table notes (text text)");
    let (next, left) = (cluster(ClusterOptions::standby_of(&old)), cluster(ClusterOptions::standby_of(&old)));
    let both = format!(
        "postgres://postgres@/{name}?host={},{}&port=5432",
        old.dir().display().to_string().replace('/', "%2F"),
        next.dir().display().to_string().replace('/', "%2F")
    );
    let database = Databases::open(&with_replica(&both, &left.url_for(&name))).unwrap().primary();
    until("the replica is fresh", || database.replicas()[0].is_read);

    // One standby misses what the other one gets, and becomes the primary.
    execute(&mut connect(&next.url()), "alter system set primary_conninfo = ''");
    execute(&mut connect(&next.url()), "select pg_reload_conf()");
    until("it is cut off", || {
        text(&mut connect(&next.url()), "select count(*) from pg_stat_wal_receiver").unwrap() == "0"
    });
    execute(
        &mut connect(&old.url_for(&name)),
        "insert into notes select repeat(i::text, 1000) from generate_series(1, 2000) i",
    );
    let count = "select count(*) from notes";
    until("the other one has it", || text(&mut connect(&left.url_for(&name)), count).unwrap() == "2000");
    drop(old);
    execute(&mut connect(&next.url()), "select pg_promote()");

    until("it is found out", || {
        let problem = database.replicas()[0].problem.clone().unwrap_or_default();
        problem == "it is ahead of the writing role and follows another primary"
    });
    assert!(!database.replicas()[0].is_read);
    assert_eq!(database.read(|conn| text(conn, count)).unwrap(), "0");
}

#[test]
fn the_watch_ends_with_its_database() {
    let mut pair = Pair::start();
    until("the replica is fresh", || pair.is_read());
    let watchers =
        "select count(*) from pg_stat_activity where application_name = 'tasker' and state is not null";
    let mut conn = pair.on_standby();
    assert_ne!(text(&mut conn, watchers).unwrap(), "0");
    let other =
        Databases::open(&with_replica("postgres:///x?host=%2Fnowhere", "postgres:///x?host=%2Fnowhere"));
    pair.database = other.unwrap().primary();
    until("no connection is left", || text(&mut conn, watchers).unwrap() == "0");
    drop(pair.standby.take());
}
