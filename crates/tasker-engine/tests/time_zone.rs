//! The time zone of a session changes no answer: an hour and a half of backoff across a change to summer time.

mod support;

use diesel::PgConnection;
use serde_json::json;
use support::{Bench, HANDLER, execute, failed, texts};
use tasker_engine::{
    commands::{self, FailedAttempt},
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::FailureKind;

/// Half an hour before New York turns its clocks.
const START: &str = "2030-03-10T06:30:00Z";

fn at(minutes: i64) -> chrono::DateTime<chrono::Utc> {
    START.parse::<chrono::DateTime<chrono::Utc>>().unwrap() + chrono::TimeDelta::minutes(minutes)
}

/// Readiness of the task's step at an instant, with instants as seconds.
fn readiness(conn: &mut PgConnection, task: tasker_model::TaskId, minutes: i64) -> String {
    let now = at(minutes).to_rfc3339();
    let sql = format!(
        "select format('%s %s %s %s', current_state, ready_for_execution, detail, extract(epoch from next_retry_at))
         from tasker.get_step_readiness_status({task}, null, '{now}')"
    );
    texts(conn, &sql).remove(0)
}

fn answers(bench: &mut Bench, zone: &str) -> Vec<String> {
    let conn = &mut bench.conn;
    execute(conn, &format!("set time zone '{zone}'"));
    let request = TaskRequest { requested_at: Some(at(-5)), ..TaskRequest::new(json!({})) };
    let task =
        submit(conn, &bench.definition, &[request], &Identity::Random, Some(at(0))).unwrap()[0].task_id;
    let day = 24 * 3_600_000;
    let (worker, _) = commands::register(conn, zone, None, &[HANDLER.into()], day, Some(at(0))).unwrap();
    let mut answers = vec![readiness(conn, task, -1), readiness(conn, task, 0)];
    let step = commands::claim(conn, worker, 1, Some(at(0))).unwrap().remove(0);
    let failure = failed(step.claim(), FailureKind::Retryable);
    let failure = FailedAttempt { delay_ms: 90 * 60_000, ..failure };
    commands::fail(conn, &[failure], Some(at(1))).unwrap();
    for minutes in [1, 31, 90, 91] {
        let claimed = commands::claim(conn, worker, 1, Some(at(minutes))).unwrap();
        if let Some(step) = claimed.first() {
            commands::release(conn, &[step.claim()], None, Some(at(minutes))).unwrap();
        }
        let due = commands::next_due_at(conn, worker).unwrap();
        let requested = tasker_model::Task::find(conn, task).unwrap().unwrap().0.requested_at;
        answers.push(format!(
            "{} {} {due:?} {requested}",
            readiness(conn, task, minutes),
            claimed.iter().map(|s| s.claimed_at.to_rfc3339()).collect::<String>()
        ));
    }
    commands::cancel(conn, &[task], "ann", None, Some(at(100))).unwrap();
    answers
}

#[test]
fn the_sessions_time_zone_changes_no_answer() {
    let mut bench = Bench::new(&[("a", &[])]);
    let utc = answers(&mut bench, "UTC");
    assert!(utc[4].contains("waiting_for_retry") && utc[5].contains("2030-03-10T08:01:00"), "{utc:#?}");
    for zone in ["America/New_York", "Asia/Tokyo", "Asia/Kathmandu"] {
        assert_eq!(answers(&mut bench, zone), utc, "{zone}");
    }
    bench.database.assert_sound();
}
