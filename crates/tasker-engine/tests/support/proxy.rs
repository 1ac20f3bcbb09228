//! A proxy between a worker and its server that loses one answer: the server has done what it was asked for,
//! and the connection ends instead of saying so.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread,
};

use diesel::PgConnection;

use super::texts;

pub(crate) struct Proxy {
    dir: PathBuf,
    /// Answers until one is lost; negative when none is.
    left: Arc<AtomicI64>,
}

impl Proxy {
    /// In front of the server of a connection, where that is reached by a socket in the file system.
    pub(crate) fn start(conn: &mut PgConnection) -> Option<Self> {
        let server = texts(conn, "select trim(both '\"' from current_setting('unix_socket_directories')) || '/.s.PGSQL.' || current_setting('port')").remove(0);
        UnixStream::connect(&server).ok()?;
        let dir = std::env::temp_dir().join(format!("tasker-proxy-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let listener = UnixListener::bind(dir.join(".s.PGSQL.5432")).unwrap();
        let left = Arc::new(AtomicI64::new(-1));
        let counter = left.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&server) else { return };
                let (to_server, from_server) = (server.try_clone().unwrap(), server);
                let (from_client, to_client, counter) =
                    (client.try_clone().unwrap(), client, counter.clone());
                thread::spawn(move || pass(from_client, to_server, || true));
                thread::spawn(move || {
                    pass(from_server, to_client, || counter.fetch_sub(1, Ordering::Relaxed) != 1)
                });
            }
        });
        Some(Self { dir, left })
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@/{database}?host={}", self.dir.display())
    }

    /// The `n`th answer from now on, counted from 1, is lost with its connection.
    pub(crate) fn lose(&self, n: i64) {
        self.left.store(n, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.dir);
    }
}

/// Passes bytes on until one side ends or `goes_on` says no, and then ends both.
fn pass(mut from: UnixStream, mut to: UnixStream, goes_on: impl Fn() -> bool) {
    let mut buffer = [0; 65_536];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || !goes_on() || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    for end in [from, to] {
        let _ended_already = end.shutdown(std::net::Shutdown::Both);
    }
}
