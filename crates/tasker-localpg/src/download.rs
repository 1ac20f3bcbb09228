//! Downloads a package through its ordinary client, so that mirrors, proxies and certificates that
//! a person has set up for pip or npm hold here too.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::package::{Client, Package};
use crate::redact::redact_url;
use crate::search::program_in;

/// The programs of a given `PATH`.
pub(crate) struct Tools<'a> {
    pub(crate) path: &'a [PathBuf],
}

impl Tools<'_> {
    /// Runs a program in `dir`; what went wrong comes back as a phrase that names the program.
    pub(crate) fn run(&self, dir: &Path, name: &str, args: &[OsString]) -> Result<(), String> {
        let program = program_in(self.path, name).ok_or_else(|| format!("{name}: not found"))?;
        let path = std::env::join_paths(self.path).map_err(|e| format!("{name}: {e}"))?;
        let output = Command::new(program)
            .args(args)
            .current_dir(dir)
            .env("PATH", path)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{name}: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = last_lines(&String::from_utf8_lossy(&output.stderr));
        Err(match said.is_empty() {
            true => format!("{name}: {}", output.status),
            false => format!("{name}: {}", redact_url(&said)),
        })
    }
}

/// The end of what a tool said, on one line: the cause tends to stand some lines above the last.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}

/// The client's name for a progress line.
pub(crate) fn client_name(client: Client) -> &'static str {
    match client {
        Client::Pip => "pip",
        Client::Npm => "npm",
    }
}

/// Downloads the package into the empty folder `dir` and returns its one file.
pub(crate) fn download(tools: &Tools, package: &Package, dir: &Path) -> Result<PathBuf, String> {
    match package.client {
        Client::Pip => pip_download(tools, package, dir)?,
        Client::Npm => npm_pack(tools, package, dir)?,
    }
    let name = client_name(package.client);
    only_file(dir).ok_or_else(|| format!("{name}: did not leave exactly one file"))
}

fn pip_download(tools: &Tools, package: &Package, dir: &Path) -> Result<(), String> {
    let wanted = format!("{}=={}", package.name, package.version);
    let args = [
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--dest=.",
        &wanted,
    ];
    let as_module: Vec<OsString> = ["-m", "pip"].iter().chain(&args).map(Into::into).collect();
    let as_program: Vec<OsString> = args.iter().map(Into::into).collect();
    let module = match tools.run(dir, "python3", &as_module) {
        Ok(()) => return Ok(()),
        Err(said) => said,
    };
    let program = ["pip3", "pip"].into_iter().find(|name| program_in(tools.path, name).is_some());
    match program {
        Some(name) => tools.run(dir, name, &as_program),
        None => Err(module),
    }
}

fn npm_pack(tools: &Tools, package: &Package, dir: &Path) -> Result<(), String> {
    let wanted = format!("{}@{}", package.name, package.version);
    let args = ["pack", "--silent", &wanted].map(OsString::from);
    tools.run(dir, "npm", &args)
}

fn only_file(dir: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    files.next().filter(|_| files.next().is_none())
}
