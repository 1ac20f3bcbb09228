//! The harness of our migrations, and that what they install is what the sources say.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{Barrier, OnceLock},
    thread,
};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use support::{dump, lines, run};
use tasker_model::migrations::{self, MigrationError};
use tasker_testkit::TestDatabase;

const ALL: [&str; 3] = ["0001_tables", "0002_functions", "0003_auth"];

fn migrate(database: &TestDatabase) {
    migrations::run_pending(&mut database.connection()).unwrap_or_else(|e| panic!("{e}"));
}

/// What a migration that nothing disturbed leaves behind.
fn undisturbed() -> &'static [String] {
    static DUMP: OnceLock<Vec<String>> = OnceLock::new();
    DUMP.get_or_init(|| {
        let database = TestDatabase::empty();
        migrate(&database);
        dump(&database)
    })
}

fn source(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), path].iter().collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(source(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Name and text of each file of `sql/functions`, by name.
fn function_files() -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(source("sql/functions"))
        .expect("the functions travel with the crate")
        .map(|entry| {
            let path = entry.expect("a directory entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a text"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn up_down_up_is_the_identity() {
    let database = TestDatabase::empty();
    let conn = &mut database.connection();
    assert_eq!(migrations::run_pending(conn).unwrap(), ALL);
    let first = dump(&database);
    assert!(
        first.iter().any(|l| l.starts_with("function")) && first.iter().any(|l| l.starts_with("trigger"))
    );
    assert_eq!(migrations::run_pending(conn).unwrap(), [""; 0], "nothing is applied twice");
    assert_eq!(migrations::revert_all(conn).unwrap(), ["0003_auth", "0002_functions", "0001_tables"]);
    assert_eq!(dump(&database), [""; 0], "the schema is gone");
    assert_eq!(
        lines(conn, "select relname::text as line from pg_class where relnamespace = 'public'::regnamespace"),
        [""; 0]
    );
    assert_eq!(migrations::revert_last(conn).unwrap(), None);
    assert_eq!(migrations::run_pending(conn).unwrap(), ALL);
    assert_eq!(dump(&database), first);
}

#[test]
fn each_migration_reverts_to_what_was_before_it() {
    let database = TestDatabase::empty();
    let conn = &mut database.connection();
    migrate(&database);
    assert_eq!(migrations::revert_last(conn).unwrap().as_deref(), Some("0003_auth"));
    assert_eq!(migrations::pending(conn).unwrap(), ["0003_auth"]);
    let tables_and_functions = dump(&database);
    assert_eq!(migrations::revert_last(conn).unwrap().as_deref(), Some("0002_functions"));
    assert_eq!(migrations::pending(conn).unwrap(), ["0002_functions", "0003_auth"]);
    let tables = dump(&database);
    run(
        conn,
        &format!(
            "set search_path = pg_catalog; drop schema tasker cascade; create schema tasker; {}",
            read("migrations/0001_tables/up.sql")
        ),
    );
    let without_ledger =
        |all: Vec<String>| -> Vec<String> { all.into_iter().filter(|l| !l.contains("migrations")).collect() };
    assert_eq!(without_ledger(tables), without_ledger(dump(&database)));
    run(conn, &format!("set check_function_bodies = off; {}", read("migrations/0002_functions/up.sql")));
    assert_eq!(without_ledger(tables_and_functions), without_ledger(dump(&database)));
}

#[test]
fn the_functions_of_a_migrated_database_are_those_of_the_files() {
    let database = TestDatabase::empty();
    migrate(&database);
    let before = dump(&database);
    let conn = &mut database.connection();
    for (_, text) in function_files() {
        run(conn, &text);
    }
    assert_eq!(
        dump(&database),
        before,
        "migrations/0002_functions is not what sql/functions says; run `cargo xtask codegen`"
    );
}

#[test]
fn every_function_has_one_file_of_its_name() {
    let beside_tables = read("migrations/0001_tables/up.sql") + &read("migrations/0003_auth/up.sql");
    let of_tables: Vec<String> = beside_tables
        .lines()
        .filter_map(|l| l.strip_prefix("create function tasker."))
        .filter_map(|l| Some(l.split_once('(')?.0.to_owned()))
        .collect();
    assert!(of_tables.contains(&"is_claimable".to_owned()));
    let database = TestDatabase::new();
    let installed = lines(
        &mut database.connection(),
        "select proname::text as line from pg_proc where pronamespace = 'tasker'::regnamespace order by 1",
    );
    let (installed_once, count) = (BTreeSet::from_iter(&installed), installed.len());
    assert_eq!(installed_once.len(), count, "a function is overloaded");
    let files = function_files();
    let mut known: Vec<&String> = files.iter().map(|(name, _)| name).chain(&of_tables).collect();
    known.sort();
    assert_eq!(known, installed.iter().collect::<Vec<_>>());
    for (name, text) in &files {
        assert!(
            text.contains(&format!("create or replace function tasker.{name}(")),
            "{name}.sql creates another function"
        );
        assert!(text.contains(&format!("comment on function tasker.{name}(")), "{name} has no comment");
        assert!(text.starts_with("-- "), "{name}.sql has no header");
    }
}

#[test]
fn the_second_migration_is_the_files_one_after_another() {
    let mut expected =
        "-- Generated from sql/functions by `cargo xtask codegen`: the functions as they are installed.\n"
            .to_owned();
    for (_, text) in function_files() {
        expected.push('\n');
        expected.push_str(&text);
    }
    assert!(read("migrations/0002_functions/up.sql") == expected, "run `cargo xtask codegen`");
}

#[test]
fn schema_rs_is_what_the_catalog_says() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    run(conn, "set search_path = pg_catalog");
    // The ledger is the harness's own but is bound like the rest.
    let generated = lines(conn, &read("sql/codegen/schema.sql")).join("\n") + "\n";
    let file = read("src/schema.rs");
    let (header, below) = file.split_once("\n\n").expect("a header, then a blank line");
    assert_eq!(header.lines().count(), 2);
    assert!(header.lines().all(|l| l.starts_with("//! ")));
    let difference = generated.lines().zip(below.lines()).find(|(a, b)| a != b);
    assert!(generated == below, "run `cargo xtask codegen`; the first difference is {difference:?}");
}

#[test]
fn the_texts_shown_are_the_texts_run() {
    use diesel::migration::MigrationSource;
    let mut embedded: Vec<String> = MigrationSource::<diesel::pg::Pg>::migrations(&migrations::MIGRATIONS)
        .unwrap()
        .iter()
        .map(|m| m.name().to_string())
        .collect();
    embedded.sort();
    assert_eq!(embedded, migrations::texts().map(|(name, _, _)| name).collect::<Vec<_>>());
    for (name, up, down) in migrations::texts() {
        assert_eq!(up, read(&format!("migrations/{name}/up.sql")));
        assert_eq!(down, read(&format!("migrations/{name}/down.sql")));
    }
}

#[test]
fn verify_names_what_is_missing() {
    let database = TestDatabase::empty();
    let conn = &mut database.connection();
    let error = migrations::verify(conn).unwrap_err();
    assert!(matches!(&error, MigrationError::Pending(names) if names == &ALL));
    assert_eq!(
        error.to_string(),
        "the schema of the database lacks 0001_tables, 0002_functions, 0003_auth; run `tasker migrate`"
    );
    assert_eq!(dump(&database), [""; 0], "asking writes nothing");
    migrate(&database);
    migrations::verify(conn).unwrap();
    migrations::revert_last(conn).unwrap();
    let error = migrations::verify(conn).unwrap_err();
    assert!(matches!(error, MigrationError::Pending(names) if names == ["0003_auth"]));
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    run(
        conn,
        "insert into tasker.migrations (version, checksum) values ('0003_later', 'of a later version')",
    );
    let before = dump(&database);
    let unknown = |e: MigrationError| {
        matches!(&e, MigrationError::Unknown(names) if names == &["0003_later"])
            && e.to_string().contains("0003_later")
    };
    assert!(unknown(migrations::verify(conn).unwrap_err()));
    assert!(unknown(migrations::run_pending(conn).unwrap_err()));
    assert!(unknown(migrations::revert_last(conn).unwrap_err()), "0003 may stand on what 0002 made");
    assert!(unknown(migrations::revert_all(conn).unwrap_err()));
    assert_eq!(dump(&database), before);
}

#[test]
fn a_text_that_changed_after_it_was_applied_is_noticed() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    run(conn, "update tasker.migrations set checksum = 'another' where version = '0001_tables'");
    for error in [migrations::verify(conn).unwrap_err(), migrations::run_pending(conn).unwrap_err()] {
        assert!(matches!(&error, MigrationError::Changed { name } if name == "0001_tables"), "{error}");
        assert!(error.to_string().contains("0001_tables was applied with another text"));
    }
}

#[test]
fn a_role_without_rights_is_told_so() {
    let database = TestDatabase::empty();
    let conn = &mut database.connection();
    let role = format!("{}_reader", database.name());
    run(conn, &format!("create role {role}; set role {role}"));
    let error = migrations::run_pending(conn).unwrap_err();
    assert!(matches!(&error, MigrationError::Failed { name, .. } if name == "0001_tables"));
    let sentence = format!(
        "migration 0001_tables failed and was rolled back: permission denied for database {}",
        database.name()
    );
    assert_eq!(error.to_string(), sentence);
    run(conn, "reset role");
    migrate(&database);
    run(conn, &format!("set role {role}"));
    let error = migrations::verify(conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger of migrations could not be used: permission denied for schema tasker"
    );
    // With the right to read, and no other, it can be verified.
    run(
        conn,
        &format!(
            "reset role; grant usage on schema tasker to {role}; grant select on tasker.migrations to {role}; set role {role}"
        ),
    );
    migrations::verify(conn).unwrap();
    run(conn, &format!("reset role; drop owned by {role}; drop role {role}"));
}

#[test]
fn many_processes_may_migrate_at_once() {
    let expected = undisturbed();
    for (processes, default) in [(2, "read committed"), (8, "read committed"), (4, "repeatable read")] {
        let database = TestDatabase::empty();
        let set =
            format!("alter database {} set default_transaction_isolation = '{default}'", database.name());
        run(&mut database.connection(), &set);
        let barrier = Barrier::new(processes);
        let mut applied: Vec<String> = thread::scope(|scope| {
            let workers: Vec<_> = (0..processes)
                .map(|_| {
                    scope.spawn(|| {
                        let mut conn = database.connection();
                        barrier.wait();
                        migrations::run_pending(&mut conn)
                            .unwrap_or_else(|e| panic!("{processes} at once: {e}"))
                    })
                })
                .collect();
            workers.into_iter().flat_map(|w| w.join().expect("no panic")).collect()
        });
        applied.sort();
        assert_eq!(applied, ALL, "each is applied once");
        let ledger =
            lines(&mut database.connection(), "select version as line from tasker.migrations order by 1");
        assert_eq!(ledger, ALL);
        assert_eq!(dump(&database), expected);
    }
}

#[test]
fn many_processes_may_revert_at_once() {
    let database = TestDatabase::new();
    let barrier = Barrier::new(4);
    let mut reverted: Vec<String> = thread::scope(|scope| {
        let revert = || {
            let mut conn = database.connection();
            barrier.wait();
            migrations::revert_all(&mut conn).unwrap_or_else(|e| panic!("{e}"))
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(revert)).collect();
        workers.into_iter().flat_map(|w| w.join().expect("no panic")).collect()
    });
    reverted.sort();
    assert_eq!(reverted, ALL, "each is taken back once");
    assert_eq!(dump(&database), [""; 0]);
}

#[test]
fn what_else_stands_in_the_schema_stays() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    run(conn, "create table tasker.of_the_host (n integer); insert into tasker.of_the_host values (7)");
    assert_eq!(migrations::revert_all(conn).unwrap(), ["0003_auth", "0002_functions", "0001_tables"]);
    assert_eq!(lines(conn, "select n::text as line from tasker.of_the_host"), ["7"]);
    assert_eq!(migrations::run_pending(conn).unwrap(), ALL);
    migrations::verify(conn).unwrap();
}

#[test]
fn a_failing_migration_leaves_nothing_of_itself() {
    let database = TestDatabase::empty();
    let conn = &mut database.connection();
    run(conn, "create schema tasker; create table tasker.workers (mine integer)");
    let error = migrations::run_pending(conn).unwrap_err();
    assert!(matches!(&error, MigrationError::Failed { name, .. } if name == "0001_tables"));
    assert!(error.to_string().contains("\"workers\" already exists"), "{error}");
    let left =
        lines(conn, "select relname::text as line from pg_class where relnamespace = 'tasker'::regnamespace");
    assert_eq!(left, ["workers"]);
}

#[test]
fn inside_a_transaction_of_the_caller_everything_is_the_callers() {
    let database = TestDatabase::empty();
    let conn = &mut database.connection();
    let settings = "select concat_ws(' ', current_setting('search_path'), current_setting('check_function_bodies'), current_setting('client_min_messages')) as line";
    run(conn, "set search_path = public, pg_temp; set client_min_messages = notice");
    let before = lines(conn, settings);
    let rolled_back: Result<(), diesel::result::Error> = conn.transaction(|conn| {
        assert_eq!(migrations::run_pending(conn).unwrap(), ALL);
        migrations::verify(conn).unwrap();
        assert_eq!(
            lines(conn, settings),
            before,
            "the rest of the caller's transaction sees its own settings"
        );
        run(conn, "create table in_public (n integer)");
        Err(diesel::result::Error::RollbackTransaction)
    });
    assert_eq!(rolled_back, Err(diesel::result::Error::RollbackTransaction));
    assert_eq!(dump(&database), [""; 0]);
    assert_eq!(lines(conn, settings), before);
    conn.transaction(|conn| migrations::run_pending(conn).map(drop)).unwrap();
    assert_eq!(dump(&database), undisturbed());
    conn.transaction(|conn| migrations::revert_all(conn).map(drop)).unwrap();
    assert_eq!(dump(&database), [""; 0]);
    assert_eq!(lines(conn, settings), before);
}

/// A schema whose every name is one that a migration or the harness might mean, each of them wrong.
fn lay_traps(conn: &mut PgConnection) {
    run(conn, "create schema evil; set search_path = pg_catalog");
    let functions = [
        ("now()", "timestamptz"),
        ("clock_timestamp()", "timestamptz"),
        ("statement_timestamp()", "timestamptz"),
        ("sha256(bytea)", "bytea"),
        ("length(text)", "integer"),
        ("jsonb_typeof(jsonb)", "text"),
        ("string_to_array(text, text)", "text[]"),
        ("to_regclass(text)", "regclass"),
        ("to_regnamespace(text)", "regnamespace"),
        ("current_setting(text)", "text"),
        ("set_config(text, text, boolean)", "text"),
        ("hashtextextended(text, bigint)", "bigint"),
        ("pg_advisory_xact_lock(bigint)", "void"),
        ("gen_random_uuid()", "uuid"),
        ("unnest(anyarray)", "anyelement"),
        ("array_agg(anynonarray)", "anyarray"),
        // Not reachable by the keyword, but tried.
        ("\"coalesce\"(text, text)", "text"),
        ("\"least\"(text, text)", "text"),
    ];
    for (signature, result) in functions {
        run(
            conn,
            &format!(
                "create function evil.{signature} returns {result} language plpgsql as $$ begin raise exception 'evil.{}'; end $$",
                signature.replace('"', "")
            ),
        );
    }
    for (name, left, right) in [
        ("=", "text", "text"),
        ("<>", "text", "text"),
        ("~", "text", "text"),
        ("<=", "integer", "integer"),
        (">=", "integer", "integer"),
        ("||", "text", "text"),
        ("=", "integer", "integer"),
        ("<", "integer", "integer"),
    ] {
        let result = if name == "||" { "text" } else { "boolean" };
        run(
            conn,
            &format!(
                "create or replace function evil.trap({left}, {right}) returns {result} language plpgsql as $$ begin raise exception 'evil {name}'; end $$;
                 create operator evil.{name} (leftarg = {left}, rightarg = {right}, function = evil.trap)"
            )
            .replace("evil.trap", &format!("evil.trap_{left}_{result}")),
        );
    }
    for table in ["tasks", "workers", "queues", "workflow_steps", "migrations", "pg_class", "pg_namespace"] {
        run(conn, &format!("create table evil.{table} (evil boolean)"));
    }
    run(
        conn,
        "create domain evil.text as pg_catalog.int4; create domain evil.jsonb as pg_catalog.int4; create domain evil.timestamptz as pg_catalog.int4; reset search_path",
    );
}

#[test]
fn the_search_path_plays_no_part() {
    let expected = undisturbed();
    for (path, hostile) in
        [("''", false), ("pg_temp", false), ("evil, pg_catalog, public", true), ("evil, public", true)]
    {
        let database = TestDatabase::empty();
        let conn = &mut database.connection();
        if hostile {
            lay_traps(conn);
        }
        run(conn, &format!("set search_path = {path}"));
        let applied = migrations::run_pending(conn).unwrap_or_else(|e| panic!("search_path {path}: {e}"));
        assert_eq!(applied, ALL);
        migrations::verify(conn).unwrap_or_else(|e| panic!("search_path {path}: {e}"));
        assert_eq!(migrations::status(conn).unwrap().iter().filter(|s| s.applied).count(), 3);
        assert_eq!(dump(&database), expected, "search_path {path}");
        let kept = lines(
            &mut database.connection(),
            "select count(*)::text as line from pg_class where relnamespace = 'public'::regnamespace",
        );
        assert_eq!(kept, ["0"]);
        migrations::revert_all(conn).unwrap_or_else(|e| panic!("search_path {path}: {e}"));
        assert_eq!(dump(&database), [""; 0]);
    }
}

#[test]
fn the_traps_of_the_hostile_search_path_are_traps() {
    let database = TestDatabase::empty();
    let conn = &mut database.connection();
    lay_traps(conn);
    run(conn, "set search_path = evil, pg_catalog, public");
    for statement in [
        "select now()",
        "select 'a'::pg_catalog.text = 'a'::pg_catalog.text",
        "select sha256(''::bytea)",
        "select 1 >= 1",
    ] {
        let refused = conn.batch_execute(statement).unwrap_err().to_string();
        assert!(refused.starts_with("evil"), "{statement}: {refused}");
    }
}
