//! Asks about, and stops, the server of a durable cluster without becoming its user.

use std::path::{Path, PathBuf};

use crate::account::RunAs;
use crate::binaries::ServerBinaries;
use crate::error::LocalPgError;
use crate::home::Home;
use crate::locks::Gate;
use crate::server;
use crate::uri::socket_uri;

/// The state of a cluster's directory at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The cluster's directory.
    pub dir: PathBuf,
    /// PostgreSQL's own directory inside it.
    pub data_dir: PathBuf,
    /// The server's log since its last start.
    pub log: PathBuf,
    /// The major version that made the data; `None` if the cluster was never created.
    pub data_version: Option<u32>,
    /// The server's process id; `None` if it does not run.
    pub pid: Option<u32>,
    /// A connection URI for the database `postgres`; `None` if the server does not run.
    pub url: Option<String>,
}

impl Status {
    /// Whether the server runs.
    pub fn is_running(&self) -> bool {
        self.pid.is_some()
    }
}

/// Looks at the cluster in `dir`. It changes nothing, and a directory that is not there is no error.
pub fn status(binaries: &ServerBinaries, dir: &Path) -> Result<Status, LocalPgError> {
    let home = Home::at(dir)?;
    let running = server::is_running(binaries, &home, &RunAs::current()?)?;
    let pid = server::pid(&home).filter(|_| running);
    Ok(Status {
        data_dir: home.data(),
        log: home.log(),
        data_version: home.data_version(),
        url: pid.map(|_| socket_uri(home.dir(), "postgres")),
        pid,
        dir: home.dir().to_owned(),
    })
}

/// Stops the server of the cluster in `dir`, even if others use it; true if one ran.
///
/// Open sessions are ended; what they committed is kept. Waits for a start that is under way.
pub fn stop(binaries: &ServerBinaries, dir: &Path) -> Result<bool, LocalPgError> {
    let home = Home::at(dir)?;
    if home.data_version().is_none() {
        return Ok(false);
    }
    let run_as = RunAs::current()?;
    let _gate = Gate::enter(&home, &run_as)?;
    server::stop(binaries, &home, &run_as)
}
