//! What a command writes, where, and what it says.

use std::{fs, path::Path};

use tasker_generate::{GenerateError, Written};

use crate::golden::parsed;

const HANDLER: &str = "handler OrderFlow --steps fetch,ship";

#[test]
fn files_go_below_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let report = parsed(HANDLER).run(dir.path()).unwrap();
    let paths: Vec<String> = report.files.iter().map(|f| f.path.display().to_string()).collect();
    assert_eq!(paths, ["src/workflows/order_flow.rs", "src/workflows/order_flow.yaml"]);
    assert!(report.files.iter().all(|f| f.written == Written::Written && f.text.is_none()));
    assert!(dir.path().join("src/workflows/order_flow.yaml").is_file());
    let report = parsed(&format!("{HANDLER} --directory a/b")).run(dir.path()).unwrap();
    assert!(report.files[0].path.starts_with("a/b") && dir.path().join("a/b/order_flow.rs").is_file());
    let said = report.to_string();
    for part in
        ["wrote a/b/order_flow.rs", "Next:", "pub mod order_flow;", "tasker check a/b/order_flow.yaml"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_dry_run_shows_everything_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let report = parsed(&format!("{HANDLER} --dry-run")).run(dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let shown: Vec<&str> = report.files.iter().filter_map(|f| f.text.as_deref()).collect();
    assert!(report.to_string().contains("would write src/workflows/order_flow.rs"));
    let written = parsed(HANDLER).run(dir.path()).unwrap();
    for (file, text) in written.files.iter().zip(shown) {
        assert_eq!(fs::read_to_string(dir.path().join(&file.path)).unwrap(), text);
    }
}

#[test]
fn a_file_that_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join("src/workflows").join(name);
    fs::create_dir_all(at("")).unwrap();
    fs::write(at("order_flow.yaml"), "mine").unwrap();
    let error = parsed(HANDLER).run(dir.path()).unwrap_err();
    let sentence = "src/workflows/order_flow.yaml is there already; --force overwrites, --dry-run shows what would be written";
    assert_eq!(error.to_string(), sentence);
    assert!(!at("order_flow.rs").exists() && fs::read_to_string(at("order_flow.yaml")).unwrap() == "mine");
    let report = parsed(&format!("{HANDLER} --force")).run(dir.path()).unwrap();
    assert_eq!(
        report.files.iter().map(|f| f.written).collect::<Vec<_>>(),
        [Written::Written, Written::Overwritten]
    );
    assert_eq!(fs::read_dir(at("")).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = dir.path().join("theirs");
    fs::write(&theirs, "theirs").unwrap();
    fs::create_dir_all(dir.path().join("src/workflows")).unwrap();
    std::os::unix::fs::symlink(&theirs, dir.path().join("src/workflows/order_flow.rs")).unwrap();
    let error = parsed(&format!("{HANDLER} --force")).run(dir.path()).unwrap_err();
    assert!(matches!(error, GenerateError::NoFile(_)), "{error}");
    assert_eq!(fs::read_to_string(theirs).unwrap(), "theirs");
}

#[cfg(unix)]
#[test]
fn files_have_the_rights_that_others_have() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let report = parsed(HANDLER).run(dir.path()).unwrap();
    fs::write(dir.path().join("other"), "").unwrap();
    let mode = |path: &Path| fs::metadata(dir.path().join(path)).unwrap().permissions().mode();
    assert_eq!(mode(&report.files[0].path), mode(Path::new("other")));
}
