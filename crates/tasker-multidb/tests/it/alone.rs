//! The crate by itself, in another workspace, with its smallest features and with connections.

use std::{collections::BTreeSet, path::Path, process::Command};

use crate::support::{empty, primary};

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
        let mut command = Command::new(cargo);
        let out = command.args(args).current_dir(dir.path()).env_remove("CARGO_TARGET_DIR").output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let packages = |features: &[&str]| {
        let tree = cargo(&[&["tree", "--prefix", "none", "--edges", "normal"], features].concat());
        let names = tree.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
        names.filter(|name| name != "alone").collect::<BTreeSet<String>>()
    };
    assert_eq!(cargo(&["run", "--quiet"]), "primary []\n");
    let smallest = packages(&[]);
    assert!(smallest.len() <= 20, "{} packages: {smallest:?}", smallest.len());
    assert!(!smallest.contains("diesel") && !smallest.contains("tasker-model"), "{smallest:?}");

    let pools = packages(&["--features", "pools"]);
    assert!(pools.len() <= 70, "{} packages: {pools:?}", pools.len());
    assert!(!pools.contains("tokio") && !pools.contains("tasker-engine"), "{pools:?}");
    let url = empty(primary(0));
    let said = cargo(&["run", "--quiet", "--features", "pools", "--", &url]);
    assert_eq!(said, "primary []\nprimary false\n");
}
