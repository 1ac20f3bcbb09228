//! `tasker generate` and `tasker check`: files, exit codes, and a template that the other verbs take.

mod support;

use std::fs;

use support::{PRICES, Ran, command, run};
use tempfile::TempDir;

/// Without any database: neither verb asks for one.
fn tasker(dir: &TempDir, args: &[&str]) -> Ran {
    run(command(dir.path()).args(args), "")
}

const HANDLER: [&str; 7] =
    ["generate", "handler", "OrderFlow", "--steps", "fetch,ship", "--namespace", "shop"];
const TEMPLATE: &str = "src/workflows/order_flow.yaml";

#[test]
fn a_generated_workflow_is_checked_and_drawn() {
    let dir = TempDir::new().unwrap();
    let said = tasker(&dir, &HANDLER).expect(0).out;
    assert!(
        said.starts_with("wrote src/workflows/order_flow.rs\n") && said.contains("\nNext:\n1. "),
        "{said}"
    );
    let checked = tasker(&dir, &["check", TEMPLATE]).expect(0).out;
    assert!(checked.contains("shop.order_flow@0.1.0, 2 steps, in development besides"), "{checked}");
    assert!(checked.contains("shop/order_flow@0.1.0/fetch, shop/order_flow@0.1.0/ship"), "{checked}");
    assert!(tasker(&dir, &["graph", TEMPLATE]).expect(0).out.contains("ship"));
}

#[test]
fn nothing_is_overwritten_unasked() {
    let dir = TempDir::new().unwrap();
    tasker(&dir, &HANDLER).expect(0);
    fs::write(dir.path().join(TEMPLATE), "mine").unwrap();
    assert!(tasker(&dir, &HANDLER).expect(7).err.contains("--force overwrites"));
    assert_eq!(fs::read_to_string(dir.path().join(TEMPLATE)).unwrap(), "mine");
    tasker(&dir, &[&HANDLER[..], &["--force"]].concat()).expect(0);
    assert_ne!(fs::read_to_string(dir.path().join(TEMPLATE)).unwrap(), "mine");
}

#[test]
fn a_dry_run_writes_nothing_and_json_has_the_texts() {
    let dir = TempDir::new().unwrap();
    let ran = tasker(&dir, &[&HANDLER[..], &["--dry-run", "--json"]].concat()).expect(0).json();
    assert_eq!(ran["files"][1]["path"], TEMPLATE);
    assert!(ran["files"][1]["text"].as_str().unwrap().contains("depends_on_step: fetch"));
    assert!(ran["next_steps"].as_array().unwrap().len() > 2);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_bad_name_is_bad_input_and_an_unknown_kind_wrong_usage() {
    let dir = TempDir::new().unwrap();
    let refused = tasker(&dir, &["generate", "handler", "../x", "--steps", "a"]).expect(4);
    assert!(refused.err.contains("`../x` cannot be the name of a workflow"), "{}", refused.err);
    tasker(&dir, &["generate", "handler", "x"]).expect(2);
    tasker(&dir, &["generate", "wizard", "x"]).expect(2);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn every_file_is_checked_and_every_environment() {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    file("good.yaml", PRICES);
    file("bad.yaml", &PRICES.replace("depends_on_step: load", "depends_on_step: lod"));
    let broken =
        "environments: { test: { step_templates: [{ name: load, handler_config: { filter: '[' } }] } }";
    file("worse.yaml", &format!("{PRICES}{broken}\n"));
    let ran = tasker(&dir, &["check", "bad.yaml", "good.yaml", "worse.yaml"]).expect(4);
    assert_eq!(ran.out.trim_end(), "good.yaml: shop.prices@1.2.0, 4 steps");
    assert!(ran.err.contains("bad.yaml") && ran.err.contains("lod"), "{}", ran.err);
    assert!(ran.err.contains("step `load`"), "{}", ran.err);
}
