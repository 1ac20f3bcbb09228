//! Everything that is generated, in a workspace of its own, as its user has it: formatted, without a warning, and
//! its tests pass. The workspace and what is built for it stay below `target`, so that the next run is quick.

use std::{fs, path::Path, process::Command};

use crate::golden::{COMMANDS, parsed};

const MANIFEST: &str = r#"
[package]
name = "generated"
version = "0.0.0"
edition = "2024"
publish = false

[workspace]

[dependencies]
serde = { version = "1", features = ["derive"] }
serde_json = "1"
tasker = { path = "ROOT/crates/tasker" }

[dev-dependencies]
pq-sys = { version = "0.7", default-features = false, features = ["bundled_without_openssl"] }
tasker-testkit = { path = "ROOT/crates/tasker-testkit" }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }

# As here, so that the dependencies need not be built once more.
[profile.dev]
debug = "line-tables-only"
[profile.dev.package."*"]
debug = false
"#;

#[test]
fn everything_generated_passes_its_own_tests_in_another_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tmp.join("generated");
    let _not_there = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let mut modules = String::from("//! All that can be generated.\n\n#![deny(warnings, missing_docs)]\n\n");
    let mut names = vec![];
    for command in COMMANDS {
        let report = parsed(&format!("{command} --directory src")).run(&dir).unwrap();
        names.extend(
            report
                .files
                .iter()
                .filter(|f| f.path.extension().is_some_and(|e| e == "rs"))
                .map(|f| f.path.file_stem().unwrap().to_string_lossy().into_owned()),
        );
    }
    names.sort();
    modules.extend(names.iter().map(|name| format!("pub mod {name};\n")));
    fs::write(dir.join("src/lib.rs"), modules).unwrap();
    fs::write(dir.join("Cargo.toml"), MANIFEST.replace("ROOT", root.to_str().unwrap())).unwrap();
    // Not that of the folders above.
    fs::write(dir.join("rustfmt.toml"), "").unwrap();
    fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let cargo = |args: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args).current_dir(&dir).env("CARGO_TARGET_DIR", tmp.parent().unwrap());
        // What cargo says to a test is not so for another cargo, and build scripts that read it would run again.
        let of_this_test = |name: &str| name.starts_with("CARGO_MANIFEST") || name.starts_with("CARGO_PKG");
        std::env::vars().filter(|(name, _)| of_this_test(name)).for_each(|(name, _)| {
            command.env_remove(name);
        });
        let out = command.output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{said}");
        said
    };
    cargo(&["fmt", "--check"]);
    let said = cargo(&["test", "--offline", "--lib"]);
    for name in names {
        assert!(said.contains(&format!("test {name}::tests::")), "{name} has no test: {said}");
    }
}
