//! What a command writes, read within bounds, and what it means.

use std::{collections::BTreeSet, process::ExitStatus, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout},
};

use crate::handler::{StepError, StepResult};

/// The most bytes of the standard output.
const MAX_STDOUT: usize = 1024 * 1024;
/// The bytes of the standard error that a message ends with.
const MAX_STDERR: usize = 2_000;
/// How long the outputs may stay open after the end of the command, in the hands of a process that it
/// has left behind.
const LINGER: Duration = Duration::from_secs(1);

/// The three streams of a running command.
pub(super) struct Output {
    stdin: Option<ChildStdin>,
    input: Vec<u8>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

/// A command that has ended.
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Output {
    pub(super) fn of(child: &mut Child, input: Vec<u8>) -> Self {
        Self { stdin: child.stdin.take(), input, stdout: child.stdout.take(), stderr: child.stderr.take() }
    }

    /// Writes and reads until the command has ended. All streams at once: a command that waits for one of
    /// them to be emptied would otherwise wait for ever.
    pub(super) async fn read(self, child: &mut Child) -> Result<Finished, StepError> {
        let Self { stdin, input, stdout, stderr } = self;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = {
            let streams = async {
                tokio::try_join!(write(stdin, &input), head(stdout, &mut out), tail(stderr, &mut err))
            };
            let mut streams = std::pin::pin!(streams);
            tokio::select! {
                read = &mut streams => {
                    read?;
                    child.wait().await
                }
                status = child.wait() => {
                    tokio::time::timeout(LINGER, streams).await.unwrap_or(Ok(((), (), ())))?;
                    status
                }
            }
        };
        let status = status.map_err(|e| StepError::retryable(format!("the program was lost: {e}")))?;
        Ok(Finished { status, stdout: out, stderr: err })
    }
}

async fn write(stdin: Option<ChildStdin>, input: &[u8]) -> Result<(), StepError> {
    if let Some(mut stdin) = stdin {
        // A command need not read its input; closing it early is no failure.
        let _ = stdin.write_all(input).await;
        let _ = stdin.shutdown().await;
    }
    Ok(())
}

/// Reads to the end, which must come before the bound.
async fn head(stream: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) -> Result<(), StepError> {
    if let Some(stream) = stream {
        let _ = stream.take(MAX_STDOUT as u64 + 1).read_to_end(bytes).await;
    }
    if bytes.len() > MAX_STDOUT { Err(too_long()) } else { Ok(()) }
}

/// Reads to the end and keeps the last bytes.
async fn tail(stream: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) -> Result<(), StepError> {
    let Some(mut stream) = stream else { return Ok(()) };
    while let Ok(1..) = stream.read_buf(bytes).await {
        let surplus = bytes.len().saturating_sub(MAX_STDERR);
        bytes.drain(..surplus);
    }
    Ok(())
}

fn too_long() -> StepError {
    let message = format!("the program wrote more than {MAX_STDOUT} bytes to its standard output");
    StepError::permanent(message).with_code("COMMAND_OUTPUT")
}

/// The step's result of a command that has ended.
pub(super) fn result(
    program: &str,
    status: ExitStatus,
    permanent_codes: &BTreeSet<i32>,
    stdout: Vec<u8>,
    stderr: &[u8],
) -> StepResult {
    if status.success() {
        return parsed(stdout);
    }
    let said = String::from_utf8_lossy(stderr);
    let said = said.trim();
    let colon = if said.is_empty() { "" } else { ": " };
    let (how, code) = match status.code() {
        Some(code) => (format!("exited with code {code}"), format!("COMMAND_EXIT_{code}")),
        None => (format!("was ended by {}", signal_name(status)), signal_code(status)),
    };
    let message = format!("the program {program:?} {how}{colon}{said}");
    match status.code().is_some_and(|code| permanent_codes.contains(&code)) {
        true => Err(StepError::permanent(message).with_code(code)),
        false => Err(StepError::retryable(message).with_code(code)),
    }
}

fn parsed(stdout: Vec<u8>) -> StepResult {
    if let Ok(value) = serde_json::from_slice::<Value>(&stdout) {
        return Ok(value);
    }
    String::from_utf8(stdout).map(|text| json!({"stdout": text})).map_err(|_| {
        let message = "the program wrote something to its standard output that is not text in UTF-8";
        StepError::permanent(message).with_code("COMMAND_OUTPUT")
    })
}

fn signal_name(status: ExitStatus) -> String {
    signal(status).map_or("a signal".into(), |n| format!("signal {n}"))
}

fn signal_code(status: ExitStatus) -> String {
    signal(status).map_or("COMMAND_SIGNAL".into(), |n| format!("COMMAND_SIGNAL_{n}"))
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}
