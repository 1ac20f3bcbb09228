//! The time zone of a session changes no answer, and no jump of the calendar moves an instant: an hour and a half of
//! backoff across changes to and from summer time, a leap day, a leap second and the end of a year.

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

/// Half an hour before the jump.
const JUMPS: [&str; 6] = [
    // New York turns its clocks on, and back.
    "2030-03-10T06:30:00Z",
    "2030-11-03T05:30:00Z",
    // A leap day begins, and there is none in 2100.
    "2028-02-28T23:30:00Z",
    "2100-02-28T23:30:00Z",
    // A second was inserted, and a year ends.
    "2016-12-31T23:30:00Z",
    "2037-12-31T23:30:00Z",
];

#[derive(Clone, Copy)]
struct Jump(chrono::DateTime<chrono::Utc>);

impl Jump {
    fn at(self, minutes: i64) -> chrono::DateTime<chrono::Utc> {
        self.0 + chrono::TimeDelta::minutes(minutes)
    }
}

/// Readiness of the task's step at an instant, with instants as seconds.
fn readiness(
    conn: &mut PgConnection,
    task: tasker_model::TaskId,
    now: chrono::DateTime<chrono::Utc>,
) -> String {
    let now = now.to_rfc3339();
    let sql = format!(
        "select format('%s %s %s %s', current_state, ready_for_execution, detail, extract(epoch from next_retry_at))
         from tasker.get_step_readiness_status({task}, null, '{now}')"
    );
    texts(conn, &sql).remove(0)
}

fn answers(bench: &mut Bench, jump: Jump, zone: &str) -> Vec<String> {
    let conn = &mut bench.conn;
    execute(conn, &format!("set time zone '{zone}'"));
    let request = TaskRequest { requested_at: Some(jump.at(-5)), ..TaskRequest::new(json!({})) };
    let task =
        submit(conn, &bench.definition, &[request], &Identity::Random, Some(jump.at(0))).unwrap()[0].task_id;
    let day = 24 * 3_600_000;
    let (worker, _) = commands::register(conn, zone, None, &[HANDLER.into()], day, Some(jump.at(0))).unwrap();
    let mut answers = vec![readiness(conn, task, jump.at(-1)), readiness(conn, task, jump.at(0))];
    let step = commands::claim(conn, worker, 1, Some(jump.at(0))).unwrap().remove(0);
    let failure = failed(step.claim(), FailureKind::Retryable);
    let failure = FailedAttempt { delay_ms: 90 * 60_000, ..failure };
    commands::fail(conn, &[failure], Some(jump.at(1))).unwrap();
    for minutes in [1, 31, 90, 91] {
        let claimed = commands::claim(conn, worker, 1, Some(jump.at(minutes))).unwrap();
        if let Some(step) = claimed.first() {
            commands::release(conn, &[step.claim()], None, Some(jump.at(minutes))).unwrap();
        }
        let due = commands::next_due_at(conn, worker).unwrap();
        let requested = tasker_model::Task::find(conn, task).unwrap().unwrap().0.requested_at;
        answers.push(format!(
            "{} {} {due:?} {requested}",
            readiness(conn, task, jump.at(minutes)),
            claimed.iter().map(|s| s.claimed_at.to_rfc3339()).collect::<String>()
        ));
    }
    commands::cancel(conn, &[task], "ann", None, Some(jump.at(100))).unwrap();
    answers
}

#[test]
fn neither_zone_nor_calendar_changes_an_answer() {
    let mut bench = Bench::new(&[("a", &[])]);
    for start in JUMPS {
        let jump = Jump(start.parse().unwrap());
        let utc = answers(&mut bench, jump, "UTC");
        let due = format!("Some({:?})", jump.at(91));
        assert!(utc[4].contains("waiting_for_retry") && utc[4].contains(&due), "{utc:#?}");
        assert!(utc[5].contains(&jump.at(91).to_rfc3339()), "{utc:#?}");
        for zone in ["America/New_York", "Asia/Tokyo", "Asia/Kathmandu"] {
            assert_eq!(answers(&mut bench, jump, zone), utc, "{zone}");
        }
    }
    bench.database.assert_sound();
}
