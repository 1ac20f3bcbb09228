//! The environment variables that this crate reads, taken once as a value so that a test can hand
//! in its own. Also the folders that follow from them: the cache and the data directory.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::account::RunAs;
use crate::error::LocalPgError;

/// A snapshot of environment variables. An empty variable counts as unset.
///
/// [`Environment::current`] takes the process's own; collecting pairs makes one by hand:
///
/// ```
/// use tasker_localpg::Environment;
/// let env: Environment = [("DATABASE_URL", "")].into_iter().collect();
/// assert_eq!(env.text("DATABASE_URL"), None);
/// ```
#[derive(Clone, Default)]
pub struct Environment(HashMap<OsString, OsString>);

impl Environment {
    /// The process's own variables, as they are now.
    pub fn current() -> Environment {
        std::env::vars_os().collect()
    }

    /// The variable's value as a path, or `None` where it is unset or empty.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// The variable's value as text, or `None` where it is unset, empty or not UTF-8.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.to_str().map(str::to_owned)
    }

    /// The folders of `PATH`, in order.
    pub fn search_path(&self) -> Vec<PathBuf> {
        let path = self.get("PATH").unwrap_or_default();
        std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect()
    }

    /// Where fetched servers are kept: `TASKER_CACHE_DIR`, else the user's cache folder.
    ///
    /// As root it is `/var/cache/tasker`, because the server then runs as another user, who cannot
    /// enter root's home.
    pub fn cache_dir(&self) -> Result<PathBuf, LocalPgError> {
        let root = Path::new("/var/cache/tasker");
        self.folder("TASKER_CACHE_DIR", root, "XDG_CACHE_HOME", ".cache", "")
    }

    /// Where the durable cluster lives: `TASKER_DATA_DIR`, else a folder of the user's own data.
    ///
    /// As root it is `/var/lib/tasker/pg`, for the reason given at [`Environment::cache_dir`].
    pub fn data_dir(&self) -> Result<PathBuf, LocalPgError> {
        let root = Path::new("/var/lib/tasker/pg");
        let share = ".local/share";
        self.folder("TASKER_DATA_DIR", root, "XDG_DATA_HOME", share, "pg")
    }

    fn folder(
        &self,
        own: &'static str,
        for_root: &Path,
        xdg: &str,
        below_home: &str,
        last: &str,
    ) -> Result<PathBuf, LocalPgError> {
        if let Some(dir) = self.path(own) {
            return absolute(&dir);
        }
        if RunAs::is_root() {
            return Ok(for_root.to_owned());
        }
        let base = match self.path(xdg).filter(|dir| dir.is_absolute()) {
            Some(dir) => dir,
            None => self.path("HOME").ok_or(LocalPgError::NoHome { variable: own })?.join(below_home),
        };
        let dir = base.join("tasker");
        Ok(if last.is_empty() { dir } else { dir.join(last) })
    }

    fn get(&self, name: &str) -> Option<&OsStr> {
        let value = self.0.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value.as_os_str())
    }
}

/// Server processes run in `/`, so a relative folder is settled here, once.
pub(crate) fn absolute(dir: &Path) -> Result<PathBuf, LocalPgError> {
    std::path::absolute(dir).map_err(|e| LocalPgError::io("resolve", dir, e))
}

impl std::fmt::Debug for Environment {
    /// Names only: values may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Environment {
        Environment(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}
