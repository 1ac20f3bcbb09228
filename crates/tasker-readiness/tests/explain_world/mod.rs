//! A database with workflows, tasks and workers of its own clock, moved by the real commands one at a time.

#![allow(dead_code, reason = "each test binary uses its part")]

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::BigInt};
use fastrand::Rng;
use serde_json::json;
use tasker_engine::{
    commands::{self, Claim, FailedAttempt},
    definition::{FailurePolicy, StepDefinition, WorkflowDefinition, WorkflowParts},
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, StepId, StepState, StepWithName, Task, TaskId, TaskState, WorkerId};
use tasker_readiness::{Explanation, Moment, Paused, explain, explain_tasks};
use tasker_testkit::TestDatabase;

pub(crate) const NAMESPACES: [&str; 2] = ["east", "west"];
pub(crate) const HANDLERS: [&str; 3] = ["ask", "send", "sum"];

/// The instant at which a world begins.
pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_893_585_600, 0).unwrap_or_default()
}

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) conn: PgConnection,
    pub(crate) rng: Rng,
    pub(crate) now: DateTime<Utc>,
    pub(crate) definitions: Vec<WorkflowDefinition>,
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) workers: Vec<WorkerId>,
    pub(crate) claims: Vec<Claim>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let database = TestDatabase::new();
        let conn = database.connection();
        let (rng, now) = (Rng::with_seed(seed), start());
        let (definitions, tasks, workers, claims) = (vec![], vec![], vec![], vec![]);
        Self { database, conn, rng, now, definitions, tasks, workers, claims }
    }

    fn at(&self) -> Option<DateTime<Utc>> {
        Some(self.now)
    }

    pub(crate) fn execute(&mut self, sql: &str) {
        self.conn.batch_execute(sql).unwrap_or_else(|e| panic!("`{sql}`: {e}"));
    }

    /// Does this and takes it back.
    pub(crate) fn supposing<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.execute("begin");
        let answer = work(self);
        self.execute("rollback");
        answer
    }

    pub(crate) fn explain(&mut self, moment: Moment) -> Vec<Explanation> {
        explain_tasks(&mut self.conn, &self.tasks, moment).unwrap_or_else(|e| panic!("{e}"))
    }

    pub(crate) fn explain_now(&mut self) -> Vec<Explanation> {
        self.explain(Moment::Clock(self.now))
    }

    /// A workflow of up to six steps: an edge from each earlier step with a chance of its own.
    pub(crate) fn random_definition(&mut self) {
        let mut parts = WorkflowParts::new(format!("w{}", self.definitions.len()));
        parts.namespace = NAMESPACES[self.rng.usize(..2)].into();
        if self.rng.bool() {
            parts.failure_policy = FailurePolicy::FailFast;
        }
        let density = self.rng.f64();
        for n in 0..self.rng.usize(1..=6) {
            let mut step = StepDefinition::new(format!("s{n}"), HANDLERS[self.rng.usize(..3)]);
            step.depends_on = (0..n).filter(|_| self.rng.f64() < density).map(|p| format!("s{p}")).collect();
            step.retry_limit = [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3][self.rng.usize(..13)];
            step.retryable = self.rng.u8(..6) > 0;
            step.skippable = self.rng.bool();
            step.priority = self.rng.i16(1..=5);
            parts.steps.push(step);
        }
        self.definitions.push(WorkflowDefinition::new(parts).unwrap_or_else(|e| panic!("{e}")));
    }

    pub(crate) fn submit(&mut self, definition: usize, bypass: Vec<String>) -> TaskId {
        let (at, definition) = (self.at(), &self.definitions[definition]);
        let request = TaskRequest { bypass_steps: bypass, ..TaskRequest::new(json!({})) };
        let submitted = submit(&mut self.conn, definition, &[request], &Identity::Random, at);
        let task = submitted.unwrap_or_else(|e| panic!("{e}"))[0].task_id;
        self.tasks.push(task);
        task
    }

    /// One random command of anybody, or none: time alone passes.
    pub(crate) fn random_command(&mut self) {
        match self.rng.u8(..42) {
            0..3 => self.random_submit(),
            3..6 => self.random_worker(),
            6 => self.with_worker(|w, id| {
                commands::end_worker(&mut w.conn, id, Some(w.now)).unwrap();
            }),
            7..9 => self.with_worker(|w, id| {
                commands::renew(&mut w.conn, id, Some(w.now)).unwrap();
            }),
            9..17 => self.with_worker(|w, id| {
                let limit = w.rng.i32(1..=8);
                let claimed = commands::claim(&mut w.conn, id, limit, Some(w.now)).unwrap();
                w.claims.extend(claimed.iter().map(commands::ClaimedStep::claim));
            }),
            17..23 => {
                let reports: Vec<_> = self.some_claims().into_iter().map(|c| (c, json!({}))).collect();
                commands::complete(&mut self.conn, &reports, Some(self.now)).unwrap();
            }
            23..28 => self.random_failures(),
            28 => {
                let claims = self.some_claims();
                commands::release(&mut self.conn, &claims, Some("not now"), Some(self.now)).unwrap();
            }
            29 => self.with_task(|w, task| {
                commands::cancel(&mut w.conn, &[task], "ann", Some("not wanted"), Some(w.now)).unwrap();
            }),
            30 => self.with_task(|w, task| {
                commands::retry(&mut w.conn, &[task], "ann", None, Some(w.now)).unwrap();
            }),
            31..33 => self.with_step(|w, task, step| {
                commands::retry_single(&mut w.conn, &[(task, step)], "ann", Some("again"), Some(w.now))
                    .unwrap();
            }),
            33 => self.with_step(|w, task, step| {
                commands::resolve(&mut w.conn, &[(task, step, None)], "bob", Some("by hand"), Some(w.now))
                    .unwrap();
            }),
            34..36 => self.random_pause(),
            36..38 => self.with_step(Self::random_setting),
            38 => self.with_step(Self::random_return),
            _ => {}
        }
    }

    pub(crate) fn random_submit(&mut self) {
        if self.tasks.len() >= 40 {
            return;
        }
        let definition = self.rng.usize(..self.definitions.len());
        let skippable = self.definitions[definition].steps().iter().filter(|s| s.skippable);
        let names: Vec<String> = skippable.map(|s| s.name.clone()).collect();
        let bypass = names.into_iter().filter(|_| self.rng.u8(..4) == 0).collect();
        self.submit(definition, bypass);
    }

    pub(crate) fn random_worker(&mut self) {
        let handlers: Vec<String> =
            HANDLERS.iter().filter(|_| self.rng.bool()).map(|h| (*h).into()).collect();
        let namespaces = (self.rng.u8(..4) > 0).then(|| vec![NAMESPACES[self.rng.usize(..2)].to_owned()]);
        let lease = self.rng.i32(500..20_000);
        let name = format!("worker {}", self.workers.len());
        let (at, conn) = (self.at(), &mut self.conn);
        let (id, _) = commands::register(conn, &name, namespaces.as_deref(), &handlers, lease, at).unwrap();
        self.workers.push(id);
    }

    fn with_worker(&mut self, work: impl FnOnce(&mut Self, WorkerId)) {
        // The youngest are alive more often.
        let recent = self.workers.len().min(4);
        if recent > 0 {
            let id = self.workers[self.workers.len() - 1 - self.rng.usize(..recent)];
            work(self, id);
        }
    }

    fn with_task(&mut self, work: impl FnOnce(&mut Self, TaskId)) {
        if !self.tasks.is_empty() {
            let task = self.tasks[self.rng.usize(..self.tasks.len())];
            work(self, task);
        }
    }

    fn with_step(&mut self, work: impl FnOnce(&mut Self, TaskId, StepId)) {
        self.with_task(|w, task| {
            let steps = StepWithName::of_task(&mut w.conn, task).unwrap();
            let step = steps[w.rng.usize(..steps.len())].step.workflow_step_id;
            work(w, task, step);
        });
    }

    /// Some claims of whatever is left, old ones too, whose reports are refused.
    fn some_claims(&mut self) -> Vec<Claim> {
        let mut taken = vec![];
        for _ in 0..self.rng.usize(1..=3).min(self.claims.len()) {
            let claim = self.claims[self.rng.usize(..self.claims.len())];
            if self.rng.u8(..8) > 0 {
                self.claims.retain(|c| *c != claim);
            }
            taken.push(claim);
        }
        taken.dedup();
        taken
    }

    fn random_failures(&mut self) {
        let claims = self.some_claims();
        let kinds = [
            FailureKind::Retryable,
            FailureKind::Retryable,
            FailureKind::Timeout,
            FailureKind::Panic,
            FailureKind::Permanent,
            FailureKind::Permanent,
        ];
        let reports: Vec<_> = claims
            .into_iter()
            .map(|claim| FailedAttempt {
                claim,
                kind: kinds[self.rng.usize(..kinds.len())],
                delay_ms: [0, self.rng.i64(0..20_000)][self.rng.usize(..2)],
                message: format!("boom {}", self.rng.u16(..)),
            })
            .collect();
        commands::fail(&mut self.conn, &reports, Some(self.now)).unwrap();
    }

    fn random_pause(&mut self) {
        let resume = self.rng.u8(..3) > 0;
        self.with_step(|w, task, step| {
            let Explanation { namespace, handler, .. } =
                explain(&mut w.conn, task, step, None).unwrap().unwrap();
            let what = match w.rng.u8(..3) {
                0 => Paused::Step,
                1 => Paused::Task,
                _ => Paused::Queue { namespace, handler },
            };
            if resume { w.resume(&what, task, step) } else { w.pause(&what, task, step) }
        });
    }

    /// Pauses a step, a task or a queue.
    pub(crate) fn pause(&mut self, what: &Paused, task: TaskId, step: StepId) {
        self.control(what, task, step, true);
    }

    /// Ends a pause.
    pub(crate) fn resume(&mut self, what: &Paused, task: TaskId, step: StepId) {
        self.control(what, task, step, false);
    }

    fn control(&mut self, what: &Paused, task: TaskId, step: StepId, pause: bool) {
        let (at, conn) = (self.at(), &mut self.conn);
        match what {
            Paused::Step => {
                commands::pause_single(conn, &[(task, step)], pause, "ann", None, at).unwrap();
            }
            Paused::Task => {
                commands::pause(conn, &[task], pause, "ann", None, at).unwrap();
            }
            Paused::Queue { namespace, handler } => {
                let (namespace, handler) = (Some(namespace.as_str()), Some(handler.as_str()));
                commands::pause_queue(conn, namespace, handler, pause, "ann", None, at).unwrap();
            }
        }
    }

    /// A limit, a priority, a shorter wait or a namespace's pause.
    fn random_setting(&mut self, task: TaskId, step: StepId) {
        let (at, steps, conn) = (self.at(), [(task, step)], &mut self.conn);
        match self.rng.u8(..6) {
            0..3 => {
                _ = commands::set_retry_limit(conn, &steps, self.rng.i32(0..=4), "ann", None, at).unwrap()
            }
            3 => _ = commands::set_priority(conn, &steps, self.rng.i32(1..=5), "ann", None, at).unwrap(),
            4 => _ = commands::retry_now(conn, &steps, "ann", None, at).unwrap(),
            _ => {
                let (namespace, pause) = (NAMESPACES[self.rng.usize(..2)], self.rng.u8(..3) == 0);
                commands::pause_queue(conn, Some(namespace), None, pause, "ann", None, at).unwrap();
            }
        }
    }

    /// Something goes back, or is cancelled alone.
    fn random_return(&mut self, task: TaskId, step: StepId) {
        let (at, steps, conn) = (self.at(), [(task, step)], &mut self.conn);
        match self.rng.u8(..4) {
            0 => commands::reset(conn, &steps, "bob", None, at),
            1 => commands::retry_from(conn, &steps, "bob", Some("from here"), at),
            2 => commands::cancel_single(conn, &steps, "bob", Some("not this one"), at),
            _ => commands::skip(conn, &steps, "bob", None, at),
        }
        .unwrap();
    }

    /// What the claim takes at this instant if a worker serves everything and no lease has run out.
    pub(crate) fn claimable(&mut self) -> Vec<StepId> {
        self.supposing(|w| {
            w.execute(&format!(
                "update tasker.workers set lease_until = '{}' where reaped_at is null",
                w.now + TimeDelta::hours(1)
            ));
            let handlers = HANDLERS.map(str::to_owned);
            let (id, _) =
                commands::register(&mut w.conn, "takes all", None, &handlers, 60_000, Some(w.now)).unwrap();
            let claimed = commands::claim(&mut w.conn, id, 100_000, Some(w.now)).unwrap();
            let mut steps: Vec<_> = claimed.into_iter().map(|s| s.step_id).collect();
            steps.sort_unstable();
            steps
        })
    }

    /// The fencing token of a step in progress.
    pub(crate) fn token(&mut self, task: TaskId, step: StepId) -> Claim {
        let sql = format!(
            "select seq::bigint as n from tasker.workflow_steps where task_id = {task} and workflow_step_id = {step}"
        );
        Claim { task_id: task, step_id: step, token: self.number(&sql) as i32 }
    }

    pub(crate) fn number(&mut self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        diesel::sql_query(sql).get_result::<Number>(&mut self.conn).unwrap_or_else(|e| panic!("{e}")).n
    }

    /// Brings a step out of its death, as a person would: a retry, and where that leaves it dead, declaring it
    /// done.
    pub(crate) fn revive(&mut self, task: TaskId, step: StepId) {
        let at = self.at();
        commands::retry_single(&mut self.conn, &[(task, step)], "ann", None, at).unwrap();
        let dead = format!(
            "select tasker.is_dead(state, attempts, retry_limit, retryable, failure_kind)::integer::bigint as n from tasker.workflow_steps where task_id = {task} and workflow_step_id = {step}"
        );
        if self.number(&dead) == 1 {
            self.finish(task, step);
        }
    }

    /// Declares a step done, whatever it takes: that of a cancelled task, once the task is open again.
    pub(crate) fn finish(&mut self, task: TaskId, step: StepId) {
        let at = self.at();
        if self.task_state(task) == TaskState::Cancelled {
            commands::retry(&mut self.conn, &[task], "ann", None, at).unwrap();
        }
        let state = |w: &mut Self| {
            let steps = StepWithName::of_task(&mut w.conn, task).unwrap();
            steps.into_iter().find(|s| s.step.workflow_step_id == step).unwrap().step.state
        };
        match state(self) {
            StepState::InProgress => {
                let claim = self.token(task, step);
                commands::release(&mut self.conn, &[claim], None, at).unwrap();
            }
            StepState::Cancelled => {
                commands::retry_single(&mut self.conn, &[(task, step)], "ann", None, at).unwrap();
            }
            StepState::Pending | StepState::Error | StepState::Complete | StepState::ResolvedManually => {}
        }
        let done = commands::resolve(&mut self.conn, &[(task, step, None)], "ann", None, at).unwrap();
        assert_eq!(state(self), StepState::ResolvedManually, "{done:?}");
    }

    pub(crate) fn task_state(&mut self, task: TaskId) -> TaskState {
        Task::find(&mut self.conn, task).unwrap().unwrap().0.state
    }
}
