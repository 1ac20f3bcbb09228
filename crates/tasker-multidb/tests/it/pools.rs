//! Connections that were lost, and servers that take no writes any more, are not lent again.

use tasker_multidb::{Databases, NamedDatabase};

use crate::support::{config, connect, empty, execute, primary, text};

const TERMINATE: &str = "select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()";

#[test]
fn a_lost_connection_is_not_lent_again() {
    let url = empty(primary(0));
    let database = Databases::open(&config(&[("primary", &url)])).unwrap().primary();
    let both = (database.writing().unwrap(), database.writing().unwrap());
    execute(&mut connect(&url), TERMINATE);
    drop(both);
    for _ in 0..3 {
        database.write(|conn| text(conn, "1")).unwrap();
    }
    // Of two that are lost while they are idle, the first one that fails gives the other one away.
    drop((database.writing().unwrap(), database.writing().unwrap()));
    execute(&mut connect(&url), TERMINATE);
    let error = database.write(|conn| text(conn, "1")).unwrap_err().to_string();
    assert!(error.starts_with("database `primary` refused: "), "{error}");
    for _ in 0..3 {
        database.write(|conn| text(conn, "1")).unwrap();
    }
}

#[test]
fn a_server_that_takes_no_writes_any_more_is_asked_again() {
    let url = empty(primary(0));
    let mut config = config(&[]);
    config
        .databases
        .insert("primary".parse().unwrap(), NamedDatabase { connections: 1, ..NamedDatabase::at(&url) });
    let database = Databases::open(&config).unwrap().primary();
    // What a demotion looks like to a session that it leaves alone.
    database.write(|conn| text(conn, "set_config('default_transaction_read_only', 'on', false)")).unwrap();
    let error = database.write(create).unwrap_err().to_string();
    assert!(error.contains("read-only transaction"), "{error}");
    database.write(create).expect("another connection");
}

fn create(conn: &mut diesel::PgConnection) -> diesel::QueryResult<()> {
    diesel::connection::SimpleConnection::batch_execute(conn, "create table t ()")
}
