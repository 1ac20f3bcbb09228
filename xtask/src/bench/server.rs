//! Where the figures are taken: a private cluster with full durability and settings that are said, or a server
//! that is named.

use std::fs;

use anyhow::{Context, Result};
use chrono::Utc;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text,
};
use serde::Serialize;
use tasker_engine::db::connect;
use tasker_localpg::{Resolved, Wanted, resolve, with_database};
use tasker_model::migrations;

use crate::database::show;

/// Durability as by default, which a throw-away cluster gives up; memory for a small machine; no compiling of
/// statements, which costs more than it gains below seconds.
const SETTINGS: [(&str, &str); 9] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "1GB"),
    ("work_mem", "64MB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "30min"),
    ("random_page_cost", "1.1"),
    ("jit", "off"),
];

/// A server and the databases made on it.
pub(super) struct Server {
    resolved: Resolved,
}

impl Server {
    pub(super) fn new(database_url: Option<String>) -> Result<Self> {
        Self::with(database_url, &[])
    }

    /// One that counts statements, those inside of functions too.
    pub(super) fn observed(database_url: Option<String>) -> Result<Self> {
        let counting =
            [("shared_preload_libraries", "pg_stat_statements"), ("pg_stat_statements.track", "all")];
        Self::with(database_url, &counting)
    }

    fn with(database_url: Option<String>, more: &[(&str, &str)]) -> Result<Self> {
        let settings = SETTINGS.iter().chain(more);
        let wanted =
            settings.fold(Wanted::throw_away(), |wanted, (name, value)| wanted.setting(*name, *value));
        Ok(Self { resolved: resolve(database_url, &wanted, &mut show)? })
    }

    /// A migrated database of its own, dropped with the value.
    pub(super) fn database(&self, purpose: &str) -> Result<Database> {
        let database = self.empty_database(purpose)?;
        migrations::run_pending(&mut database.connect()?)?;
        Ok(database)
    }

    /// A database without anything of ours, dropped with the value.
    pub(super) fn empty_database(&self, purpose: &str) -> Result<Database> {
        let name = format!("tasker_bench_{}_{purpose}", std::process::id());
        connect(&self.resolved.url)?.batch_execute(&format!("create database {name}"))?;
        let url = with_database(&self.resolved.url, &name);
        Ok(Database { admin: self.resolved.url.clone(), url, name })
    }

    /// What has to be said beside every figure.
    pub(super) fn conditions(&self) -> Result<Conditions> {
        let mut conn = connect(&self.resolved.url)?;
        let mut settings = vec![];
        for (name, _) in SETTINGS.iter().chain(&[("max_parallel_workers_per_gather", "")]) {
            settings.push((*name, text(&mut conn, &format!("select current_setting('{name}') as text"))?));
        }
        Ok(Conditions {
            date: Utc::now().format("%Y-%m-%d").to_string(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib().unwrap_or(0),
            load_average: load().unwrap_or_default(),
            postgresql: text(&mut conn, "select current_setting('server_version') as text")?,
            settings,
        })
    }
}

/// Machine, settings, date.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Conditions {
    pub(super) date: String,
    pub(super) cores: usize,
    pub(super) memory_gib: u64,
    /// Over a minute, when the run began.
    pub(super) load_average: String,
    pub(super) postgresql: String,
    pub(super) settings: Vec<(&'static str, String)>,
}

impl Conditions {
    /// In one sentence.
    pub(super) fn sentence(&self) -> String {
        let settings: Vec<String> = self.settings.iter().map(|(n, v)| format!("{n}={v}")).collect();
        format!(
            "{}: PostgreSQL {}, {} cores, {} GiB, load {} at the start; {}",
            self.date,
            self.postgresql,
            self.cores,
            self.memory_gib,
            self.load_average,
            settings.join(", ")
        )
    }
}

/// The load average of the last minute.
pub(super) fn load() -> Option<String> {
    Some(fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.to_owned())
}

fn memory_gib() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        text.lines().find(|l| l.starts_with("MemTotal"))?.split_whitespace().nth(1)?.parse().ok()?;
    Some((kib + (1 << 19)) >> 20)
}

/// A database for one measurement.
pub(super) struct Database {
    admin: String,
    url: String,
    name: String,
}

impl Database {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn connect(&self) -> Result<PgConnection> {
        Ok(connect(&self.url)?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(mut admin) = connect(&self.admin) {
            let _best_effort =
                admin.batch_execute(&format!("drop database if exists {} with (force)", self.name));
        }
    }
}

/// The one text that a query returns, in a column of that name.
pub(super) fn text(conn: &mut PgConnection, query: &str) -> Result<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let row: Row = sql_query(query).get_result(conn).with_context(|| format!("`{query}` failed"))?;
    Ok(row.text)
}
