//! Keeps the promise that a server does not outlive those who use it, even if they are killed.
//!
//! A process cannot act after its own SIGKILL, so each user of a server has a small `sh` beside it
//! that holds the other end of a socket pair: see `guardian.sh`. It also starts the server, so that no
//! moment exists in which a server is up and unguarded.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::account::RunAs;
use crate::binaries::ServerBinaries;
use crate::error::LocalPgError;
use crate::home::Home;
use crate::locks::{Gate, Share};
use crate::server;

/// What the guardian does first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Creates the cluster if it is new, and starts its server.
    Start {
        /// The text of its settings.
        settings: String,
        /// A connection string of the cluster to copy, or nothing.
        primary: String,
    },
    /// Only watches: the server is up.
    Attach,
}

/// The process that outlives us. If the value is forgotten, it acts when this process ends.
#[derive(Debug)]
pub(crate) struct Guardian {
    process: Child,
    socket: UnixStream,
}

impl Guardian {
    /// Returns once the server is up. `locks` are those of a cluster that can have other users; the
    /// guardian holds them with us, so that the gate stays shut until the server is up, and the
    /// share is taken until the guardian has seen to it, whenever we die.
    pub(crate) fn spawn(
        role: &Role,
        locks: Option<(&Gate, &Share)>,
        binaries: &ServerBinaries,
        home: &Home,
        run_as: &RunAs,
    ) -> Result<Guardian, LocalPgError> {
        let sh = Path::new("/bin/sh");
        let run = || -> io::Result<Guardian> {
            let (socket, theirs) = UnixStream::pair()?;
            let (gate, share) = match locks {
                Some((gate, share)) => (gate.for_child()?, share.for_child()?),
                None => (Stdio::null(), Stdio::null()),
            };
            let process = run_as
                .command(sh)
                .args(["-c", include_str!("guardian.sh"), "tasker-guardian"])
                .args([role.word(), if locks.is_some() { "shared" } else { "alone" }])
                .args([binaries.bindir(), home.dir()])
                .args(role.start())
                // The terminal's Ctrl-C goes to our process group and must not end the guardian.
                .process_group(0)
                .stdin(OwnedFd::from(theirs))
                .stdout(gate)
                .stderr(share)
                .spawn()?;
            Ok(Guardian { process, socket })
        };
        let guardian = run().map_err(|e| LocalPgError::io("run", sh, e))?;
        let error = match guardian.first_word().as_str() {
            "up" => return Ok(guardian),
            "create" => failed("create", home, "start.log"),
            _ => failed("start", home, "log"),
        };
        guardian.leave();
        Err(error)
    }

    fn first_word(&self) -> String {
        let mut line = String::new();
        // An unreadable answer is an empty one: the caller takes it for a failure.
        let _ = BufReader::new(&self.socket).read_line(&mut line);
        line.trim().to_owned()
    }

    /// Has the server stopped, and a throw-away cluster removed. False if that failed.
    pub(crate) fn stop(self) -> bool {
        self.finish("stop\n")
    }

    /// Leaves the server to its other users.
    pub(crate) fn leave(self) -> bool {
        self.finish("leave\n")
    }

    fn finish(mut self, wish: &str) -> bool {
        // If the guardian is gone there is nobody to tell; the wait below shows it.
        let _ = self.socket.write_all(wish.as_bytes());
        self.process.wait().is_ok_and(|status| status.success())
    }
}

impl Role {
    fn word(&self) -> &'static str {
        match self {
            Role::Start { .. } => "start",
            Role::Attach => "attach",
        }
    }

    fn start(&self) -> [&str; 2] {
        match self {
            Role::Start { settings, primary } => [settings, primary],
            Role::Attach => ["", ""],
        }
    }
}

fn failed(action: &'static str, home: &Home, log: &str) -> LocalPgError {
    let own = home.dir().join("start.log");
    let said = [home.dir().join(log), own]
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find(|text| !text.trim().is_empty())
        .unwrap_or_default();
    server::error(action, home, &said)
}
