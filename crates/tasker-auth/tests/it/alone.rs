//! The crate by itself, in another workspace, with its smallest features. The workspace and what is built for it
//! stay below `target`, so that the next run is quick.

use std::{fs, path::Path, process::Command};

#[test]
fn another_workspace_uses_the_crate_alone() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tmp.join("auth-alone");
    fs::create_dir_all(dir.join("src")).unwrap();
    let manifest = fs::read_to_string(own.join("tests/it/alone/Cargo.toml")).unwrap();
    let here = manifest.replace("\"../../..\"", &format!("{own:?}"));
    assert_ne!(here, manifest);
    fs::write(dir.join("Cargo.toml"), here).unwrap();
    fs::copy(own.join("tests/it/alone/src/main.rs"), dir.join("src/main.rs")).unwrap();
    fs::copy(own.join("../../Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let cargo = |args: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args).arg("--offline").current_dir(&dir).env("CARGO_TARGET_DIR", tmp.parent().unwrap());
        // What cargo says to a test is not so for another cargo, and build scripts that read it would run again.
        let of_this_test = |name: &str| name.starts_with("CARGO_MANIFEST") || name.starts_with("CARGO_PKG");
        std::env::vars().filter(|(name, _)| of_this_test(name)).for_each(|(name, _)| {
            command.env_remove(name);
        });
        let out = command.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(cargo(&["run", "--quiet"]), "ada true false\n");
    let tree = cargo(&["tree", "--prefix", "none", "--edges", "normal"]);
    let names: std::collections::BTreeSet<&str> =
        tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for heavy in
        ["diesel", "tokio", "ring", "reqwest", "hyper", "axum", "tasker-model", "sha2", "spki", "p521"]
    {
        assert!(!names.contains(heavy), "{heavy} is among the smallest features");
    }
}
