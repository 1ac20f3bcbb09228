//! The section `telemetry`, by what a worker writes to stderr.

use serde_json::Value;

use super::configured;
use crate::support::Bench;

/// What a worker that has nothing to do logs.
fn log(config: &str) -> String {
    let bench = Bench::new();
    let ran = configured(&bench, config, &["worker", "--until-idle", "--name", "anna"]).expect(0);
    ran.err
}

pub(crate) fn level() {
    assert_eq!(log("[telemetry]\nlog_level = \"error\""), "");
    assert!(log("").contains("worker started"));
}

pub(crate) fn format() {
    assert!(log("").lines().all(|line| serde_json::from_str::<Value>(line).is_err()));
    let json = log("[telemetry]\nlog_format = \"json\"");
    let line: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["level"], &line["message"], &line["name"]),
        (&"INFO".into(), &"worker started".into(), &"anna".into())
    );
    assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
    let pretty = log("[telemetry]\nlog_format = \"pretty_json\"");
    assert!(pretty.starts_with("{\n") && pretty.contains("\n  \"name\": \"anna\""), "{pretty}");
    let logfmt = log("[telemetry]\nlog_format = \"logfmt\"");
    assert!(logfmt.contains("level=INFO message=\"worker started\" name=anna"), "{logfmt}");
}

pub(crate) fn parameters() {
    for (format, masked) in
        [("text", "name=[FILTERED]"), ("json", "\"name\":\"[FILTERED]\""), ("logfmt", "name=[FILTERED]")]
    {
        let config = format!("[telemetry]\nlog_format = \"{format}\"\n");
        assert!(!log(&config).contains("FILTERED"));
        let log = log(&(config + "filter_parameters = [\"nam\"]"));
        assert!(log.contains(masked) && !log.contains("anna"), "{log}");
    }
}

pub(crate) fn mask() {
    let config =
        "[telemetry]\nlog_format = \"logfmt\"\nfilter_parameters = [\"name\"]\nfilter_mask = \"xxx\"";
    assert!(log(config).contains("name=xxx"));
}
