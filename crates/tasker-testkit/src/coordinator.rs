//! Runs tasks to their end in the test's own thread of time: nothing sleeps, retries come due because the clock
//! is moved to the instant at which they do.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, TimeDelta};
use serde_json::Value;
use tasker_engine::{
    clock::Clock,
    commands,
    db::Db,
    definition::WorkflowDefinition,
    handler::HandlerRegistry,
    identity::Identity,
    report,
    runner::{RunEnd, Runner},
    submit::{TaskRequest, submit},
};
use tasker_model::{StepTransition, StepWithName, Task, TaskId, TaskState, WorkerId};
use tokio_util::sync::CancellationToken;

use crate::TestDatabase;

/// A worker whose clock stands still between its moves.
#[derive(Debug)]
pub struct TestCoordinator {
    runner: Runner,
    worker: Option<WorkerId>,
}

/// Where a task stood when nothing more of it could run by itself.
#[derive(Debug, Clone)]
pub struct TestRun {
    /// The task's state.
    pub state: TaskState,
    /// Its steps, parents before children.
    pub steps: Vec<StepWithName>,
    /// Everything that happened to them.
    pub history: Vec<StepTransition>,
    /// Names of the steps in the order in which they were claimed, a name for each attempt.
    pub claimed: Vec<String>,
    /// How far the clock was moved.
    pub waited: TimeDelta,
}

impl TestRun {
    /// The step of that name.
    ///
    /// # Panics
    /// Where there is none.
    pub fn step(&self, name: &str) -> &StepWithName {
        self.steps.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("there is no step {name}"))
    }

    /// How often the step was claimed in this run.
    pub fn attempts_of(&self, name: &str) -> usize {
        self.claimed.iter().filter(|n| *n == name).count()
    }

    /// What each step returned, by name.
    pub fn results(&self) -> BTreeMap<String, Value> {
        self.steps.iter().filter_map(|s| Some((s.name.clone(), s.step.results.clone()?))).collect()
    }
}

impl TestCoordinator {
    /// A coordinator with these handlers on this database, at midday of 2 January 2030.
    pub fn new(database: &TestDatabase, registry: HandlerRegistry) -> Self {
        let start = DateTime::from_timestamp(1_893_585_600, 0).unwrap_or_default().trunc_subsecs(0);
        Self { runner: Runner::new(database.db(), registry, Clock::manual(start)), worker: None }
    }

    /// The clock, to be moved by hand.
    pub fn clock(&self) -> &Clock {
        &self.runner.clock
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.runner.db
    }

    /// Submits one task.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn submit(&self, definition: &WorkflowDefinition, context: Value) -> TaskId {
        let (definition, now) = (definition.clone(), self.clock().now());
        let submitted = self
            .db()
            .run(move |conn| submit(conn, &definition, &[TaskRequest::new(context)], &Identity::Random, now))
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        submitted.unwrap_or_else(|e| panic!("{e}"))[0].task_id
    }

    /// Runs everything that this coordinator has handlers for until nothing can run by itself any more, and
    /// says where the task stands.
    ///
    /// # Panics
    /// Where the database refuses.
    pub async fn run(&mut self, task: TaskId) -> TestRun {
        let (mut claimed, start) = (vec![], self.clock().now());
        loop {
            let names = self.turn().await;
            if !names.is_empty() {
                claimed.extend(names);
            } else if !self.advance_to_next().await {
                break;
            }
        }
        let waited = self.clock().now().zip(start).map_or(TimeDelta::zero(), |(now, start)| now - start);
        self.look_at(task, claimed, waited).await
    }

    /// Claims what is claimable now, runs it and reports it. Returns the names of the steps.
    ///
    /// # Panics
    /// Where the database refuses.
    pub async fn turn(&mut self) -> Vec<String> {
        let worker = self.worker().await;
        let runner = self.runner.clone();
        let mut look = self.query(move |conn| runner.look(conn, worker, 100)).await;
        let mut reports = vec![];
        for step in &look.steps {
            let results = look.ancestors.remove(&step.step_id).unwrap_or_else(|| step.parent_results.clone());
            if let RunEnd::Report(report) = self.runner.attempt(step, results, CancellationToken::new()).await
            {
                reports.push(report);
            }
        }
        let now = self.clock().now();
        self.query(move |conn| report::apply(conn, &reports, now)).await;
        look.steps.into_iter().map(|s| s.step_name).collect()
    }

    /// Moves the clock to the instant at which the next step becomes claimable; whether there is one.
    async fn advance_to_next(&mut self) -> bool {
        let worker = self.worker().await;
        let due = self.query(move |conn| commands::next_due_at(conn, worker)).await;
        if let Some(due) = due {
            self.clock().advance_to(due);
        }
        due.is_some()
    }

    /// An incarnation whose lease holds on the moved clock.
    async fn worker(&mut self) -> WorkerId {
        let now = self.clock().now();
        if let Some(id) = self.worker
            && self.query(move |conn| commands::renew(conn, id, now)).await.is_some()
        {
            return id;
        }
        let handlers = self.runner.registry().names();
        let (id, _) = self
            .query(move |conn| commands::register(conn, "test coordinator", None, &handlers, 3_600_000, now))
            .await;
        self.worker = Some(id);
        id
    }

    async fn look_at(&self, task: TaskId, claimed: Vec<String>, waited: TimeDelta) -> TestRun {
        self.query(move |conn| {
            let state =
                Task::find(conn, task)?.map(|(t, _)| t.state).ok_or(diesel::result::Error::NotFound)?;
            let steps = StepWithName::of_task(conn, task)?;
            Ok(TestRun { state, steps, history: StepTransition::of_task(conn, task)?, claimed, waited })
        })
        .await
    }

    async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut diesel::PgConnection) -> diesel::QueryResult<T> + Send + 'static,
    ) -> T {
        self.db().query(work).await.unwrap_or_else(|e| panic!("{e}"))
    }
}
