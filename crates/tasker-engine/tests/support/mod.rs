//! What the tests of the commands share: a database with one workflow and one worker, a look at its rows, and
//! second sessions that are waited for until the database says that they are blocked.

#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod pooler;
pub(crate) mod proxy;

use std::{
    collections::BTreeMap,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    result::Error as QueryError,
    sql_types::{BigInt, Text},
};
use serde_json::json;
use tasker_engine::{
    commands::{self, Claim, ClaimedStep, FailedAttempt},
    db::{Db, DbOptions, Statements, is_transient},
    definition::{FailurePolicy, StepDefinition, WorkflowDefinition, WorkflowParts},
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, Step, StepId, StepState, StepWithName, Task, TaskId, TaskState, WorkerId};
use tasker_testkit::TestDatabase;

/// The handler of every step of a bench.
pub(crate) const HANDLER: &str = "bench.step";

/// How long a session may take to come where a test waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

/// The steps (name and parents) of a workflow.
pub(crate) fn parts(steps: &[(&str, &[&str])]) -> WorkflowParts {
    let mut parts = WorkflowParts::new("bench");
    for (name, parents) in steps {
        let mut step = StepDefinition::new(*name, HANDLER);
        step.depends_on = parents.iter().map(|p| (*p).to_owned()).collect();
        parts.steps.push(step);
    }
    parts
}

/// The same, with fail-fast.
pub(crate) fn fail_fast(steps: &[(&str, &[&str])]) -> WorkflowParts {
    WorkflowParts { failure_policy: FailurePolicy::FailFast, ..parts(steps) }
}

/// A database with one workflow, a worker whose lease outlasts the test, and a session.
pub(crate) struct Bench {
    pub(crate) database: TestDatabase,
    pub(crate) conn: PgConnection,
    pub(crate) worker: WorkerId,
    pub(crate) definition: WorkflowDefinition,
}

impl Bench {
    pub(crate) fn new(steps: &[(&str, &[&str])]) -> Self {
        Self::with(parts(steps))
    }

    pub(crate) fn with(parts: WorkflowParts) -> Self {
        let definition = WorkflowDefinition::new(parts).unwrap();
        let database = TestDatabase::new();
        let mut conn = database.connection();
        let worker = register(&mut conn, 3_600_000);
        Self { database, conn, worker, definition }
    }

    /// Submits a task and claims every step that it can start, by name.
    pub(crate) fn started(&mut self) -> (TaskId, BTreeMap<String, Claim>) {
        let task = self.submit();
        (task, self.claims())
    }

    pub(crate) fn submit(&mut self) -> TaskId {
        self.submit_request(TaskRequest::new(json!({})))
    }

    pub(crate) fn submit_request(&mut self, request: TaskRequest) -> TaskId {
        submit(&mut self.conn, &self.definition, &[request], &Identity::Random, None).unwrap()[0].task_id
    }

    pub(crate) fn claim(&mut self, limit: i32) -> Vec<ClaimedStep> {
        commands::claim(&mut self.conn, self.worker, limit, None).unwrap()
    }

    /// Claims everything that is claimable, by the steps' names.
    pub(crate) fn claims(&mut self) -> BTreeMap<String, Claim> {
        self.claim(1_000).iter().map(|s| (s.step_name.clone(), s.claim())).collect()
    }

    pub(crate) fn complete(&mut self, claim: Claim) -> commands::Changes {
        commands::complete(&mut self.conn, &[(claim, json!({}))], None).unwrap()
    }

    pub(crate) fn fail(&mut self, claim: Claim, kind: FailureKind) -> commands::Changes {
        commands::fail(&mut self.conn, &[failed(claim, kind)], None).unwrap()
    }

    /// Claims and completes until nothing is claimable; the names in the order of claiming.
    pub(crate) fn drain(&mut self) -> Vec<String> {
        let mut names = vec![];
        loop {
            let steps = self.claim(100);
            if steps.is_empty() {
                return names;
            }
            for step in steps {
                self.complete(step.claim());
                names.push(step.step_name);
            }
        }
    }

    pub(crate) fn state(&mut self, task: TaskId) -> TaskState {
        self.task(task).state
    }

    pub(crate) fn task(&mut self, task: TaskId) -> Task {
        Task::find(&mut self.conn, task).unwrap().unwrap().0
    }

    pub(crate) fn step(&mut self, task: TaskId, name: &str) -> Step {
        let steps = StepWithName::of_task(&mut self.conn, task).unwrap();
        steps.into_iter().find(|s| s.name == name).unwrap().step
    }

    pub(crate) fn step_state(&mut self, task: TaskId, name: &str) -> StepState {
        self.step(task, name).state
    }

    pub(crate) fn id(&mut self, task: TaskId, name: &str) -> StepId {
        self.step(task, name).workflow_step_id
    }

    pub(crate) fn begin(&mut self) {
        execute(&mut self.conn, "begin");
    }

    pub(crate) fn commit(&mut self) {
        execute(&mut self.conn, "commit");
    }

    /// Starts work in a session of its own and returns once the database says that it waits for a lock.
    pub(crate) fn blocked<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let mut conn = self.database.connection();
        let pid = number(&mut conn, "select pg_backend_pid()::bigint");
        let thread = std::thread::spawn(move || work(&mut conn));
        let mut observer = self.database.connection();
        let sql =
            format!("select count(*) from pg_stat_activity where pid = {pid} and wait_event_type = 'Lock'");
        until("the session to be blocked", || {
            assert!(!thread.is_finished(), "the session ended instead of being blocked");
            number(&mut observer, &sql) > 0
        });
        thread
    }

    /// Returns once somebody waits for a lock of this session's.
    pub(crate) fn until_waited_for(&self, conn: &mut PgConnection) {
        let pid = number(conn, "select pg_backend_pid()::bigint");
        let mut observer = self.database.connection();
        let sql = format!("select count(*) from pg_stat_activity where {pid} = any (pg_blocking_pids(pid))");
        until("somebody to wait for the session", || number(&mut observer, &sql) > 0);
    }

    /// How often the task came to each terminal state, from its log.
    pub(crate) fn settlements(&mut self, task: TaskId) -> i64 {
        let sql = format!(
            "select count(*) from tasker.task_transitions where task_id = {task} and to_state in ('complete', 'error', 'cancelled')"
        );
        number(&mut self.conn, &sql)
    }
}

pub(crate) fn register(conn: &mut PgConnection, lease_ms: i32) -> WorkerId {
    commands::register(conn, "bench", None, &[HANDLER.into()], lease_ms, None).unwrap().0
}

pub(crate) fn failed(claim: Claim, kind: FailureKind) -> FailedAttempt {
    FailedAttempt { claim, kind, delay_ms: 0, message: "made to fail".into() }
}

/// A pool on the database; in the test binary `pooler` by way of a pooler of transactions.
pub(crate) fn pool(database: &TestDatabase, size: u32) -> Db {
    if env!("CARGO_CRATE_NAME") != "pooler" || !pooler::installed() {
        return Db::connect(database.url(), size).unwrap();
    }
    let options = DbOptions { connections: size, statements: Statements::Unnamed };
    Db::connect_with(&pooler::url(database), options).unwrap()
}

/// Polls until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Repeats what the database refuses only for now, as the engine does.
pub(crate) fn persist<T>(mut work: impl FnMut() -> Result<T, QueryError>) -> T {
    loop {
        match work() {
            Ok(value) => return value,
            Err(e) if is_transient(&e) => {}
            Err(e) => panic!("{e}"),
        }
    }
}

pub(crate) fn execute(conn: &mut PgConnection, sql: &str) {
    conn.batch_execute(sql).unwrap_or_else(|e| panic!("`{sql}` failed: {e}"));
}

pub(crate) fn number(conn: &mut PgConnection, sql: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        value: i64,
    }
    let sql = format!("select value from ({sql}) x (value)");
    diesel::sql_query(&sql).get_result::<Row>(conn).unwrap_or_else(|e| panic!("`{sql}` failed: {e}")).value
}

/// The rows of a query of one column of text.
pub(crate) fn texts(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    let sql = format!("select value from ({sql}) x (value)");
    let rows: Vec<Row> = diesel::sql_query(&sql).load(conn).unwrap_or_else(|e| panic!("`{sql}` failed: {e}"));
    rows.into_iter().map(|r| r.value).collect()
}
