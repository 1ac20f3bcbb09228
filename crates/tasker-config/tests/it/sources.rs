//! Which source wins, and what is known of it afterwards.

use tasker_config::{Config, Source};

const FILE: &str = "
[execution]
lease_seconds = 10
drain_seconds = 11
notifications = false

[environments.production.execution]
drain_seconds = 12
";

#[test]
fn the_later_source_wins_key_by_key() {
    let config = Config::builder()
        .toml("tasker.toml", FILE)
        .environment("production")
        .variables([
            ("TASKER_EXECUTION__NOTIFICATIONS", "yes"),
            ("TASKER_EXECUTION__MAX_CONCURRENT_STEPS_LIMIT", "7"),
        ])
        .set("execution.max_concurrent_steps_limit", 8)
        .build()
        .unwrap();
    let execution = config.execution();
    assert_eq!((execution.lease_seconds, execution.drain_seconds), (10.0, 12.0));
    assert_eq!((execution.notifications, execution.max_concurrent_steps_limit), (true, 8));
    let source = |key: &str| config.source(&format!("execution.{key}")).to_string();
    assert_eq!(source("lease_seconds"), "tasker.toml:3");
    assert_eq!(source("drain_seconds"), "tasker.toml:8 (environment production)");
    assert_eq!(source("notifications"), "TASKER_EXECUTION__NOTIFICATIONS");
    assert_eq!(source("max_concurrent_steps_limit"), "code");
    assert_eq!(config.source("engine.identity_strategy"), Source::Default);
    assert_eq!(config.environment(), Some("production"));
}

#[test]
fn what_a_name_has_is_shown_with_its_defaults() {
    let text = "[database.databases.one]\nurl = \"postgres://db/a\"\n[database.databases.one.reading.near]\nurl = \"postgres://db/b\"\n\
         [database.databases.two]\nurl = \"postgres://db/c\"\nconnections = 3\n[database]\nprimary = \"one\"";
    let config = Config::builder().toml("t", text).build().unwrap();
    let shown: Vec<String> = config.show().iter().map(ToString::to_string).collect();
    for line in [
        "database.databases.one.url = \"postgres://db/a\"  # t:2",
        "database.databases.one.connections = 8  # default",
        "database.databases.one.reading.near.connections = 8  # default",
        "database.databases.two.connections = 3  # t:7",
        "database.databases.two.statements = \"named\"  # default",
    ] {
        assert!(shown.iter().any(|l| l == line), "{line}\n{shown:#?}");
    }
    let of = |name: &str| {
        shown.iter().filter(|line| line.starts_with(&format!("database.databases.{name}."))).count()
    };
    assert_eq!((of("one"), of("two")), (9, 7));
}

#[test]
fn every_option_is_shown_with_its_source() {
    let config = Config::builder().toml("t", FILE).build().unwrap();
    let shown: Vec<String> = config.show().iter().map(ToString::to_string).collect();
    assert!(shown.contains(&"execution.lease_seconds = 10.0  # t:3".to_owned()), "{shown:#?}");
    assert!(shown.contains(&"engine.identity_strategy = \"default\"  # default".to_owned()), "{shown:#?}");
    assert!(shown.contains(&"# engine.identity_function is not set".to_owned()), "{shown:#?}");
    let fixed = tasker_config::options().into_iter().filter(|o| !o.key.contains('*'));
    assert_eq!(shown.len(), fixed.count());
}
