//! The version of a workflow: three numbers, compared as numbers.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A semantic version of three numbers, ordered as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// Incompatible changes.
    pub major: u32,
    /// Compatible additions.
    pub minor: u32,
    /// Compatible corrections.
    pub patch: u32,
}

/// Why a text is not a [`Version`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "version {0:?} is not three whole numbers of at most nine digits with dots between, such as \"1.0.0\""
)]
pub struct VersionError(
    /// The text.
    pub String,
);

/// What the column of the database takes: nine digits.
const MAX_PART: u32 = 999_999_999;

impl Version {
    /// `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Whether it can be stored.
    pub(super) fn in_range(self) -> bool {
        [self.major, self.minor, self.patch].iter().all(|part| *part <= MAX_PART)
    }
}

impl Default for Version {
    /// 0.1.0.
    fn default() -> Self {
        Self::new(0, 1, 0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        parse(text).ok_or_else(|| VersionError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(part);
    let version = Version::new(parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}

/// Digits only, and no leading zero: one version has one spelling.
fn part(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|n| plain && *n <= MAX_PART)
}

impl TryFrom<&str> for Version {
    type Error = VersionError;

    fn try_from(text: &str) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl From<Infallible> for VersionError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_numbers() {
        let sorted = ["0.9.10", "0.10.0", "2.0.0", "10.0.0"].map(|v| v.parse::<Version>().unwrap());
        assert!(sorted.is_sorted());
        assert_eq!(sorted[1].to_string(), "0.10.0");
    }

    #[test]
    fn refuses_everything_but_three_numbers() {
        for bad in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "1.0.x",
            "v1.0.0",
            "1.0.-1",
            "+1.0.0",
            "01.0.0",
            " 1.0.0",
            "1..0",
            "1.0.1000000000",
        ] {
            let error = bad.parse::<Version>().unwrap_err();
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
        assert_eq!("0.0.999999999".parse::<Version>().unwrap().patch, 999_999_999);
    }
}
