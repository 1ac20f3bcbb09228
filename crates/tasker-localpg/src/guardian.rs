//! Keeps the promise that a server does not outlive those who use it, even if they are killed.
//!
//! A process cannot act after its own SIGKILL, so each user of a server has a small `sh` beside it
//! that holds the other end of a pipe: see `guardian.sh`. It also starts the server, so that no
//! moment exists in which a server is up and unguarded.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::account::RunAs;
use crate::binaries::ServerBinaries;
use crate::error::LocalPgError;
use crate::home::Home;
use crate::locks::Gate;
use crate::server;

/// What the guardian does first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Creates the cluster if it is new, and starts its server with these settings.
    Start(String),
    /// Only watches: the server is up.
    Attach,
}

/// The process that outlives us. If the value is forgotten, it acts when this process ends.
#[derive(Debug)]
pub(crate) struct Guardian(Child);

impl Guardian {
    /// Returns once the server is up. A cluster that can have other users is guarded from inside
    /// the gate, and the gate stays shut until the server is up, even if we die before that.
    pub(crate) fn spawn(
        role: &Role,
        gate: Option<&Gate>,
        binaries: &ServerBinaries,
        home: &Home,
        run_as: &RunAs,
    ) -> Result<Guardian, LocalPgError> {
        let sh = Path::new("/bin/sh");
        let child = run_as
            .command(sh)
            .args(["-c", include_str!("guardian.sh"), "tasker-guardian"])
            .args([role.word(), kind(gate)])
            .args([binaries.bindir(), home.dir()])
            .arg(role.settings())
            // The terminal's Ctrl-C goes to our process group and must not end the guardian.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(gate.map_or_else(Stdio::null, Gate::held_by_child))
            .spawn()
            .map_err(|e| LocalPgError::io("run", sh, e))?;
        let mut guardian = Guardian(child);
        let error = match guardian.first_word().as_str() {
            "up" => return Ok(guardian),
            "create" => failed("create", home, "start.log"),
            _ => failed("start", home, "log"),
        };
        guardian.leave();
        Err(error)
    }

    fn first_word(&mut self) -> String {
        let mut line = String::new();
        if let Some(stdout) = self.0.stdout.take() {
            // An unreadable answer is an empty one: the caller takes it for a failure.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
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
        if let Some(mut pipe) = self.0.stdin.take() {
            // If the guardian is gone there is nobody to tell; the wait below shows it.
            let _ = pipe.write_all(wish.as_bytes());
        }
        self.0.wait().is_ok_and(|status| status.success())
    }
}

impl Role {
    fn word(&self) -> &'static str {
        match self {
            Role::Start(_) => "start",
            Role::Attach => "attach",
        }
    }

    fn settings(&self) -> &str {
        match self {
            Role::Start(settings) => settings,
            Role::Attach => "",
        }
    }
}

fn kind(gate: Option<&Gate>) -> &'static str {
    match gate {
        Some(_) => "shared",
        None => "alone",
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
