//! A schema that does not fit the program, and a role that may not use it.

mod support;

use support::{Bench, PRICES, Ran, command, run};
use tasker_model::migrations;
use tasker_testkit::TestDatabase;

fn submit(bench: &Bench, more: &[&str]) -> Ran {
    bench.file("w.yaml", PRICES);
    let args = [&["submit", "w.yaml", "--input", "-"], more].concat();
    bench.tasker_with(&args, "{\"items\": []}")
}

#[test]
fn an_old_schema_is_refused_until_it_is_migrated() {
    let bench = Bench::new();
    let reverted = migrations::revert_last(&mut bench.database.connection()).unwrap().unwrap();
    let ran = submit(&bench, &[]).expect(6);
    assert!(ran.err.contains(&format!("lacks {reverted}; run `tasker migrate`")), "{}", ran.err);
    bench.assert_untouched("old schema");
    bench.tasker(&["migrate", "verify"]).expect(6);
    let status = bench.tasker(&["migrate", "status", "--json"]).expect(0).json();
    assert_eq!(status["fits"], false);
    submit(&bench, &["--migrate"]).expect(0);
    bench.tasker(&["migrate", "verify"]).expect(0);
}

#[test]
fn a_new_schema_is_refused() {
    let bench = Bench::new();
    bench.execute("insert into tasker.migrations (version, checksum) values ('9999_later', 'x')");
    for more in [&[][..], &["--migrate"]] {
        let ran = submit(&bench, more).expect(6);
        assert!(ran.err.contains("9999_later") && ran.err.contains("newer version"), "{}", ran.err);
    }
    bench.tasker(&["migrate"]).expect(6);
    bench.assert_untouched("new schema");
}

#[test]
fn an_empty_database_is_migrated_up_and_down() {
    let mut bench = Bench::new();
    bench.database = TestDatabase::empty();
    submit(&bench, &[]).expect(6);
    assert!(bench.tasker(&["migrate"]).expect(0).out.contains("applied 0001_tables"));
    assert_eq!(bench.tasker(&["migrate", "up"]).expect(0).out, "the schema is up to date\n");
    submit(&bench, &[]).expect(0);
    bench.tasker(&["migrate", "down", "--all"]).expect(2);
    assert_eq!(bench.count("select count(*) as n from tasker.tasks"), 1, "nothing happens without --yes");
    bench.tasker(&["migrate", "down", "--all", "--yes"]).expect(0);
    assert_eq!(bench.count("select count(*) as n from pg_namespace where nspname = 'tasker'"), 0);
    let sql = bench.tasker(&["migrate", "sql"]).expect(0).out;
    assert!(sql.contains("create table tasker.tasks"), "{}", &sql[..200]);
}

#[test]
fn a_role_without_rights_is_told_what_it_lacks() {
    let bench = Bench::new();
    let role = format!("{}_guest", bench.database.name());
    bench.execute(&format!("create role {role} login password 'geheim'"));
    let url = bench.database.url();
    let (_, after) = url.split_once('@').unwrap();
    let url = format!("postgres://{role}:geheim@{after}");
    bench.file("w.yaml", PRICES);
    for args in [&["submit", "w.yaml"][..], &["task", "list"], &["migrate"], &["worker", "--until-idle"]] {
        let ran = run(command(bench.dir.path()).env("DATABASE_URL", &url).args(args), "").expect(5);
        assert!(ran.err.contains("permission denied"), "{args:?}: {}", ran.err);
        assert!(!ran.err.contains("geheim"), "{}", ran.err);
    }
    bench.assert_untouched("a role without rights");
    bench.execute(&format!("drop role {role}"));
}
