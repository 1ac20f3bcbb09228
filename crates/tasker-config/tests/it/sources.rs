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
fn every_option_is_shown_with_its_source() {
    let config = Config::builder().toml("t", FILE).build().unwrap();
    let shown: Vec<String> = config.show().iter().map(ToString::to_string).collect();
    assert!(shown.contains(&"execution.lease_seconds = 10.0  # t:3".to_owned()), "{shown:#?}");
    assert!(shown.contains(&"engine.identity_strategy = \"default\"  # default".to_owned()), "{shown:#?}");
    assert!(shown.contains(&"# engine.identity_function is not set".to_owned()), "{shown:#?}");
    let fixed = tasker_config::options().into_iter().filter(|o| !o.key.contains('*'));
    assert_eq!(shown.len(), fixed.count());
}
