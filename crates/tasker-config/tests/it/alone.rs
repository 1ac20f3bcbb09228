//! The crate by itself, in another workspace, with its smallest features.

use std::{collections::BTreeSet, path::Path, process::Command};

#[test]
#[ignore = "builds its dependencies once more; `cargo xtask ci` runs it"]
fn another_workspace_uses_the_crate_alone() {
    let dir = tempfile::tempdir().unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(own.join("tests/it/alone/Cargo.toml")).unwrap();
    let here = manifest.replace("\"../../..\"", &format!("{own:?}"));
    assert_ne!(here, manifest);
    std::fs::create_dir(dir.path().join("src")).unwrap();
    std::fs::write(dir.path().join("Cargo.toml"), here).unwrap();
    std::fs::copy(own.join("tests/it/alone/src/main.rs"), dir.path().join("src/main.rs")).unwrap();
    std::fs::copy(own.join("../../Cargo.lock"), dir.path().join("Cargo.lock")).unwrap();
    let cargo = |args: &[&str]| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let out = Command::new(cargo)
            .args(args)
            .current_dir(dir.path())
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(cargo(&["run", "--quiet"]), "10 5 own.toml:2\n");
    let tree = cargo(&["tree", "--prefix", "none", "--edges", "normal"]);
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() <= 50, "{} packages: {names:?}", names.len());
    for heavy in
        ["diesel", "tokio", "ring", "reqwest", "hyper", "axum", "tasker-model", "tasker-engine", "sha2"]
    {
        assert!(!names.contains(heavy), "{heavy} is among the smallest features");
    }
}
