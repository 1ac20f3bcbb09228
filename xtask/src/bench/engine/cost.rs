//! What the work costs: round trips as Diesel sees them, transactions and write-ahead log as the server counts
//! them, processor time as the kernel counts it for the server's processes.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    connection::{Instrumentation, InstrumentationEvent, SimpleConnection, set_default_instrumentation},
    sql_query,
    sql_types::BigInt,
};

use crate::bench::server::{Database, text};

static QUERIES: AtomicU64 = AtomicU64::new(0);

struct Counter;

impl Instrumentation for Counter {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if matches!(event, InstrumentationEvent::StartQuery { .. }) {
            QUERIES.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Counts the statements of every connection that is opened from now on.
pub(super) fn count_queries() -> Result<()> {
    set_default_instrumentation(|| Some(Box::new(Counter)))?;
    Ok(())
}

/// The figures at one moment.
pub(super) struct Meter {
    queries: u64,
    transactions: i64,
    lsn: String,
    cpu: Option<f64>,
}

/// What happened since then.
pub(super) struct Cost {
    pub(super) round_trips: f64,
    pub(super) transactions: f64,
    /// Bytes of records; without full-page images where the server can tell them apart.
    pub(super) wal_bytes: f64,
    /// Milliseconds of all processes of the server; `None` where it does not run on this machine.
    pub(super) pg_cpu_ms: Option<f64>,
}

impl Meter {
    pub(super) fn start(database: &Database) -> Result<Self> {
        let mut conn = database.connect()?;
        Ok(Self {
            cpu: server_cpu(&mut conn),
            transactions: transactions(&mut conn)?,
            lsn: lsn(&mut conn)?,
            queries: QUERIES.load(Ordering::Relaxed),
        })
    }

    /// To be called when the connections of the work are closed: a session counts when it ends.
    pub(super) fn stop(self, database: &Database) -> Result<Cost> {
        let queries = QUERIES.load(Ordering::Relaxed) - self.queries;
        let mut conn = database.connect()?;
        let cpu = server_cpu(&mut conn);
        Ok(Cost {
            round_trips: queries as f64,
            transactions: (transactions(&mut conn)? - self.transactions) as f64,
            wal_bytes: wal(&mut conn, &self.lsn)? as f64,
            pg_cpu_ms: self.cpu.zip(cpu).map(|(before, after)| (after - before) * 1_000.0),
        })
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn number(conn: &mut PgConnection, query: &str) -> Result<i64> {
    Ok(sql_query(query).get_result::<Number>(conn)?.n)
}

fn transactions(conn: &mut PgConnection) -> Result<i64> {
    number(
        conn,
        "select xact_commit + xact_rollback as n from pg_stat_database where datname = current_database()",
    )
}

fn lsn(conn: &mut PgConnection) -> Result<String> {
    text(conn, "select pg_current_wal_insert_lsn()::text as text")
}

fn wal(conn: &mut PgConnection, since: &str) -> Result<i64> {
    let records = conn.batch_execute("create extension if not exists pg_walinspect").is_ok();
    let until = lsn(conn)?;
    if records {
        conn.batch_execute("checkpoint")?;
        let sizes =
            format!("select sum(record_size)::bigint as n from pg_get_wal_stats('{since}', '{until}')");
        if let Ok(bytes) = number(conn, &sizes) {
            return Ok(bytes);
        }
    }
    number(conn, &format!("select ('{until}'::pg_lsn - '{since}'::pg_lsn)::bigint as n"))
}

/// Seconds of processor time that the server's processes have taken so far, if it runs on this machine.
fn server_cpu(conn: &mut PgConnection) -> Option<f64> {
    let backend = number(conn, "select pg_backend_pid()::bigint as n").ok()?;
    let postmaster = stat(backend)?.parent;
    let children = fs::read_dir("/proc").ok()?.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    let living: f64 = children.filter_map(stat).filter(|s| s.parent == postmaster).map(|s| s.own).sum();
    let parent = stat(postmaster)?;
    Some(living + parent.own + parent.reaped)
}

struct Stat {
    parent: i64,
    own: f64,
    reaped: f64,
}

/// proc(5): fields 4 and 14 to 17, in ticks of a hundredth of a second.
fn stat(pid: i64) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / 100.0,
        reaped: (ticks(13)? + ticks(14)?) / 100.0,
    })
}
