//! Why a database could not be used, in sentences that say what to do and hold no password.

use tasker_model::migrations::MigrationError;

use crate::{ConfigError, DatabaseName, DatabaseUrl};

/// Why work on a database did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// No connection within the time that the configuration gives.
    #[error("database `{name}` cannot be reached: {reason}")]
    Unreachable {
        /// The database.
        name: DatabaseName,
        /// Why, in libpq's words.
        reason: String,
    },
    /// The database refused a statement, or the connection was lost.
    #[error("database `{name}` refused: {source}")]
    Query {
        /// The database.
        name: DatabaseName,
        /// What it said.
        source: diesel::result::Error,
    },
}

/// Why the databases cannot be used as they are configured, found at the start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Mistakes that can be seen without a connection.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A writing role cannot be reached.
    #[error(
        "database `{name}` ({url}) cannot be reached: {reason}; start it, or correct `database.databases.{name}.url`"
    )]
    Unreachable {
        /// The database.
        name: DatabaseName,
        /// Where it should be.
        url: DatabaseUrl,
        /// Why, in libpq's words.
        reason: String,
    },
    /// A writing role takes no writes.
    #[error(
        "database `{name}` ({url}) takes no writes; write the server that does into `database.databases.{name}.url`, or all of them with target_session_attrs=read-write"
    )]
    ReadOnly {
        /// The database.
        name: DatabaseName,
        /// Where it is.
        url: DatabaseUrl,
    },
    /// Tasker's schema is missing or old.
    #[error(
        "database `{name}` ({url}) lacks Tasker's schema or a part of it ({}); run `tasker database migrate`, or correct `database.databases.{name}.url`", .pending.join(", ")
    )]
    Unmigrated {
        /// The database.
        name: DatabaseName,
        /// Where it is.
        url: DatabaseUrl,
        /// The migrations that it lacks.
        pending: Vec<String>,
    },
    /// Tasker's schema is of another version, or migrating failed.
    #[error("database `{name}` ({url}): {source}")]
    Schema {
        /// The database.
        name: DatabaseName,
        /// Where it is.
        url: DatabaseUrl,
        /// What is wrong.
        source: MigrationError,
    },
    /// A reading role reads another database than the writing role writes.
    #[error(
        "reading role `{replica}` of database `{name}` ({url}) is no replica of the writing role: {reason}; correct `database.databases.{name}.reading.{replica}.url`, or take it out"
    )]
    NotAReplica {
        /// The database.
        name: DatabaseName,
        /// The reading role.
        replica: DatabaseName,
        /// Where it is.
        url: DatabaseUrl,
        /// What tells.
        reason: &'static str,
    },
}

/// Everything that is wrong at the start.
#[derive(Debug)]
pub struct StartErrors(pub Vec<StartError>);

impl std::error::Error for StartErrors {}

impl std::fmt::Display for StartErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let [only] = &self.0[..] {
            return only.fmt(f);
        }
        write!(f, "the databases cannot be used, {} problems:", self.0.len())?;
        self.0.iter().try_for_each(|error| write!(f, "\n- {error}"))
    }
}

impl From<StartError> for StartErrors {
    fn from(error: StartError) -> Self {
        Self(vec![error])
    }
}

impl From<ConfigError> for StartErrors {
    fn from(error: ConfigError) -> Self {
        StartError::from(error).into()
    }
}
