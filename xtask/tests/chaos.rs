//! The battery of database trouble at a small size: the real command, real processes, a server that crashes.

use std::process::Command;

use serde_json::Value;

#[test]
fn nothing_is_lost_doubled_or_stuck_while_the_database_is_in_trouble() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["chaos", "--tasks", "200", "--rate", "15", "--seconds", "0.3", "--seed", "7", "--json"]);
    let output = command.output().expect("the command runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let evidence: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    for figure in ["lost", "doubled", "stuck"] {
        assert_eq!(evidence[figure], 0, "{figure}: {told}");
    }
    assert_eq!(evidence["tasks"], 200);
    assert_eq!(evidence["troubles"].as_object().map(serde_json::Map::len), Some(8), "{told}");
}
