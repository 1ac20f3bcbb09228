//! Tasks driven by the engine's commands on a clock that the test moves: instants are seconds after noon.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_types::{BigInt, Text},
};
use serde_json::json;
use tasker_engine::{
    commands::{self, ClaimedStep, FailedAttempt},
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts},
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, StepId, StepWithName, TaskId, WorkerId};
use tasker_testkit::TestDatabase;

/// The handlers of [`steps`] and of the queues that tests make by hand.
pub(crate) const HANDLERS: &[&str] = &["h", "one", "two", "three"];

/// So many seconds after noon.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_893_585_600 + seconds, 0).unwrap_or_default()
}

/// Steps of handler `h` by name and parents.
pub(crate) fn steps(steps: &[(&str, &[&str])]) -> Vec<StepDefinition> {
    let step = |(name, parents): &(&str, &[&str])| StepDefinition {
        depends_on: parents.iter().map(|p| (*p).to_owned()).collect(),
        ..StepDefinition::new(*name, "h")
    };
    steps.iter().map(step).collect()
}

/// A workflow of these steps, to be changed.
pub(crate) fn parts(name: &str, steps: Vec<StepDefinition>) -> WorkflowParts {
    WorkflowParts { steps, ..WorkflowParts::new(name) }
}

pub(crate) struct Flow {
    pub(crate) database: TestDatabase,
    pub(crate) conn: PgConnection,
    pub(crate) worker: WorkerId,
}

impl Flow {
    /// An empty database with one worker, whose lease holds for a day from noon.
    pub(crate) fn new() -> Self {
        let database = TestDatabase::new();
        let mut conn = database.connection();
        let worker = Self::register(&mut conn, 86_400_000);
        Self { database, conn, worker }
    }

    pub(crate) fn register(conn: &mut PgConnection, lease_ms: i32) -> WorkerId {
        let handlers: Vec<String> = HANDLERS.iter().map(|h| (*h).to_owned()).collect();
        commands::register(conn, "flow", None, &handlers, lease_ms, Some(at(0))).unwrap().0
    }

    pub(crate) fn submit(&mut self, parts: WorkflowParts, seconds: i64) -> TaskId {
        let definition = WorkflowDefinition::new(parts).unwrap_or_else(|e| panic!("{e}"));
        let requests = [TaskRequest::new(json!({}))];
        submit(&mut self.conn, &definition, &requests, &Identity::Random, Some(at(seconds))).unwrap()[0]
            .task_id
    }

    pub(crate) fn claim(&mut self, limit: i32, seconds: i64) -> Vec<ClaimedStep> {
        commands::claim(&mut self.conn, self.worker, limit, Some(at(seconds))).unwrap()
    }

    pub(crate) fn complete(&mut self, step: &ClaimedStep, seconds: i64) {
        let changes =
            commands::complete(&mut self.conn, &[(step.claim(), json!({}))], Some(at(seconds))).unwrap();
        assert_eq!(changes.accepted.len(), 1);
    }

    /// Reports a failure whose next attempt, if one follows, is due after the wait.
    pub(crate) fn fail(&mut self, step: &ClaimedStep, kind: FailureKind, wait: i64, seconds: i64) {
        let failure =
            FailedAttempt { claim: step.claim(), kind, delay_ms: wait * 1_000, message: "no".into() };
        let changes = commands::fail(&mut self.conn, &[failure], Some(at(seconds))).unwrap();
        assert_eq!(changes.accepted.len(), 1);
    }

    /// Claims one step after the other at this instant and completes each a second later than the last.
    pub(crate) fn drain(&mut self, seconds: i64) {
        for n in 0.. {
            let Some(step) = self.claim(1, seconds + n).pop() else { return };
            self.complete(&step, seconds + n + 1);
        }
    }

    pub(crate) fn ids(&mut self, task: TaskId) -> BTreeMap<String, StepId> {
        let steps = StepWithName::of_task(&mut self.conn, task).unwrap();
        steps.into_iter().map(|s| (s.name, s.step.workflow_step_id)).collect()
    }

    pub(crate) fn execute(&mut self, sql: &str) {
        self.conn.batch_execute(sql).unwrap_or_else(|e| panic!("`{sql}` failed: {e}"));
    }

    /// Runs the query twice and explains the third run: one line a node, with the rows that it really read.
    pub(crate) fn plan(&mut self, sql: &str) -> Vec<String> {
        for _ in 0..2 {
            self.execute(sql);
        }
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
            line: String,
        }
        let explain = format!("explain (analyze, buffers, costs off, timing off, summary off) {sql}");
        let lines: Vec<Line> = diesel::sql_query(explain).load(&mut self.conn).unwrap();
        lines.into_iter().map(|l| l.line).collect()
    }

    /// Buffers that the query touches once its plans are made.
    pub(crate) fn buffers(&mut self, sql: &str) -> i64 {
        let plan = self.plan(sql);
        let line = plan.iter().find(|l| l.trim_start().starts_with("Buffers: shared")).expect("buffers");
        let number = |word: &str| {
            line.split_whitespace().find_map(|w| w.strip_prefix(word)?.parse::<i64>().ok()).unwrap_or(0)
        };
        number("hit=") + number("read=")
    }

    pub(crate) fn number(&mut self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        diesel::sql_query(sql).get_result::<Number>(&mut self.conn).unwrap_or_else(|e| panic!("{sql}: {e}")).n
    }
}
