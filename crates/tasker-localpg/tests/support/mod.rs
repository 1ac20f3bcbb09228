//! What the tests share: finding a server, fake programs, and asking a socket whether a server
//! answers there.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tasker_localpg::{Environment, Search, ServerBinaries, fetch};
use tempfile::TempDir;

/// A server to test with: an installed one, else a fetched one. `None` skips the test.
pub(crate) fn server() -> Option<ServerBinaries> {
    if let Some(found) = Search::from_env().find() {
        return Some(found);
    }
    let fetched = Environment::current()
        .cache_dir()
        .map_err(|e| e.to_string())
        .and_then(|cache| fetch(&cache, &mut |_| ()).map_err(|e| e.to_string()));
    match fetched {
        Ok(found) => Some(found),
        Err(why) => {
            skip(&why);
            None
        }
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(why: &str) {
    eprintln!("skipped, since it needs a PostgreSQL server: {why}");
}

/// A folder that the user who runs the server can enter even if we are root, with a short path.
pub(crate) fn folder() -> TempDir {
    let dir = tempfile::Builder::new().prefix("tlp-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Writes an executable shell script.
pub(crate) fn script(dir: &Path, name: &str, text: &str) {
    fs::create_dir_all(dir).unwrap();
    let file = dir.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
}

/// A folder with programs that do nothing but tell a version.
pub(crate) fn fake_server(bindir: &Path, version: &str) -> PathBuf {
    let tell = format!("echo 'postgres (PostgreSQL) {version}'");
    for program in ["initdb", "postgres", "pg_ctl"] {
        script(bindir, program, &tell);
    }
    bindir.to_owned()
}

/// Whether a server takes a session of the superuser over the socket in `dir`.
pub(crate) fn answers(dir: &Path) -> bool {
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let mut message = (8 + parameters.len() as u32).to_be_bytes().to_vec();
    message.extend(196_608_u32.to_be_bytes());
    message.extend(parameters);
    let mut answer = [0];
    UnixStream::connect(dir.join(".s.PGSQL.5432"))
        .and_then(|mut socket| {
            socket.write_all(&message)?;
            socket.read_exact(&mut answer)
        })
        .is_ok_and(|()| answer == *b"R")
}

/// Waits for a condition that another process brings about.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
