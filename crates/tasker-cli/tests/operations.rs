//! What people do to tasks and steps, and what explains where they stand.

mod support;

use serde_json::json;
use support::{Bench, PRICES, TROUBLE, command, run};

/// Task 1 has failed at `judge`, task 2 is complete.
fn in_trouble() -> Bench {
    let bench = Bench::new();
    bench.file("w.yaml", TROUBLE);
    bench.tasker_with(&["run", "w.yaml", "--input", "-"], "[{\"bad\": true}, {}]").expect(3);
    bench
}

#[test]
fn cancelling_says_what_became_of_each_task() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    bench.tasker_with(&["submit", "w.yaml", "--input", "-"], "[{\"items\": []}, {\"items\": []}]").expect(0);
    let dry = bench.tasker(&["task", "cancel", "1", "--dry-run"]).expect(0);
    assert!(
        dry.out.contains("would be cancelled, with 4 steps") && dry.out.contains("nothing was changed"),
        "{}",
        dry.out
    );
    assert_eq!(bench.count("select count(*) as n from tasker.tasks where state = 'cancelled'"), 0);
    let real = bench.tasker(&["task", "cancel", "1", "--reason", "not wanted"]).expect(0);
    assert_eq!(real.out, "task 1 is cancelled, with 4 steps\n");
    assert_eq!(bench.tasker(&["task", "cancel", "1"]).expect(0).out, "task 1 was cancelled already\n");
    let shown = bench.tasker(&["task", "show", "1", "--history", "--json"]).expect(0).json();
    let log = &shown["task_transitions"][0];
    assert_eq!((&log["actor"], &log["reason"]), (&json!("tester"), &json!("not wanted")));
    bench.tasker(&["worker", "--until-idle"]).expect(0);
    let mixed = bench.tasker(&["task", "cancel", "2", "9"]).expect(7);
    assert_eq!(mixed.err, "error: task 2 is complete, which does not allow it\nerror: there is no task 9\n");
}

#[test]
fn a_failed_task_is_explained_resolved_and_goes_on() {
    let bench = in_trouble();
    let why = bench.tasker(&["explain", "1"]).expect(0).out;
    for sentence in [
        "task 1 of shop.trouble@0.1.0 is error; 1 of 3 steps are done",
        "judge failed for good: ",
        "tasker step resolve 1 judge",
        "ship waits for `judge` (error since ",
        ", attempt 1 of 3, dead); 0 of 1 parents are done",
        "and      is not claimed, because its task is error",
        "change   somebody has to retry or resolve `judge`",
    ] {
        assert!(why.contains(sentence), "{sentence}: {why}");
    }
    let dry = bench.tasker(&["step", "resolve", "1", "judge", "--dry-run", "--json"]).expect(0).json();
    let ship = dry["changes"].as_array().unwrap().iter().find(|c| c["step"] == "ship").unwrap();
    assert_eq!(
        (&ship["from"], &ship["to"]),
        (&json!("pending, waiting for 1 parent"), &json!("pending, claimable"))
    );
    bench.tasker(&["step", "skip", "1", "judge"]).expect(7);
    bench.tasker(&["step", "resolve", "1", "judge", "--result", "{no"]).expect(4);
    bench.tasker(&["step", "resolve", "1", "judge", "--result", "\"\\u0000\""]).expect(4);
    bench.tasker(&["step", "resolve", "1", "nothing"]).expect(4);
    bench.file("r.json", "{\"by\": \"hand\"}");
    bench.tasker(&["step", "resolve", "1", "judge", "--result", "@r.json", "--actor", "ann"]).expect(0);
    let ready = bench.tasker(&["explain", "1", "ship"]).expect(0).out;
    assert!(ready.contains("no living worker serves handler `jq` in namespace `shop`"), "{ready}");
    bench.tasker(&["worker", "--until-idle"]).expect(0);
    let steps = bench.tasker(&["task", "show", "1", "--json"]).expect(0).json()["steps"].clone();
    assert_eq!(steps[2]["results"], json!({ "by": "hand" }));
    bench.database.assert_sound();
}

#[test]
fn a_retry_gives_new_attempts_only_to_what_failed() {
    let bench = in_trouble();
    let dry = bench.tasker(&["task", "retry", "1", "--dry-run"]).expect(0).out;
    assert!(
        dry.contains("step `judge`: error, dead, generation 1 → pending, claimable, generation 2"),
        "{dry}"
    );
    bench.tasker(&["task", "retry", "2"]).expect(7);
    bench.tasker(&["step", "retry", "1", "fetch"]).expect(7);
    bench.tasker(&["step", "retry", "1", "judge", "--reason", "try again"]).expect(0);
    bench.tasker(&["worker", "--until-idle"]).expect(0);
    bench.tasker(&["task", "retry", "1"]).expect(0);
    let steps = bench.tasker(&["task", "show", "1", "--json"]).expect(0).json()["steps"].clone();
    assert_eq!((&steps[0]["generation"], &steps[1]["generation"]), (&json!(1), &json!(3)));
}

#[test]
fn a_step_is_run_anew_with_what_was_built_on_it() {
    let bench = in_trouble();
    let refused = bench.tasker(&["step", "reset", "2", "fetch"]).expect(7);
    assert_eq!(
        refused.err,
        "error: step `fetch` of task 2 has children that ran on its result; retry from it to run them anew too\n"
    );
    let dry = bench.tasker(&["step", "retry-from", "2", "judge", "--dry-run"]).expect(0).out;
    for line in [
        "step `judge` of task 2 would be reset, with 1 descendant",
        "task 2 the task: complete → pending",
        "task 2 step `judge`: complete, generation 1 → pending, claimable, generation 2",
        "task 2 step `ship`: complete, generation 1 → pending, waiting for 1 parent, generation 2",
    ] {
        assert!(dry.contains(line), "{line}: {dry}");
    }
    let real = bench.tasker(&["step", "retry-from", "2", "judge", "--reason", "new prices"]).expect(0).out;
    assert_eq!(real, "step `judge` of task 2 is reset, with 1 descendant\n");
    let again = bench.tasker(&["step", "retry-from", "2", "judge"]).expect(0).out;
    assert_eq!(again, "step `judge` of task 2 was pending already\n");
    bench.tasker(&["worker", "--until-idle"]).expect(0);
    let steps = bench.tasker(&["task", "show", "2", "--json"]).expect(0).json()["steps"].clone();
    assert_eq!([&steps[0]["generation"], &steps[2]["generation"]], [&json!(1), &json!(2)]);
    bench.database.assert_sound();
}

#[test]
fn what_is_paused_says_so_and_goes_on_when_it_is_resumed() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    bench.tasker_with(&["submit", "w.yaml", "--input", "-"], "{\"items\": []}").expect(0);
    for (pause, resume) in [
        (&["task", "pause", "1"][..], &["task", "resume", "1"][..]),
        (&["step", "pause", "1", "load"], &["step", "resume", "1", "load"]),
        (
            &["queue", "pause", "--namespace", "shop"],
            &["queue", "resume", "--namespace", "shop", "--handler", "jq"],
        ),
    ] {
        let dry = bench.tasker(&[pause, &["--dry-run"]].concat()).expect(0).out;
        assert!(dry.contains("would be paused"), "{dry}");
        assert!(bench.tasker(pause).expect(0).out.contains("is paused"));
        assert!(bench.tasker(pause).expect(0).out.contains("was paused already"));
        let why = bench.tasker(&["explain", "1", "load"]).expect(0).out;
        assert!(why.contains("paused") && why.contains(&format!("tasker {}", resume.join(" "))), "{why}");
        bench.tasker(&["worker", "--until-idle"]).expect(0);
        assert_eq!(bench.count("select count(*) as n from tasker.workflow_step_transitions"), 0);
        assert!(bench.tasker(resume).expect(0).out.contains("is resumed"));
        assert!(bench.tasker(resume).expect(0).out.contains("was not paused"));
    }
    let queues = bench.tasker(&["queue", "list", "--json"]).expect(0).json();
    assert_eq!((&queues[0]["handler"], &queues[0]["claimable"]), (&json!("jq"), &json!(1)));
    bench.tasker(&["queue", "pause"]).expect(2);
    bench.tasker(&["queue", "pause", "--namespace", "nowhere"]).expect(4);
    bench.tasker(&["worker", "--until-idle"]).expect(0);
    bench.tasker(&["task", "pause", "1"]).expect(7);
    bench.database.assert_sound();
}

#[test]
fn limits_priorities_and_waits_are_changed_and_what_is_over_is_not() {
    let bench = in_trouble();
    bench.tasker(&["step", "limit", "1", "judge", "0"]).expect(7);
    bench.tasker(&["step", "limit", "1", "judge", "-1"]).expect(2);
    let dry = bench.tasker(&["step", "limit", "1", "judge", "5", "--dry-run"]).expect(0).out;
    assert!(dry.contains("step `judge`: error, dead, limit 3 → error, dead, limit 5"), "{dry}");
    let set = bench.tasker(&["step", "limit", "1", "judge", "5"]).expect(0).out;
    assert_eq!(set, "step `judge` of task 1 is given the new retry limit\n");
    bench.tasker(&["step", "priority", "1", "ship", "9"]).expect(2);
    assert_eq!(bench.tasker(&["task", "priority", "1", "1"]).expect(0).out, "task 1: 2 steps changed\n");
    let again = bench.tasker(&["task", "priority", "1", "1"]).expect(0).out;
    assert_eq!(again, "task 1: every step that it concerns is so already\n");
    bench.tasker(&["task", "priority", "1", "2"]).expect(7);
    bench.tasker(&["task", "retry-now", "9"]).expect(4);
    let dead = bench.tasker(&["step", "retry-now", "1", "judge"]).expect(7).err;
    assert!(dead.contains("does not wait for an attempt"), "{dead}");
    let cancelled = bench.tasker(&["step", "cancel", "1", "ship", "--json"]).expect(0).json();
    assert_eq!(cancelled["outcomes"][0]["outcome"], "cancelled");
    assert_eq!(cancelled["changes"][0]["to"], "cancelled");
    bench.tasker(&["task", "resolve", "1"]).expect(0);
    assert_eq!(bench.tasker(&["task", "resolve", "1"]).expect(0).out, "task 1 was resolved already\n");
    bench.database.assert_sound();
}

#[test]
fn waiting_for_a_retry_and_running_are_explained() {
    let bench = Bench::new();
    let down = "name: down\nnamespace_name: shop\nstep_templates:\n  - { name: ask, handler_class: http, backoff: 1h, handler_config: { url: \"http://127.0.0.1:1/\" } }\n  - { name: use, handler_class: jq, depends_on_step: ask, handler_config: { filter: . } }\n";
    bench.file("w.yaml", down);
    bench.tasker(&["submit", "w.yaml"]).expect(0);
    let mut worker = bench.start(&["worker", "--name", "the one"]);
    let failed = "select count(*) as n from tasker.workflow_steps where state = 'error'";
    while bench.count(failed) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let why = bench.tasker(&["explain", "1"]).expect(0).out;
    assert!(why.contains("ask waits for attempt 2 of 3 at ") && why.contains("HTTP_CONNECT"), "{why}");
    assert!(why.contains("change   time alone, in "), "{why}");
    assert!(why.contains("use waits for `ask` (error since "), "{why}");
    worker.kill().unwrap();
    worker.wait().unwrap();
    let document = bench.tasker(&["explain", "1", "ask", "--json"]).expect(0).json();
    assert_eq!(document["steps"][0]["reasons"][0]["reason"], "waiting_for_retry");
    assert_eq!(document["steps"][0]["sentences"][0]["blocking"], true);
    let failed_at = document["steps"][0]["since"].as_str().unwrap().to_owned();
    let then = bench.tasker(&["explain", "1", "use", "--at", &failed_at]).expect(0).out;
    assert!(then.contains("use waits for `ask` (error since ") && then.contains("next at "), "{then}");
    let early = bench.tasker(&["explain", "1", "--at", "2020-01-01T00:00:00+01:00"]).expect(0).out;
    assert!(early.contains("is pending at 2019-12-31T23:00:00Z; 0 of 2 steps are done"), "{early}");
    assert!(early.contains("ask did not exist yet; it was created at "), "{early}");
    let bad = bench.tasker(&["explain", "1", "--at", "noon"]).expect(2);
    assert!(bad.err.contains("`noon` is no instant"), "{}", bad.err);
    assert_eq!(bench.tasker(&["task", "retry-now", "1"]).expect(0).out, "task 1: 1 step changed\n");
    let sleeping = "name: nap\nnamespace_name: shop\nstep_templates:\n  - { name: nap, handler_class: sleep, handler_config: { duration: 1h } }\n";
    bench.file("nap.yaml", sleeping);
    bench.tasker(&["submit", "nap.yaml"]).expect(0);
    let mut worker = bench.start(&["worker", "--name", "the other"]);
    while bench
        .count("select count(*) as n from tasker.workflow_steps where state = 'in_progress' and task_id = 2")
        == 0
    {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let why = bench.tasker(&["explain", "2"]).expect(0).out;
    assert!(
        why.contains("is being run (attempt 1 of 3) by worker 2 (the other), whose lease holds until"),
        "{why}"
    );
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn graphs_and_completions_are_printed() {
    let bench = in_trouble();
    assert!(bench.tasker(&["graph", "w.yaml"]).expect(0).out.contains("← judge"));
    let mermaid = bench.tasker(&["graph", "w.yaml", "--format", "mermaid", "--task", "1"]).expect(0).out;
    assert!(mermaid.contains("s1[\"judge\"]:::error"), "{mermaid}");
    assert!(bench.tasker(&["graph", "--task", "2", "--format", "dot"]).expect(0).out.starts_with("digraph"));
    bench.file("other.yaml", PRICES);
    bench.tasker(&["graph", "other.yaml", "--task", "1"]).expect(4);
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            run(command(bench.dir.path()).args(["completions", shell]), "").expect(0).out.contains("migrate")
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = in_trouble();
    let script = format!("{} task show 1 --history | head -c 1", env!("CARGO_BIN_EXE_tasker"));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).env("TASKER_DATABASE_URL", bench.database.url());
    let ran = run(&mut shell, "").expect(0);
    assert!(ran.err.is_empty(), "{}", ran.err);
}
