//! Whatever a person can get wrong ends in a sentence, the right exit code, and nothing half-written.

mod support;

use support::{Bench, PRICES, command, run};

/// A workflow of one step, with more of the step and of the workflow.
fn workflow(step: &str, more: &str) -> String {
    format!(
        "name: w\nstep_templates:\n  - name: a\n    handler_class: jq\n    handler_config: {{ filter: . }}\n{step}\n{more}"
    )
}

#[test]
fn a_wrong_workflow_is_refused() {
    let bench = Bench::new();
    let many: String = (0..10_000).fold("name: w\nstep_templates:\n".into(), |text, i| {
        format!("{text}  - {{ name: s{i}, handler_class: jq, handler_config: {{ filter: . }} }}\n")
    });
    let table = [
        ("unknown parent", workflow("    depends_on_step: nowhere", ""), "nowhere"),
        (
            "cycle",
            workflow("    depends_on_step: b", "  - { name: b, handler_class: jq, depends_on_step: a, handler_config: { filter: . } }"),
            "wait for each other in a cycle",
        ),
        ("duplicate", workflow("", "  - { name: a, handler_class: jq, handler_config: { filter: . } }"), "names are unique"),
        ("wrong type", workflow("    default_retry_limit: often", ""), "default_retry_limit"),
        ("unknown key", workflow("    handlr: x", ""), "handlr"),
        ("no YAML", "name: [".into(), "wrong.yaml"),
        ("empty", String::new(), "wrong.yaml"),
        ("too many steps", many, "10000 steps, more than the 5000 allowed"),
        ("unknown handler", "name: w\nstep_templates:\n  - { name: a, handler_class: Shop::Cart }\n".into(), "`Shop::Cart` is not built in"),
        (
            "command",
            "name: w\nstep_templates:\n  - { name: a, handler_class: command, handler_config: { command: [\"true\"] } }\n".into(),
            "--allow-command",
        ),
        (
            "unset variable",
            "name: w\nstep_templates:\n  - { name: a, handler_class: http, handler_config: { url: \"http://${UNSET_IN_TESTS}/\" } }\n".into(),
            "the variable UNSET_IN_TESTS is not set, and step `a` reads it",
        ),
        (
            "jq program",
            "name: w\nstep_templates:\n  - { name: a, handler_class: jq, handler_config: { filter: \".a |\" } }\n".into(),
            "step `a`",
        ),
    ];
    for (name, text, sentence) in table {
        let file = bench.file("wrong.yaml", &text);
        let ran = bench.tasker(&["run", file.to_str().unwrap()]);
        assert_eq!(ran.code, 4, "{name}: {ran:?}");
        assert!(ran.err.starts_with("error: ") && ran.err.contains(sentence), "{name}: {}", ran.err);
        assert!(ran.out.is_empty(), "{name}: {ran:?}");
        bench.assert_untouched(name);
    }
}

#[test]
fn a_wrong_input_is_refused() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    let table: [(&str, &[&str], &str); 12] = [
        ("", &[], "it is empty"),
        ("{\"items\": [", &[], "not JSON"),
        ("[{\"items\": []}, 7]", &[], "item 1 is a number"),
        ("{\"items\": []}", &["--at", "/nowhere"], "there is nothing at /nowhere"),
        ("{\"items\": []}", &["--at", "items"], "begins with /"),
        (
            "{\"items\": 3}",
            &[],
            "request 0: the context does not fit the schema of shop.prices@1.2.0: context.items",
        ),
        ("[{\"items\": []}, {}]", &[], "request 1"),
        ("{\"items\": [\"a\\u0000b\"]}", &[], "\\u0000"),
        ("{\"items\": []}", &["--bypass", "nowhere"], "bypass_steps names `nowhere`"),
        ("{\"items\": []}", &["--bypass", "load"], "not skippable"),
        ("{\"items\": []}", &["--environment", "moon"], "moon"),
        ("{\"items\": []}", &["--actor", &"x".repeat(200)], "longer than 128 characters"),
    ];
    for (input, more, sentence) in table {
        let args = [&["run", "w.yaml", "--input", "-"], more].concat();
        let ran = bench.tasker_with(&args, input);
        assert_eq!(ran.code, 4, "{input}: {ran:?}");
        assert!(ran.err.contains(sentence), "{input}: {}", ran.err);
        bench.assert_untouched(input);
    }
}

#[test]
fn the_good_tasks_of_a_bad_file_are_not_submitted() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    let good = "{\"items\": []}\n".repeat(1_000);
    let ran = bench.tasker_with(&["submit", "w.yaml", "--input", "-"], &format!("{good}{{}}\n")).expect(4);
    assert!(ran.err.contains("request 1000"), "{}", ran.err);
    bench.assert_untouched("one bad of many");
}

#[test]
fn unknown_tasks_and_steps_are_named() {
    let bench = Bench::new();
    for args in [
        &["task", "show", "7"][..],
        &["explain", "7"],
        &["task", "cancel", "7"],
        &["step", "retry", "7", "a"],
    ] {
        let ran = bench.tasker(args).expect(4);
        assert_eq!(ran.err, "error: there is no task 7\n", "{args:?}");
    }
}

#[test]
fn a_database_that_is_not_there_is_told_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let table = [
        ("postgres://ann:geheim@127.0.0.1:1/app", 5, "the database cannot be reached"),
        ("postgres://ann:geheim@/app?host=/nonexistent", 5, "the database cannot be reached"),
        ("mysql://ann:geheim@127.0.0.1/app", 4, "is not a PostgreSQL URL"),
        ("somewhere", 4, "is not a PostgreSQL URL"),
    ];
    for (url, code, sentence) in table {
        let ran = run(command(dir.path()).args(["--verbose", "--database-url", url, "task", "list"]), "");
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.contains(sentence), "{}", ran.err);
        assert!(!ran.err.contains("geheim") && !ran.out.contains("geheim"), "{}", ran.err);
    }
    let ran = run(command(dir.path()).args(["task", "list", "postgres://ann:geheim@db/app"]), "").expect(2);
    assert!(!ran.err.contains("geheim"), "{}", ran.err);
}

#[test]
fn wrong_usage_is_two() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &[][..],
        &["frobnicate"],
        &["task", "show"],
        &["task", "show", "x"],
        &["graph"],
        &["migrate", "down"],
        &["worker", "--lease", "0s"],
        &["worker", "--name", ""],
    ] {
        run(command(dir.path()).args(args), "").expect(2);
    }
    let help = run(command(dir.path()).arg("--help"), "").expect(0);
    assert!(help.out.contains("130  interrupted by a signal"), "{}", help.out);
}
