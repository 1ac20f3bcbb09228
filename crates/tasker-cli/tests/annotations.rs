//! Notes about tasks: written by one command, told by another, refused in a sentence.

mod support;

use serde_json::json;
use support::{Bench, PRICES};

#[test]
fn a_note_is_kept_with_the_task() {
    let bench = Bench::new();
    bench.file("w.yaml", PRICES);
    bench.tasker_with(&["submit", "w.yaml", "--input", "-"], "{\"items\": []}").expect(0);
    bench.tasker(&["task", "annotate", "1", "ticket", "{\"id\": \"T-1\"}"]).expect(0);
    bench.file("n.json", "{\"text\": \"looked at\"}");
    let said = bench.tasker(&["task", "annotate", "1", "note", "@n.json", "--json"]).expect(0).json();
    assert_eq!(said, json!({ "task_id": 1, "kind": "note", "annotation": { "text": "looked at" } }));
    let shown = bench.tasker(&["task", "show", "1"]).expect(0).out;
    assert!(shown.contains("Z ticket: {\"id\":\"T-1\"}") && shown.contains("Z note: "), "{shown}");
    let shown = bench.tasker(&["task", "show", "1", "--json"]).expect(0).json();
    let kinds: Vec<_> = shown["annotations"].as_array().unwrap().iter().map(|a| &a["kind"]).collect();
    assert_eq!(kinds, ["ticket", "note"]);
    let long = "x".repeat(65);
    for (args, code, why) in [
        (["9", "note", "{}"], 4, "there is no task 9"),
        (["1", "note", "[]"], 4, "expected an object"),
        (["1", "note", "{\"a\": \"\\u0000\"}"], 4, "cannot be stored"),
        (["1", "note", "{"], 4, "is not JSON"),
        (["1", "note", "@gone.json"], 4, "gone.json"),
        (["1", "", "{}"], 2, "1 to 64 characters"),
        (["1", &long, "{}"], 2, "1 to 64 characters"),
    ] {
        let ran = bench.tasker(&[&["task", "annotate"][..], &args].concat()).expect(code);
        assert!(ran.err.contains(why), "{args:?}: {}", ran.err);
    }
    assert_eq!(bench.count("select count(*) as n from tasker.task_annotations"), 2);
    assert_eq!(bench.count("select count(*) as n from tasker.annotation_types"), 2);
}
