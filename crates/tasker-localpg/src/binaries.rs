//! A folder of server programs that was seen to run, and its version.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::account::RunAs;

/// The oldest major version that Tasker works with.
pub const OLDEST_MAJOR: u32 = 14;

const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

/// A PostgreSQL version, such as 15.18 or 19devel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    major: u32,
    text: String,
}

impl Version {
    /// The number before the first dot: the one that a data directory is bound to.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Reads the output of `postgres --version`.
    fn from_program_output(output: &str) -> Option<Version> {
        let text = output.split("(PostgreSQL) ").nth(1)?;
        let text = text.split_whitespace().next()?;
        let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Version { major: digits.parse().ok()?, text: text.to_owned() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A folder that was passed over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The folder.
    pub bindir: PathBuf,
    /// The reason, as a phrase such as `is PostgreSQL 13.2; 14 or newer is needed`.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.bindir.display(), self.reason)
    }
}

/// Server programs (`initdb`, `postgres`, `pg_ctl`) that run on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinaries {
    bindir: PathBuf,
    version: Version,
}

impl ServerBinaries {
    /// Looks at one folder. It is refused unless it holds the three programs, they run as the user
    /// that the server will run as, and the version is at least [`OLDEST_MAJOR`].
    pub fn at(bindir: &Path) -> Result<ServerBinaries, Refused> {
        let refuse = |reason: String| Refused { bindir: bindir.to_owned(), reason };
        if let Some(missing) = PROGRAMS.iter().find(|p| !bindir.join(p).is_file()) {
            return Err(refuse(format!("has no {missing}")));
        }
        let version = version_of(bindir).map_err(&refuse)?;
        if version.major < OLDEST_MAJOR {
            let reason = format!("is PostgreSQL {version}; {OLDEST_MAJOR} or newer is needed");
            return Err(refuse(reason));
        }
        Ok(ServerBinaries { bindir: bindir.to_owned(), version })
    }

    /// The folder.
    pub fn bindir(&self) -> &Path {
        &self.bindir
    }

    /// The version that `postgres --version` told.
    pub fn version(&self) -> &Version {
        &self.version
    }

    pub(crate) fn pg_ctl(&self) -> PathBuf {
        self.bindir.join("pg_ctl")
    }
}

/// Whether the folder holds the three programs, working or not.
pub(crate) fn holds_programs(bindir: &Path) -> bool {
    PROGRAMS.iter().all(|p| bindir.join(p).is_file())
}

fn version_of(bindir: &Path) -> Result<Version, String> {
    let run_as = RunAs::current().map_err(|e| e.to_string())?;
    let output = run_as
        .command(&bindir.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|e| format!("cannot be run by {}: {e}", run_as.name()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Version::from_program_output(&said).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint = complaint.lines().next().unwrap_or("no version was printed");
        format!("does not run here: {complaint}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_and_without_a_minor_number() {
        let read = |text| Version::from_program_output(text).map(|v| v.major());
        assert_eq!(read("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(read("postgres (PostgreSQL) 19devel\n"), Some(19));
        assert_eq!(read("postgres (PostgreSQL) \n"), None);
        assert_eq!(read("psql 15"), None);
    }
}
