//! Asks `pg_ctl` and `postmaster.pid` about the server of a cluster.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::account::RunAs;
use crate::binaries::ServerBinaries;
use crate::error::LocalPgError;
use crate::home::Home;

/// How long a server that someone else started may take to accept connections.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Whether a server runs on the cluster's data, ready or not.
pub(crate) fn is_running(
    binaries: &ServerBinaries,
    home: &Home,
    run_as: &RunAs,
) -> Result<bool, LocalPgError> {
    if home.data_version().is_none() {
        return Ok(false);
    }
    let pg_ctl = binaries.pg_ctl();
    let status = run_as
        .command(&pg_ctl)
        .arg("status")
        .arg("-D")
        .arg(home.data())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|e| LocalPgError::io("run", &pg_ctl, e))?;
    Ok(status.success())
}

/// Waits for a running server to say that it is ready: it may be recovering after a crash.
pub(crate) fn wait_until_ready(home: &Home) -> Result<(), LocalPgError> {
    let deadline = Instant::now() + READY_WITHIN;
    while pid_file_line(home, 7).as_deref() != Some("ready") {
        if Instant::now() > deadline {
            let said = "it runs but does not accept connections; see the log file there";
            return Err(error("start", home, said));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The process id in `postmaster.pid`, live or not.
pub(crate) fn pid(home: &Home) -> Option<u32> {
    pid_file_line(home, 0)?.parse().ok()
}

/// Stops the server if one runs; true if one did. Sessions are ended, what they committed is kept.
pub(crate) fn stop(binaries: &ServerBinaries, home: &Home, run_as: &RunAs) -> Result<bool, LocalPgError> {
    if !is_running(binaries, home, run_as)? {
        return Ok(false);
    }
    let pg_ctl = binaries.pg_ctl();
    let output = run_as
        .command(&pg_ctl)
        .args(["stop", "-s", "-w", "-m", "fast", "-D"])
        .arg(home.data())
        .output()
        .map_err(|e| LocalPgError::io("run", &pg_ctl, e))?;
    // Its user may have stopped it in between, which is as good.
    if output.status.success() || !is_running(binaries, home, run_as)? {
        return Ok(true);
    }
    Err(error("stop", home, &String::from_utf8_lossy(&output.stderr)))
}

/// Shuts the server down at once and starts it again.
pub(crate) fn crash(
    binaries: &ServerBinaries,
    home: &Home,
    run_as: &RunAs,
    wait: bool,
) -> Result<(), LocalPgError> {
    let how = if wait { "-w" } else { "-W" };
    pg_ctl(
        binaries,
        home,
        run_as,
        "stop",
        &["stop", "-s", "-w", "-t", "60", "-m", "immediate", "-D", "data"],
    )?;
    // Relative names, as at its first start.
    pg_ctl(binaries, home, run_as, "start", &["start", "-s", how, "-t", "60", "-D", "data", "-l", "log"])?;
    let deadline = Instant::now() + READY_WITHIN;
    // Without waiting it is there all the same, as something that can be stopped again.
    while pid(home).is_none() {
        if Instant::now() > deadline {
            return Err(error("start", home, "see the log file there"));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn pg_ctl(
    binaries: &ServerBinaries,
    home: &Home,
    run_as: &RunAs,
    action: &'static str,
    args: &[&str],
) -> Result<(), LocalPgError> {
    let program = binaries.pg_ctl();
    // The server keeps what it inherits, so a pipe would never end.
    let status = run_as
        .command(&program)
        .current_dir(home.dir())
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|e| LocalPgError::io("run", &program, e))?;
    if status.success() { Ok(()) } else { Err(error(action, home, "see the log file there")) }
}

/// An error with the end of what the server said: the cause stands in the last lines.
pub(crate) fn error(action: &'static str, home: &Home, said: &str) -> LocalPgError {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    LocalPgError::Server {
        action,
        dir: home.dir().to_owned(),
        said: match last {
            [] => "it gave no reason".to_owned(),
            last => last.join(" / "),
        },
    }
}

fn pid_file_line(home: &Home, line: usize) -> Option<String> {
    let text = fs::read_to_string(home.data().join("postmaster.pid")).ok()?;
    Some(text.lines().nth(line)?.trim().to_owned())
}
