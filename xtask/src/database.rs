//! Scratch databases for commands: on the server named, or on a throw-away cluster.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};
use diesel::{RunQueryDsl, sql_query};
use tasker_engine::db::connect;
use tasker_localpg::{Cluster, Environment, Progress, Resolved, Wanted, resolve, resolve_in, with_database};
use tasker_model::migrations;

/// A migrated database that is dropped with the value, and the server that it is on.
pub(crate) struct Scratch {
    pub(crate) url: String,
    name: String,
    server: Arc<Resolved>,
}

/// What makes a throw-away cluster as durable, and its commits as slow, as an ordinary one.
const DURABLE: [(&str, &str); 3] =
    [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")];

impl Scratch {
    /// A migrated database on the named server, else on a cluster that ends with the value.
    pub(crate) fn new(database_url: Option<String>) -> Result<Self> {
        Self::on(resolve(database_url, &Wanted::throw_away().max_connections(200), &mut show)?.into())
    }

    /// The same on a cluster with ordinary durability.
    pub(crate) fn durable(database_url: Option<String>) -> Result<Self> {
        // Sessions of killed processes stay until the server notices.
        let wanted = Wanted::throw_away().max_connections(400);
        let wanted = DURABLE.iter().fold(wanted, |wanted, (name, value)| wanted.setting(*name, *value));
        Self::on(resolve(database_url, &wanted, &mut show)?.into())
    }

    /// The same on a server that nobody else uses, with further settings.
    pub(crate) fn of_its_own(settings: &[(&str, &str)]) -> Result<Self> {
        let wanted = DURABLE.iter().chain(settings);
        let wanted = wanted.fold(Wanted::throw_away(), |wanted, (name, value)| wanted.setting(*name, *value));
        let environment: Environment = std::env::vars_os()
            .filter(|(name, _)| name != "TASKER_DATABASE_URL" && name != "DATABASE_URL")
            .collect();
        Self::on(resolve_in(&environment, None, &wanted, &mut show)?.into())
    }

    /// The cluster that it is on, where that was started for it.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.server.cluster.as_ref()
    }

    /// Another one on the same server.
    pub(crate) fn another(&self) -> Result<Self> {
        Self::on(self.server.clone())
    }

    fn on(server: Arc<Resolved>) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tasker_scratch_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
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
        // A throw-away cluster that ends now takes its databases with it.
        if (self.server.cluster.is_none() || Arc::strong_count(&self.server) > 1)
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
