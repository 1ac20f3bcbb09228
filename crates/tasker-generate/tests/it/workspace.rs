//! Everything that is generated, in a workspace of its own, as its user has it: formatted, without a warning, and
//! its tests pass. The workspace and what is built for it stay below `target`, so that the next run is quick.

use std::{fs, path::Path, process::Command};

use toml::{Table, Value};

use crate::golden::{COMMANDS, parsed};

const MANIFEST: &str = r#"
[package]
name = "generated"
version = "0.0.0"
edition = "2024"
publish = false

[workspace]

# As here, so that the dependencies need not be built once more.
[profile.dev]
debug = "line-tables-only"
[profile.dev.package."*"]
debug = false
"#;

/// The manifest with every dependency that the next steps name, ours by their paths.
fn manifest(root: &Path, next_steps: &[String]) -> String {
    let mut manifest: Table = toml::from_str(MANIFEST).unwrap();
    for step in next_steps {
        let Some((_, lines)) = step.split_once("In Cargo.toml, where they are not there yet:\n") else {
            continue;
        };
        for (section, entries) in toml::from_str::<Table>(lines).unwrap() {
            let section = manifest.entry(section).or_insert_with(|| Table::new().into());
            for (name, entry) in entries.as_table().unwrap() {
                add(section.as_table_mut().unwrap(), root, name, entry);
            }
        }
    }
    toml::to_string(&manifest).unwrap()
}

/// One dependency, with the features of all who name it.
fn add(section: &mut Table, root: &Path, name: &str, entry: &Value) {
    let ours = root.join("crates").join(name);
    let mut entry = match entry {
        Value::Table(table) => table.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    if ours.is_dir() {
        assert_eq!(entry.remove("version"), Some(env!("CARGO_PKG_VERSION").into()), "{name}");
        entry.insert("path".into(), ours.to_str().unwrap().into());
    }
    if let Some(Value::Array(before)) = section.get(name).and_then(|e| e.get("features")).cloned() {
        let features = entry.entry("features").or_insert_with(|| Value::Array(vec![]));
        features.as_array_mut().unwrap().extend(before);
    }
    section.insert(name.to_owned(), entry.into());
}

/// A module whose functions hold the lines of code that the next steps show, so that they compile.
fn shown(next_steps: &[String]) -> String {
    let mut text = String::from(STARTS);
    for (at, step) in next_steps.iter().filter(|step| step.starts_with("Where ")).enumerate() {
        let lines: Vec<&str> = step.lines().filter(|line| !line.starts_with("Where ")).collect();
        let lines = lines.join("\n");
        let body = match (
            lines.contains("AuthConfig") || lines.contains("config.build"),
            lines.contains("submit("),
        ) {
            (true, _) => format!(
                "fn start_{at}(config: &AuthConfig, pool: Pool) -> Result<Auth, ConfigError> {{\n{lines}\nOk(auth)\n}}\n"
            ),
            (_, true) => format!(
                "fn start_{at}(conn: &mut PgConnection, mut registry: HandlerRegistry) -> Result<(), Box<dyn std::error::Error>> {{\n{lines}\nOk(())\n}}\n"
            ),
            _ => format!("fn start_{at}() -> WorkerOptions {{\n{lines}\noptions\n}}\n"),
        };
        text += &body;
    }
    text
}

const STARTS: &str = "\
#![allow(dead_code, unused, reason = \"it is here to be compiled\")]
use std::sync::Arc;
use diesel::{PgConnection, r2d2::ConnectionManager};
use serde_json::json;
use tasker::prelude::*;
use tasker_auth::{Auth, AuthConfig, ConfigError, Registry, read_section};
use crate::*;
type Pool = diesel::r2d2::Pool<ConnectionManager<PgConnection>>;
fn find(_: &str) -> Option<tasker_auth::Identity> { None }
";

#[test]
fn everything_generated_passes_its_own_tests_in_another_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tmp.join("generated");
    let _not_there = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let mut modules = String::from("//! All that can be generated.\n\n#![deny(warnings, missing_docs)]\n\n");
    let (mut names, mut next_steps) = (vec![], vec![]);
    for command in COMMANDS {
        let report = parsed(&format!("{command} --directory src")).run(&dir).unwrap();
        next_steps.extend(report.next_steps);
        names.extend(
            report
                .files
                .iter()
                .filter(|f| f.path.extension().is_some_and(|e| e == "rs"))
                .map(|f| f.path.file_stem().unwrap().to_string_lossy().into_owned()),
        );
    }
    names.sort();
    fs::write(dir.join("src/starts.rs"), shown(&next_steps)).unwrap();
    modules.extend(names.iter().map(|name| format!("pub mod {name};\n")));
    modules += "\n#[cfg(test)]\n#[rustfmt::skip]\nmod starts;\n";
    fs::write(dir.join("src/lib.rs"), modules).unwrap();
    fs::write(dir.join("Cargo.toml"), manifest(root, &next_steps)).unwrap();
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
