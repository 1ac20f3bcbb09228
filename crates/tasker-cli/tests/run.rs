//! `tasker run`, and the same in two parts: `tasker submit` and `tasker worker`.

mod support;

use serde_json::json;
use support::{Bench, PRICES, TROUBLE, ended};

const CARTS: &str = r#"{"carts": [
  {"items": [{"price": 1}, {"price": 2}]}, {"items": []}, {"items": [{"price": 5}]}]}"#;

#[test]
fn every_form_of_input_runs_to_its_end() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    let lines = "{\"items\": [{\"price\": 3}]}\n{\"items\": []}\n";
    for (input, at, tasks) in [(CARTS, "/carts", 3), (lines, "", 2), (CARTS, "/carts/0", 1)] {
        let ran =
            bench.tasker_with(&["run", "w.yaml", "--input", "-", "--at", at, "--json"], input).expect(0);
        let summary = ran.json();
        assert_eq!(summary["states"], json!({ "complete": tasks }), "{summary}");
        assert_eq!((&summary["created"], &summary["retries"]), (&json!(tasks), &json!(0)), "{summary}");
    }
    let shown = bench.tasker(&["task", "show", "1", "--history", "--json"]).expect(0).json();
    assert_eq!(shown["steps"][3]["results"], json!({ "total": 3, "count": 2 }));
    assert_eq!(shown["step_transitions"].as_array().unwrap().len(), 8);
    assert_eq!(shown["task"]["initiator"], "tester");
    bench.database.assert_sound();
}

#[test]
fn people_read_a_table_and_why_a_task_failed() {
    let bench = Bench::new();
    bench.file("w.yaml", TROUBLE);
    let ran = bench.tasker_with(&["run", "w.yaml", "--input", "-"], "[{\"bad\": true}, {}]").expect(3);
    assert!(ran.out.contains("complete  1") && ran.out.contains("error     1"), "{}", ran.out);
    assert!(
        ran.out.contains("task 1: step `judge` failed for good: ") && ran.out.contains("it is bad"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains('\u{1b}'), "no colours in a pipe: {}", ran.out);
    let listed = bench.tasker(&["task", "list", "--state", "error", "--json"]).expect(0).json();
    assert_eq!(listed[0]["workflow"], "shop.trouble@0.1.0");
    assert_eq!(listed[0]["progress"]["dead_steps"], 1);
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[test]
fn setup_runs_before_the_first_task_and_bears_repetition() {
    let bench = Bench::new();
    let sold = "name: sold\nsetup: create table if not exists sales (cart integer, total integer)\nstep_templates:\n  - name: sell\n    handler_class: sql\n    handler_config:\n      statement: |\n        insert into sales select ($1 #>> '{context,id}')::integer, 7 returning total\n";
    bench.file("w.yaml", sold);
    for _ in 0..2 {
        let ran =
            bench.tasker_with(&["run", "w.yaml", "--input", "-"], "[{\"id\": 1}, {\"id\": 2}]").expect(0);
        assert!(ran.err.is_empty(), "{}", ran.err);
    }
    assert_eq!(bench.count("select count(*) as n from sales"), 4);
    bench.file("w.yaml", &sold.replace("create table if not exists sales", "create tabel"));
    let ran = bench.tasker(&["submit", "w.yaml"]).expect(4);
    assert!(ran.err.contains("the workflow's setup failed: syntax error"), "{}", ran.err);
    assert_eq!(bench.count("select count(*) as n from tasker.tasks"), 4);
}

#[test]
fn variables_come_from_the_environment_of_who_runs() {
    let bench = Bench::new();
    bench.file(
        "w.yaml",
        "name: w\nstep_templates:\n  - { name: ask, handler_class: http, default_retry_limit: 1, handler_config: { url: \"http://${UNSET_IN_TESTS}/secret\" } }\n",
    );
    bench.tasker(&["submit", "w.yaml"]).expect(0);
    let mut command = support::command(bench.dir.path());
    command.env("TASKER_DATABASE_URL", bench.database.url()).env("UNSET_IN_TESTS", "127.0.0.1:1");
    let ran = support::run(command.args(["run", "w.yaml"]), "").expect(3);
    assert!(ran.out.contains("has used up its attempts (1 of 1): HTTP_CONNECT"), "{}", ran.out);
    assert!(ran.out.contains("${UNSET_IN_TESTS}") && !ran.out.contains("127.0.0.1:1"), "{}", ran.out);
}

#[test]
fn without_a_database_a_private_one_is_kept_and_migrated() {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::write(dir.path().join("w.yaml"), PRICES).unwrap();
    // The server runs as another user where the tests run as root.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let tasker = |args: &[&str], stdin: &str| {
        let mut command = support::command(dir.path());
        support::run(command.env("TASKER_DATA_DIR", dir.path().join("pg")).args(args), stdin)
    };
    let ran = tasker(&["run", "w.yaml", "--input", "-"], "{\"items\": []}").expect(0);
    assert!(ran.err.starts_with("database: private PostgreSQL "), "{}", ran.err);
    assert!(tasker(&["pg", "status"], "").expect(0).out.contains("does not run"));
    let listed = tasker(&["task", "list", "--json"], "").expect(0).json();
    assert_eq!(listed[0]["state"], "complete");
    assert_eq!(tasker(&["pg", "stop", "--json"], "").expect(0).json()["stopped"], false);
}

#[test]
fn an_empty_array_is_nothing_to_do() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    let ran = bench.tasker_with(&["run", "w.yaml", "--input", "-", "--json"], "[]").expect(0);
    assert_eq!(ran.json()["tasks"], 0);
}

#[test]
fn the_same_submission_twice_is_one_task() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    let submit = ["submit", "w.yaml", "--input", "-", "--identity", "hash", "--json"];
    let first = bench.tasker_with(&submit, "{\"items\": []}").expect(0).json();
    assert_eq!(first, json!([{ "task_id": 1, "created": true, "state": "pending" }]));
    let twice = bench.tasker_with(&submit, "[{\"items\": []}, {\"items\": [1]}]").expect(0).json();
    assert_eq!((&twice[0]["task_id"], &twice[0]["created"]), (&json!(1), &json!(false)));
    assert_eq!(twice[1]["created"], true);
    // A run of what exists waits for it and runs nothing twice.
    let run = [&["run"], &submit[1..]].concat();
    let summary = bench.tasker_with(&run, "{\"items\": []}").expect(0).json();
    assert_eq!((&summary["created"], &summary["states"]), (&json!(0), &json!({ "complete": 1 })));
    bench.tasker_with(&run, "{\"items\": []}").expect(0);
}

#[test]
fn a_worker_does_what_was_submitted_and_stops() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    bench.tasker_with(&["submit", "w.yaml", "--input", "-", "--at", "/carts"], CARTS).expect(0);
    let elsewhere =
        bench.tasker(&["worker", "--until-idle", "--namespace", "other", "--json"]).expect(0).json();
    assert_eq!(elsewhere["completed"], 0);
    let report = bench.tasker(&["worker", "--until-idle", "--json"]).expect(0).json();
    assert_eq!((&report["completed"], &report["failed"]), (&json!(12), &json!(0)));
    bench.database.assert_sound();
}

#[test]
fn a_bypassed_step_counts_as_done() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    let args = ["run", "w.yaml", "--input", "-", "--bypass", "count"];
    bench.tasker_with(&args, "{\"items\": [{\"price\": 4}]}").expect(0);
    let steps = bench.tasker(&["task", "show", "1", "--json"]).expect(0).json()["steps"].clone();
    assert_eq!(steps[2]["state"], "resolved_manually");
    assert_eq!(steps[3]["results"], json!({ "total": 4, "count": null }));
}

#[test]
fn an_interrupted_run_gives_back_what_ran_and_a_worker_goes_on() {
    let bench = Bench::new();
    let nap = "name: nap\nstep_templates:\n  - { name: nap, handler_class: sleep, handler_config: { duration: 3s } }\n";
    bench.file("w.yaml", nap);
    let running = bench.start(&["run", "w.yaml", "--json"]);
    let claimed = "select count(*) as n from tasker.workflow_steps where state = 'in_progress'";
    while bench.count(claimed) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for _ in 0..2 {
        let pid = running.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let ran = ended(running).expect(130);
    assert!(ran.err.contains("press Ctrl-C again"), "{}", ran.err);
    assert_eq!(bench.count(claimed), 1, "its lease still holds the step");
    bench.execute("update tasker.workers set lease_until = last_seen_at - interval '1 s', ended_at = null");
    bench.tasker(&["worker", "--until-idle"]).expect(0);
    assert_eq!(bench.count("select count(*) as n from tasker.tasks where state = 'complete'"), 1);
}
