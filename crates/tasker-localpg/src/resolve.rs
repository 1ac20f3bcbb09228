//! Decides which database a program works with. Start at [`resolve()`].

use std::fmt;
use std::path::PathBuf;

use crate::cluster::Cluster;
use crate::environment::Environment;
use crate::error::LocalPgError;
use crate::fetch::Fetch;
use crate::home::Home;
use crate::options::{ClusterOptions, Durability};
use crate::progress::Progress;
use crate::redact::redact_url;
use crate::search::Search;
use crate::{FetchError, ServerBinaries};

/// What to start when no database is named.
#[derive(Debug, Clone)]
pub struct Wanted {
    durability: Durability,
    dir: Option<PathBuf>,
    max_connections: Option<u16>,
    settings: Vec<(String, String)>,
    may_fetch: bool,
}

impl Wanted {
    /// A durable cluster in the user's data folder ([`Environment::data_dir`]), fetching a server
    /// where none is installed.
    pub fn durable() -> Wanted {
        Wanted {
            durability: Durability::Durable,
            dir: None,
            max_connections: None,
            settings: vec![],
            may_fetch: true,
        }
    }

    /// A cluster for this run only, fetching a server where none is installed.
    pub fn throw_away() -> Wanted {
        Wanted { durability: Durability::ThrowAway, ..Wanted::durable() }
    }

    /// The durable cluster's directory, or the folder in which to make a throw-away one.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Wanted {
        self.dir = Some(dir.into());
        self
    }

    /// See [`ClusterOptions::max_connections`].
    pub fn max_connections(mut self, connections: u16) -> Wanted {
        self.max_connections = Some(connections);
        self
    }

    /// See [`ClusterOptions::setting`].
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Wanted {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Whether a server may be downloaded if none is installed (default yes).
    pub fn may_fetch(mut self, allowed: bool) -> Wanted {
        self.may_fetch = allowed;
        self
    }
}

/// Where a [`Resolved`] database comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `--database-url`.
    Flag,
    /// The variable `TASKER_DATABASE_URL`.
    TaskerDatabaseUrl,
    /// The variable `DATABASE_URL`.
    DatabaseUrl,
    /// A private cluster.
    Private,
}

impl Origin {
    /// The name of the flag or variable, or `private cluster`.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Flag => "--database-url",
            Origin::TaskerDatabaseUrl => "TASKER_DATABASE_URL",
            Origin::DatabaseUrl => "DATABASE_URL",
            Origin::Private => "private cluster",
        }
    }
}

/// A database to work with. Keep the value: a private server stops when it is dropped.
#[must_use = "a private server stops when this is dropped"]
#[non_exhaustive]
pub struct Resolved {
    /// What to connect to, with its password if it has one; show it through [`redact_url`] only.
    pub url: String,
    /// Who named it.
    pub origin: Origin,
    /// The private cluster, if it is one.
    pub cluster: Option<Cluster>,
}

/// Finds a database in the process's environment; see [`resolve_in`].
pub fn resolve(
    explicit: Option<String>,
    wanted: &Wanted,
    progress: &mut dyn FnMut(Progress),
) -> Result<Resolved, LocalPgError> {
    resolve_in(&Environment::current(), explicit, wanted, progress)
}

/// Finds a database: `explicit` (the value of `--database-url`), else `TASKER_DATABASE_URL`, else
/// `DATABASE_URL`, else a private cluster of an installed server, else one of a fetched server.
///
/// A named database is not connected to here. Empty values count as unset. `progress` is called
/// before whatever takes time; nothing is printed.
pub fn resolve_in(
    env: &Environment,
    explicit: Option<String>,
    wanted: &Wanted,
    progress: &mut dyn FnMut(Progress),
) -> Result<Resolved, LocalPgError> {
    let explicit = explicit.filter(|url| !url.is_empty());
    let named = [
        (Origin::Flag, explicit),
        (Origin::TaskerDatabaseUrl, env.text("TASKER_DATABASE_URL")),
        (Origin::DatabaseUrl, env.text("DATABASE_URL")),
    ];
    for (origin, url) in named {
        if let Some(url) = url {
            return named_database(origin, url);
        }
    }
    let cluster = private_cluster(env, wanted, progress)?;
    Ok(Resolved { url: cluster.url(), origin: Origin::Private, cluster: Some(cluster) })
}

fn named_database(origin: Origin, url: String) -> Result<Resolved, LocalPgError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    let understood = match scheme {
        Some(scheme) => matches!(scheme, "postgres" | "postgresql") || scheme.contains('='),
        None => url.contains('='),
    };
    if !understood {
        return Err(LocalPgError::NotPostgres { origin: origin.name(), url: redact_url(&url) });
    }
    Ok(Resolved { url, origin, cluster: None })
}

fn private_cluster(
    env: &Environment,
    wanted: &Wanted,
    progress: &mut dyn FnMut(Progress),
) -> Result<Cluster, LocalPgError> {
    let options = cluster_options(env, wanted)?;
    let lasting = options.dir.clone().filter(|_| wanted.durability == Durability::Durable);
    let data_version = match &lasting {
        Some(dir) => Home::at(dir)?.data_version(),
        None => None,
    };
    let binaries = find_or_fetch(env, wanted, data_version, progress)?;
    progress(Progress::Starting { dir: lasting, version: binaries.version().to_string() });
    Cluster::start(&binaries, options)
}

fn cluster_options(env: &Environment, wanted: &Wanted) -> Result<ClusterOptions, LocalPgError> {
    let options = match (wanted.durability, &wanted.dir) {
        (Durability::Durable, Some(dir)) => ClusterOptions::durable(dir),
        (Durability::Durable, None) => ClusterOptions::durable(env.data_dir()?),
        (Durability::ThrowAway, Some(parent)) => ClusterOptions::throw_away_in(parent),
        (Durability::ThrowAway, None) => ClusterOptions::throw_away(),
    };
    let options = match wanted.max_connections {
        Some(connections) => options.max_connections(connections),
        None => options,
    };
    Ok(wanted.settings.iter().fold(options, |options, (name, value)| options.setting(name, value)))
}

/// An installed server, preferably of the version that made the data, else a fetched one.
fn find_or_fetch(
    env: &Environment,
    wanted: &Wanted,
    data_version: Option<u32>,
    progress: &mut dyn FnMut(Progress),
) -> Result<ServerBinaries, LocalPgError> {
    let search = Search::in_environment(env);
    let refused = match search.look(data_version) {
        Ok(found) => return Ok(found),
        Err(refused) => refused,
    };
    // Who names a folder wants that server, not another one in its stead.
    if !wanted.may_fetch || search.bindir.is_some() {
        return Err(LocalPgError::NoServer { refused });
    }
    let fetched = Fetch::new(&env.cache_dir()?).path(env.search_path()).run(progress);
    if let Err(FetchError::NoPackage { .. }) = fetched {
        return Err(LocalPgError::NoServer { refused });
    }
    Ok(fetched?)
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolved")
            .field("url", &redact_url(&self.url))
            .field("origin", &self.origin)
            .field("cluster", &self.cluster)
            .finish()
    }
}
