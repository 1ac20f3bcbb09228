//! What is at fault when the database refuses: told by what is the same in every language of the server.
//!
//! Diesel passes on the SQLSTATE of a few errors only, as a kind, and the text speaks the server's language.
//! So the rule is turned round: what is known to be the data's or the statement's fault is final, and
//! everything else may pass. That is safe for what may be repeated, as each of the engine's commands may.

use diesel::result::{DatabaseErrorKind, Error as QueryError};

/// Whose fault a refused statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// There was no connection, or it was lost; what was sent may or may not have been committed.
    Connection,
    /// The server takes no writes now: a standby, or one that was made read only.
    ReadOnly,
    /// Another transaction was in the way, and this one was rolled back.
    Conflict,
    /// The database refused and Diesel does not pass on why: a deadlock, a lock or statement timeout, a
    /// cancelled statement, a full disk, and also what a function raised by itself.
    Unclear,
    /// The data violates a constraint: the same data is refused again.
    Data,
    /// The statement does not fit the schema that it met, or may not use it.
    Statement,
    /// The program's: what came back cannot be read, or nothing did.
    Program,
}

impl Fault {
    /// Whether the same work may succeed when it is repeated.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Connection | Self::ReadOnly | Self::Conflict | Self::Unclear)
    }

    /// What happened, for the beginning of a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Connection => "the connection to the database was lost",
            Self::ReadOnly => "the database takes no writes now",
            Self::Conflict => "another transaction was in the way",
            Self::Unclear => "the database refused",
            Self::Data => "the data violates a rule of the database",
            Self::Statement => "the schema of the database does not fit",
            Self::Program => "the database's answer cannot be read",
        }
    }
}

/// Whose fault it is.
pub fn fault(error: &QueryError) -> Fault {
    use DatabaseErrorKind as Kind;
    match error {
        QueryError::DatabaseError(kind, information) => match kind {
            Kind::ClosedConnection | Kind::UnableToSendCommand => Fault::Connection,
            Kind::ReadOnlyTransaction => Fault::ReadOnly,
            Kind::SerializationFailure => Fault::Conflict,
            Kind::UniqueViolation
            | Kind::ForeignKeyViolation
            | Kind::RestrictViolation
            | Kind::NotNullViolation
            | Kind::CheckViolation
            | Kind::ExclusionViolation => Fault::Data,
            // Only what cannot be parsed has a place in the statement's text.
            _ if information.statement_position().is_some() => Fault::Statement,
            _ if is_name_lost(information.message()) => Fault::Statement,
            _ => Fault::Unclear,
        },
        QueryError::BrokenTransactionManager => Fault::Connection,
        QueryError::RollbackErrorOnCommit { commit_error, .. } => fault(commit_error),
        QueryError::InvalidCString(_) | QueryError::SerializationError(_) => Fault::Data,
        _ => Fault::Program,
    }
}

/// Whether a statement that Diesel prepared under a name is not there, or there already: in every language
/// the message gives the name.
fn is_name_lost(message: &str) -> bool {
    message.contains("__diesel_stmt_")
}

/// Whether a statement that failed so may succeed when it is repeated.
pub fn is_transient(error: &QueryError) -> bool {
    fault(error).may_pass()
}

/// Whether the data violates a constraint: the same data is refused again.
pub fn is_violation(error: &QueryError) -> bool {
    fault(error) == Fault::Data
}

/// What a refused statement means, as a sentence with the database's hint where it gives one.
pub fn describe(error: &QueryError) -> String {
    let QueryError::DatabaseError(_, information) = error else { return error.to_string() };
    let message = information.message().trim();
    let sentence = match fault(error) {
        Fault::Statement if is_name_lost(message) => {
            return format!(
                "a pooler of transactions in between does not keep named statements ({message}); connect with unnamed statements (`--statements unnamed`)"
            );
        }
        // A name of Tasker's is in the message whatever the language of the rest.
        Fault::Statement if message.contains("tasker") => {
            return format!(
                "Tasker's schema is not there or not open to this role ({message}); run `tasker migrate`"
            );
        }
        Fault::ReadOnly => {
            return format!(
                "{} ({message}); name the server that does in the URL, or all of them with target_session_attrs=read-write",
                Fault::ReadOnly.sentence()
            );
        }
        f @ (Fault::Connection | Fault::Conflict) => format!("{}: {}", f.sentence(), one_line(message)),
        _ => message.to_owned(),
    };
    match information.hint() {
        Some(hint) => format!("{sentence} ({hint})"),
        None => sentence,
    }
}

/// A lost connection is told by libpq in several lines.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: DatabaseErrorKind, message: &str) -> QueryError {
        QueryError::DatabaseError(kind, Box::new(message.to_owned()))
    }

    #[test]
    fn what_is_not_known_to_be_final_may_pass_in_every_language() {
        use DatabaseErrorKind as Kind;
        for (kind, expected) in [
            (Kind::ClosedConnection, Fault::Connection),
            (Kind::UnableToSendCommand, Fault::Connection),
            (Kind::ReadOnlyTransaction, Fault::ReadOnly),
            (Kind::SerializationFailure, Fault::Conflict),
            (Kind::Unknown, Fault::Unclear),
            (Kind::UniqueViolation, Fault::Data),
            (Kind::CheckViolation, Fault::Data),
        ] {
            let error = error(kind, "Verklemmung entdeckt");
            assert_eq!(fault(&error), expected);
            assert_eq!(is_transient(&error), !is_violation(&error), "{expected:?}");
        }
        assert_eq!(fault(&QueryError::BrokenTransactionManager), Fault::Connection);
        assert_eq!(fault(&QueryError::NotFound), Fault::Program);
    }

    #[test]
    fn the_sentence_says_what_happened_whatever_the_language() {
        let lost = error(DatabaseErrorKind::ClosedConnection, "server closed\n\tthe connection\n");
        assert_eq!(describe(&lost), "the connection to the database was lost: server closed the connection");
        let standby = describe(&error(DatabaseErrorKind::ReadOnlyTransaction, "nur lesend"));
        assert!(standby.starts_with("the database takes no writes now (nur lesend); "), "{standby}");
    }
}
