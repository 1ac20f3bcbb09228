//! `tasker config`: the report, the sources, and that secrets stay hidden.

mod support;

use support::{Ran, command, run};
use tempfile::TempDir;

const FILE: &str = "
[execution]
lease_seconds = 5
[auth]
authenticator = \"jwt\"
[auth.authenticator_options]
secret = { env = \"JWT_SECRET\" }
[environments.development.execution]
drain_seconds = 1
";

/// A folder with a `tasker.toml`.
fn folder(text: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("tasker.toml"), text).unwrap();
    dir
}

fn tasker(dir: &TempDir, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    run(command(dir.path()).envs(variables.iter().copied()).args(args), "")
}

const SECRET: (&str, &str) = ("JWT_SECRET", "hunter2hunter2");

#[test]
fn a_right_configuration_is_said_to_be_right() {
    let dir = folder(FILE);
    let ran = tasker(&dir, &[SECRET], &["config", "check"]).expect(0);
    assert_eq!(ran.out, "no mistakes (tasker.toml)\n");
    let ran = tasker(&dir, &[SECRET, ("TASKER_ENV", "development")], &["config", "check"]).expect(0);
    assert_eq!(ran.out, "no mistakes (tasker.toml, environment development)\n");
    let empty = TempDir::new().unwrap();
    let ran = tasker(&empty, &[], &["config", "check"]).expect(0);
    assert_eq!(ran.out, "no mistakes (no file, only defaults and variables)\n");
}

#[test]
fn a_wrong_one_ends_with_4_and_says_everything() {
    let dir = folder(&FILE.replace("= 5", "= 0"));
    let variables = [("TASKER_EXECUTION__DRAIN_SECONDS", "soon")];
    let ran = tasker(&dir, &variables, &["config", "check", "--env", "production"]).expect(4);
    for line in [
        "the configuration cannot be used, 4 mistakes:",
        "  tasker.toml:3: execution.lease_seconds must be a number from 0.1 to 86400, not 0",
        "  tasker.toml:7: auth.authenticator_options.secret names the variable JWT_SECRET, which is not set",
        "  tasker.toml: environments has no environment `production`, it has development; write \
         [environments.production], even if empty",
        "  TASKER_EXECUTION__DRAIN_SECONDS: execution.drain_seconds must be a number from 0 to 86400",
    ] {
        assert!(ran.out.lines().any(|l| l == line), "{line}\n{}", ran.out);
    }
    let json = tasker(&dir, &variables, &["config", "check", "--json"]).expect(4).json();
    assert_eq!(json["mistakes"][0]["key"], "execution.lease_seconds");
    assert_eq!(json["mistakes"][0]["source"]["line"], 3);
    // A command that would work with it says the same, before it looks for a database.
    let ran = tasker(&dir, &[SECRET], &["worker"]).expect(4);
    assert!(ran.err.contains("execution.lease_seconds must be"), "{ran:?}");
}

#[test]
fn what_is_shown_has_sources_and_no_secrets() {
    let dir = folder(FILE);
    let ran = tasker(&dir, &[SECRET], &["config", "show", "--env", "development"]).expect(0);
    for line in [
        "execution.lease_seconds = 5.0  # tasker.toml:3",
        "execution.drain_seconds = 1.0  # tasker.toml:9 (environment development)",
        "auth.authenticator_options.secret = \"[redacted]\"  # tasker.toml:7",
    ] {
        assert!(ran.out.lines().any(|l| l == line), "{line}\n{}", ran.out);
    }
    let json = tasker(&dir, &[SECRET], &["config", "show", "--json"]).expect(0);
    assert!(!json.out.contains("hunter2") && !ran.out.contains("hunter2"));
    let shown = json.json();
    let lease = shown.as_array().unwrap().iter().find(|o| o["key"] == "execution.lease_seconds").unwrap();
    assert_eq!((lease["value"].as_f64(), lease["source"]["kind"].as_str()), (Some(5.0), Some("file")));
}

#[test]
fn the_file_is_the_flag_s_else_the_variable_s_else_the_one_that_is_here() {
    let dir = folder("[execution]\nlease_seconds = 1");
    for (name, n) in [("flag.toml", 2), ("variable.toml", 3)] {
        std::fs::write(dir.path().join(name), format!("[execution]\nlease_seconds = {n}")).unwrap();
    }
    let lease = |variables: &[(&str, &str)], args: &[&str]| {
        let ran = tasker(&dir, variables, &[&["config", "show"], args].concat()).expect(0);
        ran.out.lines().find(|l| l.starts_with("execution.lease_seconds")).unwrap().to_owned()
    };
    let named = [("TASKER_CONFIG", "variable.toml")];
    assert!(lease(&[], &[]).ends_with("= 1.0  # tasker.toml:2"));
    assert!(lease(&named, &[]).ends_with("= 3.0  # variable.toml:2"));
    assert!(lease(&named, &["--config", "flag.toml"]).ends_with("= 2.0  # flag.toml:2"));
    tasker(&dir, &[("TASKER_CONFIG", "gone.toml")], &["config", "show"]).expect(4);
}
