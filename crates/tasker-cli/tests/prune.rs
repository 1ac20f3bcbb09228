//! `tasker prune`: what it deletes, what it says, and that a signal stops it between two batches.

mod support;

use serde_json::json;
use support::{Bench, PRICES, TROUBLE, ended};

const TASKS: &str = "select count(*) as n from tasker.tasks";

/// Five complete tasks and one in error, all finished 40 days ago, and one complete today.
fn old() -> Bench {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    bench.file("t.yaml", TROUBLE);
    let items = "{\"items\": []}\n".repeat(5);
    bench.tasker_with(&["run", "w.yaml", "--input", "-"], &items).expect(0);
    bench.tasker_with(&["run", "t.yaml", "--input", "-"], "{\"bad\": true}").expect(3);
    bench.execute("update tasker.tasks set finished_at = finished_at - interval '40 days'");
    bench.tasker_with(&["run", "w.yaml", "--input", "-"], "{\"items\": []}").expect(0);
    bench
}

#[test]
fn only_what_is_old_and_asked_for_goes() {
    let bench = old();
    let dry = bench.tasker(&["prune", "--older-than", "30d", "--dry-run"]).expect(0).out;
    assert!(dry.contains("it would be 5 tasks") && dry.contains("complete"), "{dry}");
    assert_eq!(bench.count(TASKS), 7);
    let json = bench.tasker(&["prune", "--older-than", "30d", "--dry-run", "--state", "error", "--json"]);
    assert_eq!(json.expect(0).json()["states"][0]["tasks"], 1);
    let other = bench.tasker(&["prune", "--older-than", "30d", "--namespace", "other"]).expect(0).out;
    assert!(other.starts_with("deleted 0 tasks"), "{other}");
    let real = bench.tasker(&["prune", "--older-than", "30d", "--batch", "2", "--json"]).expect(0).json();
    assert_eq!(real["pruned"], json!({ "tasks": 5, "steps": 20, "workers": 0, "definitions": 0 }));
    assert_eq!(bench.count(TASKS), 2);
    let error = bench.tasker(&["prune", "--older-than", "30d", "--state", "error"]).expect(0).out;
    assert!(error.starts_with("deleted 1 tasks with 3 steps"), "{error}");
    let gone = bench.tasker(&["explain", "1"]).expect(4).err;
    assert!(gone.contains("there is no task 1; it was pruned"), "{gone}");
    bench.database.assert_sound();
}

#[test]
fn a_policy_that_makes_no_sense_is_refused() {
    let bench = Bench::new();
    for (args, code, said) in [
        (&["prune"][..], 2, "--older-than"),
        (&["prune", "--older-than", "30 moons"], 2, "no unit"),
        (&["prune", "--older-than", "1e9d"], 4, "1970"),
        (&["prune", "--older-than", "1d", "--state", "pending"], 2, "are not pruned"),
        (&["prune", "--older-than", "1d", "--state", "gone"], 2, "no state of a task"),
        (&["prune", "--older-than", "1d", "--batch", "0"], 2, "--batch"),
    ] {
        let ran = bench.tasker(args).expect(code);
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
}

/// The batch that is under way waits for a lock of ours; the signal comes, the lock goes, the batch ends, and there
/// is no other.
#[test]
fn a_signal_stops_it_after_the_batch() {
    let bench = old();
    let mut holder = bench.database.connection();
    let hold = "begin; lock table tasker.task_annotations in access exclusive mode";
    diesel::connection::SimpleConnection::batch_execute(&mut holder, hold).unwrap();
    let pruning = bench.start(&["prune", "--older-than", "30d", "--batch", "1"]);
    let blocked = "select count(*) as n from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    while bench.count(blocked) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let kill = std::process::Command::new("kill").args(["-TERM", &pruning.id().to_string()]).status();
    assert!(kill.unwrap().success());
    // It has heard of it once it has said so, which it does at once; the batch goes on waiting.
    let mut pruning = pruning;
    let mut said = String::new();
    let mut stderr = std::io::BufReader::new(pruning.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
    assert_eq!(said, "stopping after this batch\n");
    diesel::connection::SimpleConnection::batch_execute(&mut holder, "commit").unwrap();
    let ran = ended(pruning).expect(130);
    assert!(ran.out.starts_with("deleted 1 tasks with 4 steps"), "{ran:?}");
    assert_eq!(bench.count(TASKS), 6);
    bench.database.assert_sound();
}
