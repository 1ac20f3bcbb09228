//! One look at the run: how fast, how late, how big.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Double, Nullable, Timestamptz},
};
use serde::Serialize;

/// What was seen at one time.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Sample {
    /// Since the steady load began.
    pub(super) seconds: f64,
    /// Settled since the last sample.
    pub(super) steps_per_s: f64,
    /// From submission to end, of the tasks that settled since the last sample.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Tasks that had not settled.
    pub(super) open: i64,
    /// The worker's memory; 0 where the system does not say.
    pub(super) rss_kib: u64,
    /// All tables with their indexes.
    pub(super) tables_bytes: i64,
    /// Row versions that vacuum has not removed yet.
    pub(super) dead_rows: i64,
}

impl Sample {
    pub(super) fn sentence(&self) -> String {
        format!(
            "{:>5.0} s  {:>7.0} steps/s  p50 {:>6.1} ms  p99 {:>6.1} ms  {:>5} open  worker {:>6.1} MiB  tables {:>7.1} MiB  {} dead rows",
            self.seconds,
            self.steps_per_s,
            self.p50_ms,
            self.p99_ms,
            self.open,
            self.rss_kib as f64 / 1024.0,
            self.tables_bytes as f64 / 1_048_576.0,
            self.dead_rows
        )
    }
}

pub(super) struct Sampler {
    conn: PgConnection,
    worker: u32,
    since: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Now {
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    settled: i64,
    #[diesel(sql_type = Nullable<Double>)]
    p50: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    p99: Option<f64>,
    #[diesel(sql_type = BigInt)]
    open: i64,
    #[diesel(sql_type = BigInt)]
    tables: i64,
    #[diesel(sql_type = BigInt)]
    dead: i64,
}

const LOOK: &str = "
    select count(*) as settled, percentile_cont(0.5) within group (order by ms) as p50, percentile_cont(0.99) within group (order by ms) as p99,
      (select count(*) from tasker.tasks where finished_at is null) as open,
      (select sum(pg_total_relation_size(c.oid))::bigint from pg_class c where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'r') as tables,
      (select coalesce(sum(n_dead_tup), 0)::bigint from pg_stat_user_tables where schemaname = 'tasker') as dead
    from (
      select extract(epoch from finished_at - created_at)::float8 * 1e3 as ms from tasker.tasks
      where state = 'complete' and finished_at > $1 and finished_at <= $2) x";

impl Sampler {
    pub(super) fn new(conn: PgConnection, worker: u32) -> Self {
        Self { conn, worker, since: DateTime::UNIX_EPOCH }
    }

    /// What is counted is counted from now on.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.since = self.now()?;
        Ok(())
    }

    fn now(&mut self) -> Result<DateTime<Utc>> {
        Ok(sql_query("select clock_timestamp() as now").get_result::<Now>(&mut self.conn)?.now)
    }

    pub(super) fn take(&mut self, elapsed: Duration) -> Result<Sample> {
        let until = self.now()?;
        let row: Row = sql_query(LOOK)
            .bind::<Timestamptz, _>(self.since)
            .bind::<Timestamptz, _>(until)
            .get_result(&mut self.conn)
            .context("The run cannot be looked at")?;
        let seconds = (until - self.since).as_seconds_f64();
        self.since = until;
        Ok(Sample {
            seconds: elapsed.as_secs_f64().round(),
            steps_per_s: (row.settled as f64 * 4.0 / seconds).round(),
            p50_ms: tenths(row.p50.unwrap_or(0.0)),
            p99_ms: tenths(row.p99.unwrap_or(0.0)),
            open: row.open,
            rss_kib: rss_kib(self.worker).unwrap_or(0),
            tables_bytes: row.tables,
            dead_rows: row.dead,
        })
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn rss_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find(|l| l.starts_with("VmRSS"))?.split_whitespace().nth(1)?.parse().ok()
}
