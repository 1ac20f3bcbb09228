//! What kind of cluster to start, and where.

use std::path::{Path, PathBuf};

use crate::cluster::Cluster;

/// Whether what is written has to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// The directory is kept, and PostgreSQL's own safe defaults hold (`fsync` and so on). Several
    /// processes may use the same directory at once.
    Durable,
    /// A fresh directory that is removed at the end. A crash of the machine may lose anything, so
    /// `fsync`, `synchronous_commit` and `full_page_writes` are off. It belongs to one owner.
    ThrowAway,
}

/// How to start a [`Cluster`](crate::Cluster).
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    pub(crate) durability: Durability,
    /// Durable: the cluster's directory. Throw-away: where to make it; `None` is the system's
    /// folder for temporary files.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) max_connections: u16,
    pub(crate) autovacuum: bool,
    pub(crate) settings: Vec<(String, String)>,
    /// The directory of the cluster whose copy this is to be.
    pub(crate) primary: Option<PathBuf>,
}

impl ClusterOptions {
    /// A cluster that lives in `dir`, which is made on first use. 100 connections.
    pub fn durable(dir: impl AsRef<Path>) -> ClusterOptions {
        ClusterOptions {
            durability: Durability::Durable,
            dir: Some(dir.as_ref().to_owned()),
            max_connections: 100,
            autovacuum: true,
            settings: vec![],
            primary: None,
        }
    }

    /// A cluster for this run only, in the system's folder for temporary files. 100 connections.
    pub fn throw_away() -> ClusterOptions {
        ClusterOptions {
            durability: Durability::ThrowAway,
            dir: None,
            max_connections: 100,
            autovacuum: true,
            settings: vec![],
            primary: None,
        }
    }

    /// A cluster for this run only, in a new directory below `parent`.
    pub fn throw_away_in(parent: impl AsRef<Path>) -> ClusterOptions {
        ClusterOptions { dir: Some(parent.as_ref().to_owned()), ..ClusterOptions::throw_away() }
    }

    /// A throw-away streaming standby of a running cluster, which must outlive its first start: a copy of it that
    /// replays its log and answers reads, until it is promoted (`select pg_promote()`). The primary sees it under
    /// its setting `cluster_name`.
    pub fn standby_of(primary: &Cluster) -> ClusterOptions {
        ClusterOptions { primary: Some(primary.dir().to_owned()), ..ClusterOptions::throw_away() }
    }

    /// How many connections the server takes at once (1 or more; default 100). It holds when this
    /// process starts the server, not when it attaches to a running one.
    pub fn max_connections(mut self, connections: u16) -> ClusterOptions {
        self.max_connections = connections.max(1);
        self
    }

    /// Whether the server vacuums and analyzes by itself (default yes). Tests whose plans must not
    /// change under them turn it off. It holds like [`ClusterOptions::max_connections`].
    pub fn autovacuum(mut self, on: bool) -> ClusterOptions {
        self.autovacuum = on;
        self
    }

    /// A setting of the server, by the name that PostgreSQL has for it. It stands after everything that is
    /// set otherwise, so it wins: `fsync` makes a throw-away cluster as slow as a durable one, for
    /// measurements. A name or value that PostgreSQL refuses keeps the server from starting. It holds like
    /// [`ClusterOptions::max_connections`].
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> ClusterOptions {
        self.settings.push((name.into(), value.into()));
        self
    }
}
