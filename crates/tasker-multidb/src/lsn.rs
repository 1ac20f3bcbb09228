//! Places in the log of a PostgreSQL server, and the token by which a reader sees what it wrote.

use std::{fmt, num::ParseIntError, str::FromStr};

use crate::DatabaseName;

/// A place in the write-ahead log, written `16/B374D848` as PostgreSQL does. Later is greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// A text that is no place in a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a place in the log of a server, such as 16/B374D848")]
pub struct BadLsn;

impl From<ParseIntError> for BadLsn {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for Lsn {
    type Err = BadLsn;

    fn from_str(text: &str) -> Result<Self, BadLsn> {
        let (high, low) = text.split_once('/').ok_or(BadLsn)?;
        let (high, low) = (u32::from_str_radix(high, 16)?, u32::from_str_radix(low, 16)?);
        Ok(Self(u64::from(high) << 32 | u64::from(low)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// What a writer hands to a reader so that the reader sees the write: `NAME@16/B374D848`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReadToken {
    /// The database that was written to.
    pub database: DatabaseName,
    /// What a reader must have.
    pub lsn: Lsn,
}

/// A text that is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a token of a write, such as tasker@16/B374D848")]
pub struct BadToken;

impl FromStr for ReadToken {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let (database, lsn) = text.split_once('@').ok_or(BadToken)?;
        let (database, lsn) = (database.parse().map_err(|_| BadToken)?, lsn.parse().map_err(|_| BadToken)?);
        Ok(Self { database, lsn })
    }
}

impl fmt::Display for ReadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.database, self.lsn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_text() {
        let token: ReadToken = "tasker@16/B374D848".parse().unwrap();
        assert_eq!((&*token.database, token.lsn), ("tasker", Lsn(0x16_B374_D848)));
        assert_eq!(token.to_string().parse(), Ok(token));
        for bad in [
            "",
            "@",
            "tasker",
            "tasker@",
            "tasker@1",
            "tasker@1/",
            "tasker@g/1",
            "T@1/1",
            "tasker@1/123456789",
        ] {
            assert_eq!(bad.parse::<ReadToken>(), Err(BadToken), "{bad}");
        }
    }

    #[test]
    fn later_is_greater() {
        let at = |text: &str| text.parse::<Lsn>().unwrap();
        assert!(at("0/FFFFFFFF") < at("1/0") && at("9/0") < at("A/0"));
    }
}
