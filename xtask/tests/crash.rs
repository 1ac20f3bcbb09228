//! The battery of crashes at a small size: the real commands, real processes, a real server.

use std::process::Command;

use serde_json::Value;

/// Runs `cargo xtask crash` and returns its evidence; it must end well and without a violation.
fn crash(args: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    // What is tried here is what happens, not how fast on a machine that runs other tests beside it.
    command.arg("crash").args(args).args(["--margin", "60", "--json"]);
    // A developer's own database is never taken for the tests'.
    command.env_remove("TASKER_DATABASE_URL").env_remove("DATABASE_URL");
    if let Ok(url) = std::env::var("TASKER_TEST_DATABASE_URL") {
        command.args(["--database-url", &url]);
    }
    let output = command.output().expect("the command runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?} failed:\n{told}");
    let evidence: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(evidence["violations"], serde_json::json!([]), "{told}");
    for figure in ["lost", "doubled", "stuck"] {
        assert_eq!(evidence[figure], 0, "{figure}: {told}");
    }
    evidence
}

#[test]
fn nothing_is_lost_doubled_or_stuck_while_workers_are_killed() {
    let evidence = crash(&["--tasks", "250", "--lease", "1", "--seed", "7"]);
    assert_eq!((&evidence["tasks"], &evidence["steps"]), (&Value::from(250), &Value::from(1_000)));
    assert!(evidence["kills"].as_u64() > Some(0), "{evidence}");
}

#[test]
fn sixty_four_claimers_never_get_a_step_twice() {
    let evidence = crash(&["--claimers", "64", "--steps", "2000"]);
    assert_eq!((&evidence["claims"], &evidence["steps"]), (&Value::from(2_000), &Value::from(2_000)));
    assert!(evidence["claimers_that_got_steps"].as_u64() > Some(8), "{evidence}");
}

#[test]
fn a_join_runs_once_whichever_parents_end_at_once() {
    let evidence = crash(&["--joins", "1000", "--seed", "3"]);
    assert_eq!((&evidence["joins"], &evidence["tasks"]), (&Value::from(1_000), &Value::from(1_000)));
}

#[test]
fn a_step_that_kills_its_workers_ends_in_error_after_its_attempts() {
    let evidence = crash(&["--poison", "--lease", "1"]);
    assert_eq!((&evidence["kills"], &evidence["tasks"]), (&Value::from(3), &Value::from(61)));
}

#[test]
fn a_process_that_dies_at_a_marked_point_takes_nothing_with_it() {
    let evidence = crash(&["--points", "1", "--lease", "0.5"]);
    let points = evidence["points"].as_object().expect("the points").len() as u64;
    assert!(points >= 19 + 22, "the database's and the engine's: {evidence}");
    assert_eq!(evidence["kills"], Value::from(points));
}
