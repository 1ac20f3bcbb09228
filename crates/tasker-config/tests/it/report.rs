//! What is wrong, all of it at once, with place, key and reason.

use tasker_config::Config;

#[track_caller]
fn mistakes(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let report = Config::builder().toml("t", file).variables(variables.iter().copied()).build().unwrap_err();
    report.mistakes().iter().map(ToString::to_string).collect()
}

#[test]
fn one_report_has_every_mistake() {
    let file = "
strength = 9
[execution]
lease_seconds = 0
max_concurrent_steps = 3
[engine]
identity_strategy = \"hahs\"
[auth]
authentication_enabled = true
open = [\"tasker.task\"]
[auth.audit]
record = \"some\"
[environments.production.execution]
lease = 4
";
    let variables = [("TASKER_EXECUTION__NOTIFICATIONS", "flase"), ("TASKER_EXECUTION_LEASE_SECONDS", "3")];
    assert_eq!(
        mistakes(file, &variables),
        [
            "t:2: strength is not an option; there are auth, backoff, database, engine, execution, health, \
             telemetry",
            "t:4: execution.lease_seconds must be a number from 0.1 to 86400, not 0",
            "t:5: execution.max_concurrent_steps is not an option; there are max_concurrent_steps_limit, \
             lease_seconds, drain_seconds, notifications",
            "t:7: engine.identity_strategy must be one of default, hash, custom; did you mean `hash`?",
            "t:12: auth.audit.record must be one of refusals, changes, all",
            "t:14 (environment production): execution.lease is not an option; there are max_concurrent_steps_limit, \
             lease_seconds, drain_seconds, notifications",
            "TASKER_EXECUTION_LEASE_SECONDS: is read by nothing; write TASKER_EXECUTION__LEASE_SECONDS",
            "TASKER_EXECUTION__NOTIFICATIONS: execution.notifications must be true or false",
        ]
    );
}

#[test]
fn every_fault_of_the_text_has_its_line() {
    let found = mistakes("[execution]\nlease_seconds = = 3\n\n[engine\n", &[]);
    assert!(found.len() >= 2, "{found:?}");
    assert!(found[0].starts_with("t:2: no TOML: "), "{found:?}");
}

#[test]
fn a_file_that_is_not_there_is_a_mistake() {
    let report = Config::builder().file("no/such.toml").build().unwrap_err();
    assert!(report.to_string().contains("no/such.toml: cannot be read: "), "{report}");
}
