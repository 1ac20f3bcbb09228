//! The directory of one cluster: what is in it, who owns it, and the settings file.
//!
//! `data` is PostgreSQL's own; `tasker.conf` is written anew at each start and included by
//! `postgresql.conf`; `log` is the server's log since its start; `start.lock` and `users.lock` are
//! explained in `locks.rs`; the server's socket stands beside them.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::account::{RunAs, create_public};
use crate::environment::absolute;
use crate::error::LocalPgError;
use crate::options::{ClusterOptions, Durability};
use crate::uri::PORT;

/// The longest path of a socket: `sun_path` without its final zero.
const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A cluster's directory, checked to be one that a server can work in.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// The directory without a look at the disk; for asking about it.
    pub(crate) fn at(dir: &Path) -> Result<Home, LocalPgError> {
        let dir = absolute(dir)?;
        let usable = dir.to_str().is_some_and(|dir| !dir.contains(['\n', '\r']));
        if !usable {
            return Err(LocalPgError::UnusablePath { dir });
        }
        let home = Home(dir);
        let socket = home.socket();
        if socket.as_os_str().len() > SOCKET_PATH_LIMIT {
            let limit = SOCKET_PATH_LIMIT;
            return Err(LocalPgError::SocketPathTooLong { socket, limit });
        }
        Ok(home)
    }

    /// The lasting directory at `dir`, made if need be, with mode 0700 and the server's owner.
    pub(crate) fn kept(dir: &Path, run_as: &RunAs) -> Result<Home, LocalPgError> {
        let home = Home::at(dir)?;
        let parent = home.0.parent().unwrap_or(Path::new("/"));
        create_public(parent).map_err(|e| LocalPgError::io("create", parent, e))?;
        match DirBuilder::new().mode(0o700).create(&home.0) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(LocalPgError::io("create", &home.0, e)),
            _ => home.hand_over(run_as),
        }
    }

    /// A new directory below `parent`, or below the first usable folder for temporary files.
    pub(crate) fn fresh(parent: Option<&Path>, run_as: &RunAs) -> Result<Home, LocalPgError> {
        if let Some(parent) = parent {
            return Home::make_fresh(parent, run_as);
        }
        // `TMPDIR` may be long or private to root; `/tmp` is neither.
        Home::make_fresh(&std::env::temp_dir(), run_as)
            .or_else(|_| Home::make_fresh(Path::new("/tmp"), run_as))
    }

    fn make_fresh(parent: &Path, run_as: &RunAs) -> Result<Home, LocalPgError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("tasker-pg-{}-{number}", std::process::id());
            let home = Home::at(&parent.join(name))?;
            match DirBuilder::new().mode(0o700).create(&home.0) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(LocalPgError::io("create", &home.0, e)),
                Ok(()) => {
                    return home.hand_over(run_as).inspect_err(|_| {
                        let _ = fs::remove_dir(&home.0);
                    });
                }
            }
        }
    }

    fn hand_over(&self, run_as: &RunAs) -> Result<Home, LocalPgError> {
        fs::set_permissions(&self.0, Permissions::from_mode(0o700))
            .and_then(|()| run_as.own(&self.0))
            .map_err(|e| LocalPgError::io("set the owner of", &self.0, e))?;
        if run_as.can_enter(&self.0) {
            return Ok(self.clone());
        }
        Err(LocalPgError::NotTraversable { dir: self.0.clone(), user: run_as.name().to_owned() })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Where the server writes its log.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    fn socket(&self) -> PathBuf {
        self.0.join(format!(".s.PGSQL.{PORT}"))
    }

    /// The major version that made the data; `None` before the first start.
    pub(crate) fn data_version(&self) -> Option<u32> {
        let text = fs::read_to_string(self.data().join("PG_VERSION")).ok()?;
        text.trim().parse().ok()
    }

    /// The text of `tasker.conf`. The guardian writes it: we may be root, and root should not write
    /// into a directory in which another user can place links.
    pub(crate) fn settings(&self, options: &ClusterOptions) -> String {
        settings(&self.0, options)
    }
}

/// A file rather than `pg_ctl -o`, whose value goes through a shell.
fn settings(dir: &Path, options: &ClusterOptions) -> String {
    let mut lines = vec![
        "# Written by tasker at each start; changes are lost.".to_owned(),
        "listen_addresses = ''".to_owned(),
        format!("port = {PORT}"),
        format!("unix_socket_directories = {}", quoted_folder(dir)),
        format!("max_connections = {}", options.max_connections),
    ];
    if !options.autovacuum {
        lines.push("autovacuum = off".to_owned());
    }
    if options.durability == Durability::ThrowAway {
        let unsafe_but_fast = ["fsync", "synchronous_commit", "full_page_writes"];
        lines.extend(unsafe_but_fast.map(|name| format!("{name} = off")));
    }
    let own = |(name, value): &(String, String)| format!("{name} = {}", quoted(value));
    lines.extend(options.settings.iter().map(own));
    lines.join("\n") + "\n"
}

/// A value as a string of the settings file, whose lines it cannot leave.
fn quoted(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
    format!("'{value}'")
}

/// The setting is a list, so the folder is quoted as a member of it and then as a string.
fn quoted_folder(dir: &Path) -> String {
    let member = dir.to_string_lossy().replace('"', "\"\"");
    quoted(&format!("\"{member}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_quotes_and_commas_stays_one_folder() {
        let quoted = quoted_folder(Path::new(r#"/tmp/a, "b" 'c'"#));
        assert_eq!(quoted, r#"'"/tmp/a, ""b"" ''c''"'"#);
    }

    #[test]
    fn only_a_throw_away_cluster_gives_up_safety() {
        let dir = Path::new("/tmp/x");
        let text = settings(dir, &ClusterOptions::durable(dir).max_connections(7));
        assert!(text.contains("max_connections = 7\n") && !text.contains("fsync"));
        assert!(settings(dir, &ClusterOptions::throw_away()).contains("fsync = off\n"));
    }

    #[test]
    fn a_setting_comes_last_and_stays_in_its_line() {
        let options = ClusterOptions::throw_away()
            .setting("fsync", "on")
            .setting("application_name", "it's\nfsync = off");
        let text = settings(Path::new("/tmp/x"), &options);
        let ends = "fsync = 'on'\napplication_name = 'it''s\\nfsync = off'\n";
        assert!(text.contains("fsync = off\n") && text.ends_with(ends), "{text}");
    }
}
