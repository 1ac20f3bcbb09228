//! The section `database`: what may be written, and every mistake at once.

use serde_json::{Value, json};
use tasker_multidb::{DatabaseConfig, NamedDatabase, OnMissing};

fn config(section: Value) -> DatabaseConfig {
    serde_json::from_value(section).unwrap()
}

fn problems(section: Value) -> Vec<String> {
    config(section).problems().iter().map(ToString::to_string).collect()
}

fn two() -> Value {
    json!({ "primary": { "url": "postgres://db/app" }, "tasker": { "url": "postgres://db/tasker" } })
}

#[test]
fn m01_disabled_or_without_a_name_and_lenient_the_default_database_is_used() {
    let disabled = config(json!({ "databases": two(), "name": "tasker" }));
    assert_eq!(disabled.home().unwrap(), "primary");
    assert_eq!(disabled.home().unwrap().warning, None);
    let unnamed =
        config(json!({ "databases": two(), "enable_secondary_database": true, "on_missing": "use_primary" }));
    let home = unnamed.home().unwrap();
    assert_eq!(home, "primary");
    assert!(home.warning.unwrap().contains("database.name is not set, using the default database 'primary'"));
    assert_eq!(unnamed.problems(), []);
}

#[test]
fn m01_enabled_without_a_name_is_a_mistake() {
    let said = problems(json!({ "databases": two(), "enable_secondary_database": true }));
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("database.name: is required, since `enable_secondary_database` is true;"),
        "{said:?}"
    );
}

#[test]
fn m02_enabled_with_an_unknown_name_is_a_mistake_unless_lenient() {
    let section = |on_missing| {
        json!({
            "databases": two(), "enable_secondary_database": true, "name": "nonexistent_db", "on_missing": on_missing,
        })
    };
    let said = problems(section("error"));
    assert_eq!(
        said,
        ["database.name: is `nonexistent_db`, which `databases` does not have; write \
          `[database.databases.nonexistent_db]` with its `url`, or `on_missing = \"use_primary\"` to do without"]
    );
    let home = config(section("use_primary")).home().unwrap();
    assert_eq!(home, "primary");
    let warning = home.warning.unwrap();
    assert!(warning.contains("secondary database 'nonexistent_db' is enabled but not found"), "{warning}");
}

#[test]
fn m03_m05_a_name_is_written_as_a_string_or_like_a_symbol() {
    for name in ["tasker", ":tasker"] {
        for key in ["tasker", ":tasker"] {
            let mut section =
                json!({ "enable_secondary_database": true, "name": name, "primary": ":primary" });
            section["databases"] = json!({ "primary": { "url": "postgres://db/app" } });
            section["databases"][key] = json!({ "url": "postgres://db/tasker" });
            section["namespaces"] = json!({ "shop": name });
            let config = config(section);
            assert_eq!(config.problems(), []);
            assert_eq!(config.home().unwrap(), "tasker");
            assert_eq!(config.route("shop").unwrap(), "tasker");
            assert_eq!(config.route("billing"), None);
        }
    }
    let twice = json!({ "databases": { "tasker": {}, ":tasker": {} } });
    let error = serde_json::from_value::<DatabaseConfig>(twice).unwrap_err().to_string();
    assert!(error.contains("the name `tasker` is there twice"), "{error}");
}

#[test]
fn every_mistake_is_reported_at_once_with_its_key() {
    let said = problems(json!({
        "primary": "main",
        "databases": {
            "a": { "connections": 0, "application_name": "", "reading": { "r": { "url": "s3cret", "connections": 9999 } } },
            "b": { "url": "postgres://db", "lag_bound_ms": 1, "checkout_timeout_ms": 1, "connect_timeout_seconds": 0 },
        },
        "namespaces": { "shop": "nowhere" },
    }));
    let keys: Vec<&str> = said.iter().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(
        keys,
        [
            "database.primary",
            "database.namespaces.shop",
            "database.databases.a.url",
            "database.databases.a.connections",
            "database.databases.a.application_name",
            "database.databases.a.reading.r.url",
            "database.databases.a.reading.r.connections",
            "database.databases.b.connect_timeout_seconds",
            "database.databases.b.checkout_timeout_ms",
            "database.databases.b.lag_bound_ms",
        ]
    );
    assert!(!said.join("\n").contains("s3cret"));
}

#[test]
fn nothing_written_is_no_mistake_and_no_database() {
    let config = config(json!({}));
    assert_eq!(config, DatabaseConfig::default());
    assert_eq!(config.problems(), []);
    assert!(!config.is_used());
    assert!(config.checked().unwrap_err().to_string().contains("database.databases: is empty; write"));
}

#[test]
fn unknown_keys_and_values_are_refused() {
    for section in [
        json!({ "nane": "tasker" }),
        json!({ "on_missing": "ignore" }),
        json!({ "name": "9tasker" }),
        json!({ "name": "a:b" }),
        json!({ "databases": { "a": { "pool": 5 } } }),
        json!({ "databases": { "a": { "url": 5 } } }),
        json!({ "databases": { "a": { "reading": { "r": { "lag_bound_ms": 5 } } } } }),
    ] {
        serde_json::from_value::<DatabaseConfig>(section.clone()).expect_err(&section.to_string());
    }
}

#[test]
fn passwords_are_neither_in_debug_nor_in_what_is_shown() {
    let mut shown = DatabaseConfig { on_missing: OnMissing::UsePrimary, ..DatabaseConfig::default() };
    let database = NamedDatabase::at("postgres://ann:s3cret@db/app?password=s3cret");
    shown.databases.insert("primary".parse().unwrap(), database);
    let document = serde_json::to_value(&shown).unwrap();
    assert_eq!(document["databases"]["primary"]["url"], "postgres://ann@db/app");
    assert!(!format!("{shown:?}{document}").contains("s3cret"));
}

#[test]
fn a_url_in_the_wrong_place_is_not_quoted() {
    let url = "postgres://ann:s3cret@db/app";
    for section in [
        json!({ "name": url }),
        json!({ "databases": url }),
        json!({ "databases": { "primary": url } }),
        json!({ "databases": { "primary": { "url": [url] } } }),
        json!({ "databases": { "primary": { "reading": url } } }),
        json!({ "databases": { "primary": { "reading": { "r": url } } } }),
        json!({ "namespaces": { "shop": url } }),
    ] {
        let error = serde_json::from_value::<DatabaseConfig>(section).unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
