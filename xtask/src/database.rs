//! Scratch databases for commands: on the server named, or on a throw-away cluster.

use anyhow::{Context, Result};
use diesel::{RunQueryDsl, sql_query};
use tasker_engine::db::connect;
use tasker_localpg::{Progress, Resolved, Wanted, resolve, with_database};
use tasker_model::migrations;

/// A migrated database that is dropped with the value, and the server that it is on.
pub(crate) struct Scratch {
    pub(crate) url: String,
    name: String,
    server: Resolved,
}

impl Scratch {
    /// A migrated database on the named server, else on a cluster that ends with the value.
    pub(crate) fn new(database_url: Option<String>) -> Result<Self> {
        let server = resolve(database_url, &Wanted::throw_away().max_connections(200), &mut show)?;
        let name = format!("tasker_scratch_{}", std::process::id());
        let mut admin = connect(&server.url)?;
        sql_query(format!("create database {name}"))
            .execute(&mut admin)
            .context("A scratch database cannot be made; the role needs the right to create one")?;
        let scratch = Self { url: with_database(&server.url, &name), name, server };
        migrations::run_pending(&mut connect(&scratch.url)?)?;
        Ok(scratch)
    }

    /// What to say about where it is.
    pub(crate) fn describe(&self) -> String {
        match &self.server.cluster {
            Some(cluster) => {
                format!("PostgreSQL {}, a private cluster for this run", cluster.binaries().version())
            }
            None => format!("the server of {}", self.server.origin.name()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A throw-away cluster takes its databases with it.
        if self.server.cluster.is_none()
            && let Ok(mut admin) = connect(&self.server.url)
        {
            let _best_effort =
                sql_query(format!("drop database if exists {} with (force)", self.name)).execute(&mut admin);
        }
    }
}

/// Says what takes time.
pub(crate) fn show(progress: Progress) {
    eprintln!("{progress}");
}
