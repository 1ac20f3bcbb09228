//! The only list of durable states and of kinds of failure. The database's domains hold the same words,
//! and a test holds the two lists equal. Which transition is legal is not decided here.

use std::{fmt, str::FromStr};

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, Output, ToSql},
    sql_types::Text,
};
use serde::{Deserialize, Serialize};

/// A word that the database does not know either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {what}; known are {known}")]
pub struct UnknownWord {
    /// What was read.
    pub word: String,
    /// What it should have been.
    pub what: &'static str,
    /// The words that there are.
    pub known: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, AsExpression, FromSqlRow,
        )]
        #[diesel(sql_type = Text)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word that the database stores.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|s| s.as_str() == word).ok_or_else(|| UnknownWord {
                    word: word.into(),
                    what: $what,
                    known: Self::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }

        impl ToSql<Text, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <str as ToSql<Text, Pg>>::to_sql(self.as_str(), out)
            }
        }

        impl FromSql<Text, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                Ok(<String as FromSql<Text, Pg>>::from_sql(value)?.parse()?)
            }
        }
    };
}

words!(
    /// Durable state of a step; everything finer is derived.
    StepState, "state of a step" {
        /// Not attempted since its creation, release or last retry.
        Pending = "pending",
        /// Claimed by a worker that holds a lease.
        InProgress = "in_progress",
        /// Its attempt succeeded.
        Complete = "complete",
        /// Its last attempt failed; another may follow.
        Error = "error",
        /// Ended by a cancellation.
        Cancelled = "cancelled",
        /// Declared done by a person, or skipped.
        ResolvedManually = "resolved_manually",
    }
);

words!(
    /// Durable state of a task; everything finer is derived.
    TaskState, "state of a task" {
        /// None of its steps has been claimed since its creation or last retry.
        Pending = "pending",
        /// A step has been claimed and not all has ended; it may be waiting.
        InProgress = "in_progress",
        /// Every step is complete or resolved_manually.
        Complete = "complete",
        /// Nothing can run any more, and not every step is done.
        Error = "error",
        /// Ended by a cancellation.
        Cancelled = "cancelled",
        /// Declared done by a person.
        ResolvedManually = "resolved_manually",
    }
);

words!(
    /// How an attempt failed.
    FailureKind, "kind of failure" {
        /// Another attempt may help.
        Retryable = "retryable",
        /// No attempt will help.
        Permanent = "permanent",
        /// The step's timeout ended it.
        Timeout = "timeout",
        /// The handler panicked.
        Panic = "panic",
        /// The worker's lease ran out while it ran.
        LostLease = "lost_lease",
    }
);

impl StepState {
    /// Whether it satisfies the step's children.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Complete | Self::ResolvedManually)
    }

    /// Whether only an operator leads out of it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::ResolvedManually | Self::Cancelled)
    }
}

impl TaskState {
    /// Whether its steps may still be claimed.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::InProgress)
    }
}
