//! Our migrations beside those of a host application, which uses Diesel's own harness and ledger.

mod support;

use std::{fs, path::Path};

use diesel::{PgConnection, RunQueryDsl, migration::MigrationVersion};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use support::{dump, lines, run};
use tasker_model::migrations;
use tasker_testkit::TestDatabase;

/// An application with its migrations in a directory, as `diesel setup` leaves them.
struct Application {
    directory: tempfile::TempDir,
    versions: Vec<String>,
}

impl Application {
    fn new(names: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in names {
            let folder = directory.path().join(name);
            let table = format!("app_{}", name.replace('-', "_"));
            write(
                &folder,
                "up.sql",
                &format!("create table {table} (n integer); insert into {table} values (1);"),
            );
            write(&folder, "down.sql", &format!("drop table {table};"));
        }
        // Diesel's version is what stands before the first underscore, without hyphens.
        let version = |name: &&str| name.split('_').next().unwrap_or_default().replace('-', "");
        Self { directory, versions: names.iter().map(version).collect() }
    }

    fn source(&self) -> FileBasedMigrations {
        FileBasedMigrations::from_path(self.directory.path()).expect("migrations")
    }

    fn migrate(&self, conn: &mut PgConnection) {
        let run: Vec<String> = conn
            .run_pending_migrations(self.source())
            .expect("the application migrates")
            .iter()
            .map(MigrationVersion::to_string)
            .collect();
        assert_eq!(run, self.versions);
        self.assert_whole(conn);
    }

    /// Every migration of the application, and nothing else, is in its ledger, and its tables are there.
    fn assert_whole(&self, conn: &mut PgConnection) {
        let ledger =
            lines(conn, "select version::text as line from public.__diesel_schema_migrations order by 1");
        assert_eq!(ledger, self.versions);
        assert_eq!(tables(conn).len(), self.versions.len());
        assert!(!conn.has_pending_migration(self.source()).expect("an answer"));
    }
}

/// An empty database whose sessions work in `public`. The default would be the schema named like the role
/// first, and a role may be named like ours.
fn database() -> TestDatabase {
    let database = TestDatabase::empty();
    let set = format!("alter database {} set search_path = public", database.name());
    run(&mut database.connection(), &set);
    database
}

fn write(folder: &Path, file: &str, text: &str) {
    fs::create_dir_all(folder).and_then(|()| fs::write(folder.join(file), text)).expect("a file");
}

fn tables(conn: &mut PgConnection) -> Vec<String> {
    lines(
        conn,
        "select tablename::text as line from pg_tables where schemaname = 'public' and tablename like 'app%' order by 1",
    )
}

/// Ours are whole: nothing pending, nothing changed, and a row can be written.
fn assert_ours_whole(database: &TestDatabase, expected: &[String]) {
    let conn = &mut database.connection();
    migrations::verify(conn).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(dump(database), expected);
    diesel::sql_query("insert into tasker.task_namespaces (name) values (clock_timestamp()::text)")
        .execute(conn)
        .expect("a row");
}

fn migrate_ours(database: &TestDatabase) -> Vec<String> {
    assert_eq!(
        migrations::run_pending(&mut database.connection()).unwrap_or_else(|e| panic!("{e}")).len(),
        3
    );
    dump(database)
}

#[test]
fn the_application_first_and_then_ours() {
    let (database, application) =
        (database(), Application::new(&["2024-01-01-000000_first", "2025-01-01-000000_second"]));
    let conn = &mut database.connection();
    application.migrate(conn);
    let ours = migrate_ours(&database);
    application.assert_whole(conn);

    let reverted =
        conn.revert_last_migration(application.source()).expect("the application reverts its last");
    assert_eq!(reverted.to_string(), "20250101000000");
    assert_ours_whole(&database, &ours);
    assert_eq!(conn.revert_all_migrations(application.source()).expect("the application reverts").len(), 1);
    assert_eq!(tables(conn), [""; 0]);
    assert_ours_whole(&database, &ours);
    application.migrate(conn);
    assert_ours_whole(&database, &ours);
}

#[test]
fn ours_first_and_then_the_application() {
    let (database, application) =
        (database(), Application::new(&["2024-01-01-000000_first", "2025-01-01-000000_second"]));
    let conn = &mut database.connection();
    let ours = migrate_ours(&database);
    application.migrate(conn);
    assert_ours_whole(&database, &ours);
    assert_eq!(conn.revert_all_migrations(application.source()).expect("the application reverts").len(), 2);
    assert_ours_whole(&database, &ours);
    application.migrate(conn);

    assert_eq!(migrations::revert_all(conn).unwrap_or_else(|e| panic!("{e}")).len(), 3);
    assert_eq!(dump(&database), [""; 0]);
    application.assert_whole(conn);
}

#[test]
fn an_application_may_use_the_versions_that_we_use() {
    let (database, application) = (
        database(),
        Application::new(&["000_zero", "0001_tables", "0002_functions", "0003_auth", "001_one"]),
    );
    let conn = &mut database.connection();
    application.migrate(conn);
    let ours = migrate_ours(&database);
    application.assert_whole(conn);
    assert_ours_whole(&database, &ours);

    // One by one, whichever way round.
    for left in (0..application.versions.len()).rev() {
        conn.revert_last_migration(application.source()).expect("the application reverts");
        assert_eq!(tables(conn).len(), left);
        assert_ours_whole(&database, &ours);
    }
    application.migrate(conn);
    assert_eq!(migrations::revert_last(conn).unwrap_or_else(|e| panic!("{e}")).as_deref(), Some("0003_auth"));
    assert_eq!(
        migrations::revert_last(conn).unwrap_or_else(|e| panic!("{e}")).as_deref(),
        Some("0002_functions")
    );
    assert_eq!(
        migrations::revert_last(conn).unwrap_or_else(|e| panic!("{e}")).as_deref(),
        Some("0001_tables")
    );
    application.assert_whole(conn);
}
