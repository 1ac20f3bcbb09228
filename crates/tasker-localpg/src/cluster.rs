//! A private cluster that is up for as long as its value lives. Start at [`Cluster::start`].

use std::fmt;
use std::fs;
use std::path::Path;

use crate::account::RunAs;
use crate::binaries::ServerBinaries;
use crate::error::LocalPgError;
use crate::guardian::{Guardian, Role};
use crate::home::Home;
use crate::locks::{Gate, Share};
use crate::options::{ClusterOptions, Durability};
use crate::server;
use crate::uri::{socket_conninfo, socket_uri};

/// A running server of our own: one Unix socket, no network, superuser `postgres` without password.
///
/// Dropping it stops the server, unless other users of a durable cluster remain; a throw-away
/// cluster is removed as well. The same happens if this process exits or is killed instead.
#[must_use = "the server stops when the cluster is dropped"]
pub struct Cluster {
    home: Home,
    binaries: ServerBinaries,
    run_as: RunAs,
    started: bool,
    /// `None` once the cluster is being left.
    held: Option<Held>,
}

/// What makes us a user of the server.
enum Held {
    Alone(Guardian),
    Shared(Guardian, Share),
}

impl Cluster {
    /// Starts the server, creating the cluster on first use; attaches where the server of a durable
    /// cluster already runs. Blocks until it accepts connections: about a second for a new cluster
    /// and a tenth of one otherwise.
    pub fn start(binaries: &ServerBinaries, options: ClusterOptions) -> Result<Cluster, LocalPgError> {
        let run_as = RunAs::current()?;
        match (options.durability, &options.dir) {
            (Durability::Durable, Some(dir)) => {
                let home = Home::kept(dir, &run_as)?;
                Cluster::share(home, binaries, &options, run_as)
            }
            (_, parent) => {
                let home = Home::fresh(parent.as_deref(), &run_as)?;
                Cluster::own(home, binaries, &options, run_as)
            }
        }
    }

    fn own(
        home: Home,
        binaries: &ServerBinaries,
        options: &ClusterOptions,
        run_as: RunAs,
    ) -> Result<Cluster, LocalPgError> {
        let role = start(&home, options);
        let started = Guardian::spawn(&role, None, binaries, &home, &run_as);
        let guardian = started.inspect_err(|_| {
            let _ = fs::remove_dir_all(home.dir());
        })?;
        Ok(Cluster {
            home,
            binaries: binaries.clone(),
            run_as,
            started: true,
            held: Some(Held::Alone(guardian)),
        })
    }

    fn share(
        home: Home,
        binaries: &ServerBinaries,
        options: &ClusterOptions,
        run_as: RunAs,
    ) -> Result<Cluster, LocalPgError> {
        let gate = Gate::enter(&home, &run_as)?;
        let share = Share::take(&home, &run_as, &gate)?;
        let role = if server::is_running(binaries, &home, &run_as)? {
            server::wait_until_ready(&home)?;
            Role::Attach
        } else {
            same_version(&home, binaries)?;
            start(&home, options)
        };
        let guardian = Guardian::spawn(&role, Some((&gate, &share)), binaries, &home, &run_as)?;
        Ok(Cluster {
            home,
            binaries: binaries.clone(),
            run_as,
            started: role != Role::Attach,
            held: Some(Held::Shared(guardian, share)),
        })
    }

    /// A connection URI for the database `postgres`.
    pub fn url(&self) -> String {
        self.url_for("postgres")
    }

    /// A connection URI for the given database, which may not exist yet.
    pub fn url_for(&self, database: &str) -> String {
        socket_uri(self.home.dir(), database)
    }

    /// The cluster's directory: data, log and socket.
    pub fn dir(&self) -> &Path {
        self.home.dir()
    }

    /// The programs that were given to [`Cluster::start`].
    pub fn binaries(&self) -> &ServerBinaries {
        &self.binaries
    }

    /// True if this value started the server, false if it found it running.
    pub fn was_started_here(&self) -> bool {
        self.started
    }

    /// The server's process id.
    pub fn pid(&self) -> Option<u32> {
        server::pid(&self.home)
    }

    /// Ends the server as a loss of power would (an immediate shutdown, every session is cut) and starts it
    /// again, which recovers from its log. Waits until it accepts connections, or returns while it recovers.
    /// For tests of what survives.
    pub fn crash(&self, wait: bool) -> Result<(), LocalPgError> {
        server::crash(&self.binaries, &self.home, &self.run_as, wait)
    }

    /// Does what dropping does, and tells how it went.
    pub fn close(mut self) -> Result<Closed, LocalPgError> {
        self.leave()
    }

    fn leave(&mut self) -> Result<Closed, LocalPgError> {
        match self.held.take() {
            Some(Held::Alone(guardian)) => self.remove(guardian),
            Some(Held::Shared(guardian, share)) => self.give_back(guardian, share),
            None => Ok(Closed::Stopped),
        }
    }

    fn remove(&self, guardian: Guardian) -> Result<Closed, LocalPgError> {
        if !guardian.stop() {
            server::stop(&self.binaries, &self.home, &self.run_as)?;
        }
        // The guardian may run as a user who can empty the directory but not remove it.
        let dir = self.home.dir();
        match fs::remove_dir_all(dir) {
            Err(e) if dir.exists() => Err(LocalPgError::io("remove", dir, e)),
            _ => Ok(Closed::Stopped),
        }
    }

    fn give_back(&self, guardian: Guardian, share: Share) -> Result<Closed, LocalPgError> {
        let gate = Gate::enter(&self.home, &self.run_as)?;
        if !share.give_back(&gate) {
            guardian.leave();
            return Ok(Closed::StillUsed);
        }
        if !guardian.stop() {
            server::stop(&self.binaries, &self.home, &self.run_as)?;
        }
        Ok(Closed::Stopped)
    }
}

/// What became of the server when its [`Cluster`] was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It is stopped.
    Stopped,
    /// It runs on, for others who use the same durable cluster.
    StillUsed,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // There is nobody to tell; `close` is there for those who want to know.
        let _ = self.leave();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("dir", &self.home.dir())
            .field("version", &self.binaries.version().to_string())
            .field("started_here", &self.started)
            .finish_non_exhaustive()
    }
}

fn start(home: &Home, options: &ClusterOptions) -> Role {
    let primary = options.primary.as_deref().map(socket_conninfo).unwrap_or_default();
    Role::Start { settings: home.settings(options), primary }
}

fn same_version(home: &Home, binaries: &ServerBinaries) -> Result<(), LocalPgError> {
    match home.data_version() {
        Some(data) if data != binaries.version().major() => Err(LocalPgError::VersionMismatch {
            dir: home.dir().to_owned(),
            data,
            server: binaries.version().to_string(),
        }),
        _ => Ok(()),
    }
}
