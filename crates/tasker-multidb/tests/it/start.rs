//! What is checked at the start, and where Tasker's tables are.

use tasker_localpg::ClusterOptions;
use tasker_multidb::{DatabaseConfig, Databases, OnMissing, StartError};

use crate::support::{
    cluster, config, connect, empty, execute, logged, migrated, primary, text, with_replica,
};

fn secondary(databases: &[(&str, &str)], name: &str) -> DatabaseConfig {
    DatabaseConfig { enable_secondary_database: true, name: Some(name.parse().unwrap()), ..config(databases) }
}

fn refused(config: &DatabaseConfig) -> (Vec<StartError>, String) {
    let errors = Databases::start(config).unwrap_err();
    let said = errors.to_string();
    (errors.0, said)
}

fn has_schema(url: &str) -> bool {
    text(&mut connect(url), "to_regnamespace('tasker') is not null").unwrap() == "true"
}

#[test]
fn m01_disabled_tasker_is_in_the_default_database() {
    let (app, other) = (migrated(primary(0)), empty(primary(1)));
    let config = DatabaseConfig {
        name: Some("tasker".parse().unwrap()),
        ..config(&[("primary", &app), ("tasker", &other)])
    };
    let databases = Databases::start(&config).unwrap();
    assert_eq!(*databases.home().name(), "primary");
    let name = databases.home().read(|conn| text(conn, "current_database()")).unwrap();
    assert!(app.contains(&format!("/{name}?")));
    assert!(databases.tasker("tasker").is_none(), "it is not Tasker's");
}

#[test]
fn m02_d05_enabled_with_an_unknown_name_does_not_start() {
    let app = migrated(primary(0));
    let (errors, said) = refused(&secondary(&[("primary", &app)], "nonexistent_db"));
    assert!(matches!(errors[..], [StartError::Config(_)]), "{errors:?}");
    assert!(said.contains("database.name: is `nonexistent_db`"), "{said}");
    assert!(said.contains("write `[database.databases.nonexistent_db]`"), "{said}");
}

#[test]
fn m02_lenient_the_default_database_is_used_and_that_is_said_once() {
    let app = migrated(primary(0));
    let config = DatabaseConfig {
        on_missing: OnMissing::UsePrimary,
        ..secondary(&[("primary", &app)], "nonexistent_db")
    };
    let (guard, lines) = logged();
    let databases = Databases::start(&config).unwrap();
    for _ in 0..3 {
        assert_eq!(*databases.clone().home().name(), "primary");
        databases.home().write(|conn| text(conn, "1")).unwrap();
    }
    drop(guard);
    let said = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    let found = said.matches("secondary database 'nonexistent_db' is enabled but not found").count();
    assert_eq!(found, 1, "{said}");
    assert!(said.contains("WARN") && said.contains("using the default database 'primary'"), "{said}");
}

#[test]
fn m04_d05_every_table_and_function_is_in_the_secondary_database_and_in_no_other() {
    let (app, own) = (empty(primary(0)), empty(primary(1)));
    let config = secondary(&[("primary", &app), ("tasker", &own)], ":tasker");
    let (errors, said) = refused(&config);
    assert!(matches!(errors[..], [StartError::Unmigrated { .. }]), "{errors:?}");
    assert!(said.contains("database `tasker`") && said.contains("run `tasker database migrate`"), "{said}");

    let databases = Databases::open(&config).unwrap();
    let migrated = databases.migrate().unwrap();
    assert_eq!(migrated.len(), 1);
    assert_eq!(migrated[0].0, "tasker");
    assert!(migrated[0].1.contains(&"0001_tables".to_owned()));
    databases.check().unwrap();
    assert!(has_schema(&own) && !has_schema(&app));
    for table in ["tasks", "workflow_steps", "named_tasks"] {
        let there =
            |url| text(&mut connect(url), &format!("coalesce(to_regclass('tasker.{table}')::text, '')"));
        assert_eq!((there(&own).unwrap(), there(&app).unwrap()), (format!("tasker.{table}"), String::new()));
    }
    let name = databases.primary().write(|conn| text(conn, "current_database()")).unwrap();
    assert!(app.contains(&format!("/{name}?")), "the host is where it was");
}

#[test]
fn a_database_that_cannot_be_reached_is_named_with_what_to_do() {
    let app = migrated(primary(0));
    let gone = "postgres://postgres:s3cret@/app?host=%2Fnowhere&port=5432";
    let (errors, said) = refused(&secondary(&[("primary", &app), ("tasker", gone)], "tasker"));
    assert!(matches!(errors[..], [StartError::Unreachable { .. }]), "{errors:?}");
    assert!(said.contains("start it, or correct `database.databases.tasker.url`"), "{said}");
    assert!(!format!("{said}{errors:?}").contains("s3cret"));
}

#[test]
fn a_standby_takes_no_writes_and_that_is_said() {
    let server = cluster(ClusterOptions::throw_away());
    let app = migrated(&server);
    let standby = cluster(ClusterOptions::standby_of(&server));
    let name = text(&mut connect(&app), "current_database()").unwrap();
    let (errors, said) = refused(&config(&[("primary", &standby.url_for(&name))]));
    assert!(matches!(errors[..], [StartError::ReadOnly { .. }]), "{errors:?}");
    assert!(said.contains("with target_session_attrs=read-write"), "{said}");
}

#[test]
fn a_schema_of_another_version_is_refused() {
    let app = migrated(primary(0));
    execute(
        &mut connect(&app),
        "insert into tasker.migrations (version, checksum) values ('9999_later', 'x')",
    );
    let (errors, said) = refused(&config(&[("primary", &app)]));
    assert!(matches!(errors[..], [StartError::Schema { .. }]), "{errors:?}");
    assert!(said.contains("use the newer version"), "{said}");
}

#[test]
fn a_reading_role_elsewhere_is_refused() {
    let (app, beside, foreign) = (migrated(primary(0)), migrated(primary(0)), migrated(primary(1)));
    for (replica, reason) in
        [(&beside, "its URL names another database"), (&foreign, "it belongs to another cluster")]
    {
        let (errors, said) = refused(&with_replica(&app, replica));
        assert!(matches!(errors[..], [StartError::NotAReplica { .. }]), "{errors:?}");
        assert!(
            said.contains(reason)
                && said.contains("correct `database.databases.primary.reading.replica.url`"),
            "{said}"
        );
    }
    Databases::start(&with_replica(&app, "postgres:///app?host=%2Fnowhere"))
        .expect("the writing role is read");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let mut config = config(&[("primary", &empty(primary(0))), ("second", &empty(primary(1)))]);
    config.namespaces.insert("shop".into(), ":second".parse().unwrap());
    let (errors, said) = refused(&config);
    assert_eq!(errors.len(), 2);
    assert!(said.contains("database `primary`") && said.contains("database `second`"), "{said}");
    let databases = Databases::open(&config).unwrap();
    databases.migrate().unwrap();
    databases.check().unwrap();
    let at = |namespace: &str| databases.for_namespace(namespace).name().to_string();
    assert_eq!((at("shop"), at("billing")), ("second".into(), "primary".into()));
}

#[test]
fn nothing_is_connected_before_it_is_needed() {
    let databases = Databases::open(&config(&[("primary", "postgres:///app?host=%2Fnowhere")])).unwrap();
    let mut slow = databases.primary().config().clone();
    slow.checkout_timeout_ms = 50;
    let mut config = config(&[]);
    config.databases.insert("primary".parse().unwrap(), slow);
    let error = Databases::open(&config).unwrap().home().write(|conn| text(conn, "1")).unwrap_err();
    assert!(
        error.to_string().starts_with("database `primary` cannot be reached: no connection within 50ms"),
        "{error}"
    );
}

#[test]
fn m05_a_name_is_there_or_not_and_a_symbol_is_the_same_name() {
    let databases =
        Databases::open(&config(&[("primary", "postgres:///app"), ("tasker", "postgres:///x")])).unwrap();
    for (name, is_there) in
        [("tasker", true), (":tasker", true), ("unknown", false), (":unknown", false), ("", false)]
    {
        assert_eq!(databases.host(name).is_some(), is_there, "{name}");
    }
    assert!(databases.tasker(":primary").is_some() && databases.tasker(":tasker").is_none());
}

/// What the configuration says of a connection is what the server sees.
#[test]
fn each_option_of_a_connection_has_its_effect() {
    let app = migrated(primary(0));
    let mut config = config(&[("primary", &app)]);
    let database = config.databases.get_mut("primary").unwrap();
    database.application_name = "my shop".into();
    database.connections = 2;
    database.checkout_timeout_ms = 2_000;
    let home = Databases::start(&config).unwrap().home();
    let mut first = home.writing().unwrap();
    assert_eq!(text(&mut first, "current_setting('application_name')").unwrap(), "my shop");
    let second = home.writing().unwrap();
    let error = home.writing().unwrap_err().to_string();
    assert!(error.contains("no connection within 2s"), "{error}");
    drop((first, second));
    let prepared = |home: &tasker_multidb::Database<_>| {
        home.write(|conn| {
            use diesel::prelude::*;
            diesel::select(diesel::dsl::now).execute(conn)?;
            text(conn, "select count(*) from pg_prepared_statements")
        })
    };
    assert_eq!(prepared(&home).unwrap(), "1");
    config.databases.get_mut("primary").unwrap().statements = tasker_multidb::StatementNames::Unnamed;
    assert_eq!(prepared(&Databases::start(&config).unwrap().home()).unwrap(), "0");
}

#[test]
fn a_wrong_password_is_not_in_what_is_said() {
    let (app, server) = (migrated(primary(0)), primary(0));
    execute(&mut connect(&server.url()), "drop role if exists ann; create role ann login password 'right'");
    // Over the socket everybody is trusted, so the refusal is for a role that is not there.
    let url = app.replacen("postgres://postgres@", "postgres://nobody_here:s3cret@", 1);
    let (errors, said) = refused(&config(&[("primary", &url)]));
    assert!(said.contains("nobody_here"), "{said}");
    assert!(!format!("{said}{errors:?}").contains("s3cret"));
    let databases = Databases::open(&config(&[("primary", &url)])).unwrap();
    assert!(!format!("{databases:?}{:?}", databases.home()).contains("s3cret"));
}
