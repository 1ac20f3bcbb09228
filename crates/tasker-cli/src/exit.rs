//! The exit codes, and the one place that decides which error has which.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the errors of other crates may grow; what is not listed has the code that the arm says"
)]

use std::fmt::Display;

use tasker_config::ConfigReport;
use tasker_engine::{
    db::{DbError, Fault, describe, fault},
    definition::DefinitionErrors,
    submit::SubmitError,
};
use tasker_localpg::{FetchError, LocalPgError};
use tasker_model::migrations::MigrationError;
use tasker_multidb::{ConfigError, DatabaseName, StartError, StartErrors, UnknownDatabase};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok = 0,
    Unexpected = 1,
    Usage = 2,
    TasksFailed = 3,
    BadInput = 4,
    Database = 5,
    Schema = 6,
    Refused = 7,
    Interrupted = 130,
}

impl Exit {
    const ALL: [Self; 9] = [
        Self::Ok,
        Self::Unexpected,
        Self::Usage,
        Self::TasksFailed,
        Self::BadInput,
        Self::Database,
        Self::Schema,
        Self::Refused,
        Self::Interrupted,
    ];

    fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Unexpected => "an unexpected failure",
            Self::Usage => "wrong usage: an unknown flag, a missing argument",
            Self::TasksFailed => "every task settled, and some did not complete",
            Self::BadInput => {
                "bad input: configuration, file, YAML, schema, unset variable, unknown handler, unknown task or step"
            }
            Self::Database => "the database: unreachable, a missing right, no server found",
            Self::Schema => "the schema of the database is older or newer than this program",
            Self::Refused => "refused: the operation is not allowed in this state",
            Self::Interrupted => "interrupted by a signal",
        }
    }

    /// The table of the codes for `--help`.
    pub(crate) fn help() -> String {
        let lines = Self::ALL.map(|e| format!("  {:>3}  {}", e as u8, e.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
}

/// What a command ends with.
pub(crate) type Outcome<T = Exit> = Result<T, Failure>;

impl Failure {
    /// A failure that is fully said by its sentence.
    pub(crate) fn new(exit: Exit, sentence: impl Display) -> Self {
        Self { exit, error: anyhow::anyhow!("{sentence}") }
    }

    /// Something that the user gave cannot be used.
    pub(crate) fn input(sentence: impl Display) -> Self {
        Self::new(Exit::BadInput, sentence)
    }

    /// The SQL that a workflow brings along was refused.
    pub(crate) fn setup(e: diesel::result::Error) -> Self {
        let exit = match fault(&e) {
            Fault::Connection | Fault::ReadOnly | Fault::Conflict => Exit::Database,
            _ if is_denied(&e.to_string()) => Exit::Database,
            _ => Exit::BadInput,
        };
        Self::caused(exit, format!("the workflow's setup failed: {}", describe(&e)), e)
    }

    /// The database of that name is in the way.
    pub(crate) fn of_database(name: &DatabaseName, error: DbError) -> Self {
        let Self { exit, error } = error.into();
        let sentence = format!("database `{name}`: {error}");
        Self { exit, error: error.context(sentence) }
    }

    fn caused(exit: Exit, sentence: impl Display, source: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: source.into().context(sentence.to_string()) }
    }
}

fn of_query(error: &diesel::result::Error) -> Exit {
    let (fault, text) = (fault(error), error.to_string());
    match fault {
        _ if is_denied(&text) => Exit::Database,
        Fault::Statement if text.contains("tasker") => Exit::Schema,
        _ if fault.may_pass() => Exit::Database,
        _ => Exit::Unexpected,
    }
}

/// A right that lacks is told in the server's language alone; another one than English counts as unclear.
fn is_denied(text: &str) -> bool {
    ["permission denied", "must be owner of"].iter().any(|denied| text.contains(denied))
}

impl From<diesel::result::Error> for Failure {
    fn from(e: diesel::result::Error) -> Self {
        Self::caused(of_query(&e), describe(&e), e)
    }
}

impl From<DbError> for Failure {
    fn from(e: DbError) -> Self {
        let exit = match &e {
            DbError::Unreachable(_) | DbError::Forbidden { .. } => Exit::Database,
            DbError::Query(query) => of_query(query),
            _ => Exit::Unexpected,
        };
        Self { exit, error: e.into() }
    }
}

impl From<MigrationError> for Failure {
    fn from(e: MigrationError) -> Self {
        let exit = match &e {
            MigrationError::Pending(_) | MigrationError::Unknown(_) | MigrationError::Changed { .. } => {
                Exit::Schema
            }
            MigrationError::ServerTooOld { .. } => Exit::Database,
            MigrationError::Failed { source, .. } => of_query(source),
            MigrationError::Ledger(source) => return Self::from_ledger(of_query(source), &e),
            _ => Exit::Unexpected,
        };
        Self { exit, error: e.into() }
    }
}

impl Failure {
    fn from_ledger(exit: Exit, e: &MigrationError) -> Self {
        match exit {
            Exit::Database => Self::new(exit, format!("{e}; grant the role the rights on schema tasker")),
            _ => Self::new(exit, e),
        }
    }
}

impl From<LocalPgError> for Failure {
    fn from(e: LocalPgError) -> Self {
        let exit = match &e {
            LocalPgError::NotPostgres { .. } => Exit::BadInput,
            _ => Exit::Database,
        };
        match e {
            LocalPgError::Io { ref source, .. } => {
                let sentence = format!("{e}: {source}");
                Self::caused(exit, sentence, e)
            }
            e => Self { exit, error: e.into() },
        }
    }
}

impl From<FetchError> for Failure {
    fn from(e: FetchError) -> Self {
        LocalPgError::from(e).into()
    }
}

impl From<SubmitError> for Failure {
    fn from(e: SubmitError) -> Self {
        match e {
            SubmitError::Database(query) => query.into(),
            SubmitError::Db(e) => e.into(),
            e => Self { exit: Exit::BadInput, error: e.into() },
        }
    }
}

fn of_start(error: &StartError) -> Exit {
    match error {
        StartError::Unreachable { .. } | StartError::ReadOnly { .. } => Exit::Database,
        StartError::Unmigrated { .. } | StartError::Schema { .. } => Exit::Schema,
        _ => Exit::BadInput,
    }
}

impl From<StartErrors> for Failure {
    fn from(e: StartErrors) -> Self {
        Self { exit: e.0.first().map_or(Exit::Unexpected, of_start), error: e.into() }
    }
}

impl From<StartError> for Failure {
    fn from(e: StartError) -> Self {
        StartErrors::from(e).into()
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        Self { exit: Exit::BadInput, error: e.into() }
    }
}

impl From<UnknownDatabase> for Failure {
    fn from(e: UnknownDatabase) -> Self {
        Self { exit: Exit::BadInput, error: e.into() }
    }
}

impl From<ConfigReport> for Failure {
    fn from(e: ConfigReport) -> Self {
        Self { exit: Exit::BadInput, error: e.into() }
    }
}

impl From<DefinitionErrors> for Failure {
    fn from(e: DefinitionErrors) -> Self {
        Self { exit: Exit::BadInput, error: e.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_readme_has_every_code() {
        let readme = include_str!("../README.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {}", exit as u8, exit.meaning());
            assert!(readme.contains(&row), "{row}");
        }
    }
}
