//! Where server programs are looked for, in which order. Start at [`Search::find`].

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::binaries::{Refused, ServerBinaries, holds_programs};
use crate::environment::Environment;
use crate::fetch;

/// The folders in which packagers put a server's programs; a `*` stands for a version.
const USUAL_FOLDERS: [&str; 9] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/local/pgsql/bin",
];

/// The places to look for a server, as a value. The order is that of the fields.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// `PG_BINDIR`: the one folder to use. Nothing else is looked at when it is set.
    pub bindir: Option<PathBuf>,
    /// Folders that may hold the programs themselves, or a `pg_config` that knows where they are.
    pub path: Vec<PathBuf>,
    /// Folders to list, newest version first; one component of each may hold a `*`.
    pub usual: Vec<PathBuf>,
    /// The cache that fetched servers are kept in.
    pub cache: Option<PathBuf>,
}

impl Search {
    /// The search of this process; see [`Search::in_environment`].
    pub fn from_env() -> Search {
        Search::in_environment(&Environment::current())
    }

    /// The search that the given variables ask for: `PG_BINDIR`, `PATH`, the usual folders and the
    /// cache; with `TASKER_PG_SEARCH=cache` the cache alone, as if no server were installed.
    pub fn in_environment(env: &Environment) -> Search {
        let cache = env.cache_dir().ok();
        if env.text("TASKER_PG_SEARCH").as_deref() == Some("cache") {
            return Search { cache, ..Search::default() };
        }
        Search {
            bindir: env.path("PG_BINDIR"),
            path: env.search_path(),
            usual: USUAL_FOLDERS.map(PathBuf::from).to_vec(),
            cache,
        }
    }

    /// The first server that can be used.
    pub fn find(&self) -> Option<ServerBinaries> {
        self.look(None).ok()
    }

    /// The first server of the given major version, else the first that can be used, else every
    /// folder that looked like a server and why it was refused (in search order; may be empty).
    pub fn look(&self, major: Option<u32>) -> Result<ServerBinaries, Vec<Refused>> {
        let mut refused = Vec::new();
        let mut first = None;
        for bindir in self.candidates() {
            match ServerBinaries::at(&bindir) {
                Ok(found) if major.is_none_or(|m| m == found.version().major()) => {
                    return Ok(found);
                }
                Ok(found) => first = first.or(Some(found)),
                Err(why) => refused.push(why),
            }
        }
        first.ok_or(refused)
    }

    /// The folders that hold the server's programs, in search order, each once.
    ///
    /// An explicit [`Search::bindir`] is named even if it holds none, so that its absence is told.
    pub fn candidates(&self) -> Vec<PathBuf> {
        if let Some(bindir) = &self.bindir {
            return vec![bindir.clone()];
        }
        let listed = self.usual.iter().flat_map(|pattern| expand(pattern));
        let cached = self.cache.iter().flat_map(|dir| fetch::bindirs_in(dir));
        let mut found: Vec<PathBuf> = Vec::new();
        for dir in self.path.iter().cloned().chain(self.pg_config_bindir()).chain(listed).chain(cached) {
            if holds_programs(&dir) && !found.contains(&dir) {
                found.push(dir);
            }
        }
        found
    }

    fn pg_config_bindir(&self) -> Option<PathBuf> {
        let program = program_in(&self.path, "pg_config")?;
        let mut command = Command::new(program);
        command.arg("--bindir").stdin(Stdio::null()).stderr(Stdio::null());
        // A program that is being replaced is busy for a moment.
        let busy = |e: &std::io::Error| e.kind() == std::io::ErrorKind::ExecutableFileBusy;
        let mut output = command.output();
        for _ in 0..20 {
            if !output.as_ref().is_err_and(busy) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            output = command.output();
        }
        let output = output.ok()?;
        let said = String::from_utf8_lossy(&output.stdout);
        (!said.trim().is_empty()).then(|| PathBuf::from(said.trim()))
    }
}

/// The first file of that name in the folders.
pub(crate) fn program_in(path: &[PathBuf], name: &str) -> Option<PathBuf> {
    path.iter().map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// The folders that a pattern stands for, highest version first.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let star = |part: &OsStr| part.as_encoded_bytes().contains(&b'*');
    let parts: Vec<&OsStr> = pattern.iter().collect();
    let Some(at) = parts.iter().position(|part| star(part)) else {
        return vec![pattern.to_owned()];
    };
    let parent: PathBuf = parts[..at].iter().collect();
    let below: PathBuf = parts[at + 1..].iter().collect();
    let mut versions: Vec<(Vec<u32>, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = matched(&entry.file_name(), parts[at])?;
            Some((numbers(&version), entry.path().join(&below)))
        })
        .collect();
    versions.sort_by_key(|(version, dir)| Reverse((version.clone(), dir.clone())));
    versions.into_iter().map(|(_, dir)| dir).collect()
}

/// What the `*` stands for in this name, if the rest of it fits.
fn matched(name: &OsStr, pattern: &OsStr) -> Option<String> {
    let (before, after) = pattern.to_str()?.split_once('*')?;
    let version = name.to_str()?.strip_prefix(before)?.strip_suffix(after)?;
    Some(version.to_owned())
}

/// `9.6` sorts below `15`, and what is no version, such as `latest`, below both.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|n| n.parse().ok()).collect()
}
