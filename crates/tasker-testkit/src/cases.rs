//! Tasks in any state, written as rows with a log that leads there, and the rule of readiness once more in plain
//! Rust to hold the answers of the functions against. Functions here panic with a sentence where the database
//! refuses: they are for tests and proofs.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    PgConnection, RunQueryDsl,
    connection::SimpleConnection,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz},
};
use serde_json::json;
use tasker_engine::{
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts},
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::{
    StepState::{self, Cancelled, Complete, Error, InProgress, Pending},
    TaskId, TaskState,
};

/// The instant at which the tests' clock stands, to the microsecond that PostgreSQL keeps.
pub fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_893_585_600, 0).unwrap_or_default()
}

/// So many microseconds.
pub fn micros(n: i64) -> TimeDelta {
    TimeDelta::microseconds(n)
}

/// A workflow of these steps.
pub fn workflow(name: &str, steps: Vec<StepDefinition>) -> WorkflowDefinition {
    let mut parts = WorkflowParts::new(name);
    parts.steps = steps;
    WorkflowDefinition::new(parts).unwrap_or_else(|e| panic!("{e}"))
}

/// A task of it, submitted at noon.
pub fn submit_one(conn: &mut PgConnection, definition: &WorkflowDefinition) -> TaskId {
    let requests = [TaskRequest::new(json!({}))];
    submit(conn, definition, &requests, &Identity::Random, Some(noon())).unwrap_or_else(|e| panic!("{e}"))[0]
        .task_id
}

/// A step as its row says; the parents are places in the task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StepCase {
    /// Durable state.
    pub state: StepState,
    /// Attempts so far.
    pub attempts: i32,
    /// How many there may be.
    pub retry_limit: i32,
    /// Whether a failed attempt may be followed by another.
    pub retryable: bool,
    /// Whether the last failure was permanent.
    pub permanent: bool,
    /// Seconds after noon at which its time comes.
    pub due: i32,
    /// Whether fail-fast holds it.
    pub held: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Places of its parents in the task.
    pub parents: Vec<usize>,
}

impl StepCase {
    /// A step in this state after so many of three attempts, due at noon.
    pub fn new(state: StepState, attempts: i32) -> Self {
        Self {
            state,
            attempts,
            retry_limit: 3,
            retryable: true,
            permanent: false,
            due: 0,
            held: false,
            paused: false,
            parents: vec![],
        }
    }

    /// With these parents.
    #[must_use]
    pub fn below(mut self, parents: &[usize]) -> Self {
        self.parents = parents.to_vec();
        self
    }

    /// Whether nothing but a person brings it on.
    pub fn is_dead(&self) -> bool {
        is_dead(self.state, self.attempts, self.retry_limit, self.retryable, self.permanent)
    }
}

/// Whether nothing but a person brings a step on.
pub(crate) fn is_dead(
    state: StepState,
    attempts: i32,
    retry_limit: i32,
    retryable: bool,
    permanent: bool,
) -> bool {
    match state {
        Cancelled => true,
        Pending | Error => permanent || attempts >= retry_limit || (attempts > 0 && !retryable),
        InProgress | Complete | StepState::ResolvedManually => false,
    }
}

/// A task as its rows say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskCase {
    /// Its steps, parents before children.
    pub steps: Vec<StepCase>,
    /// Durable state.
    pub state: TaskState,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether the queue of its steps is paused.
    pub queue_paused: bool,
}

impl TaskCase {
    /// A task that has been started.
    pub fn new(steps: Vec<StepCase>) -> Self {
        Self { steps, state: TaskState::InProgress, paused: false, queue_paused: false }
    }

    /// How many of a step's parents are not done.
    pub fn pending_parents(&self, step: &StepCase) -> usize {
        step.parents.iter().filter(|p| !self.steps[**p].state.is_done()).count()
    }

    /// Whether it may be attempted once its time has come and nothing keeps it back.
    pub fn is_claimable(&self, step: &StepCase) -> bool {
        matches!(step.state, Pending | Error) && !step.is_dead() && self.pending_parents(step) == 0
    }

    fn is_free(&self, step: &StepCase) -> bool {
        !(step.held || step.paused || self.paused || self.queue_paused) && self.state.is_open()
    }

    /// Whether it may be claimed at noon.
    pub fn is_ready(&self, step: &StepCase) -> bool {
        self.is_claimable(step) && self.is_free(step) && step.due <= 0
    }

    /// Everything that keeps a step from being claimed at noon; nothing where it is ready.
    pub fn reasons(&self, step: &StepCase) -> Vec<&'static str> {
        let mut reasons = vec![];
        let mut add = |holds: bool, reason| {
            if holds {
                reasons.push(reason);
            }
        };
        let unfinished = matches!(step.state, Pending | Error);
        add(!unfinished, step.state.as_str());
        add(unfinished && step.permanent, "permanent");
        add(unfinished && step.attempts >= step.retry_limit, "exhausted");
        add(unfinished && step.attempts > 0 && !step.retryable, "not_retryable");
        add(unfinished && self.pending_parents(step) > 0, "waiting_for_parents");
        add(unfinished && step.held, "held");
        add(unfinished && (step.paused || self.paused || self.queue_paused), "paused");
        add(unfinished && !self.state.is_open(), "task_finished");
        add(self.is_claimable(step) && step.due > 0 && step.attempts > 0, "waiting_for_retry");
        add(self.is_claimable(step) && step.due > 0 && step.attempts == 0, "scheduled");
        reasons
    }

    fn count(&self, what: impl Fn(&StepCase) -> bool) -> i64 {
        self.steps.iter().filter(|s| what(s)).count() as i64
    }

    /// Where it stands at noon, by architecture §4.
    pub fn standing(&self) -> Standing {
        let in_state = |state| self.count(|s| s.state == state);
        let total = self.steps.len() as i64;
        let (ready, running, failed) =
            (self.count(|s| self.is_ready(s)), in_state(InProgress), in_state(Error));
        let waiting = self.count(|s| self.is_claimable(s) && self.is_free(s) && s.due > 0);
        let held = self.count(|s| self.is_claimable(s) && !self.is_free(s));
        let (dead, done) = (self.count(StepCase::is_dead), self.count(|s| s.state.is_done()));
        let (execution, action, detailed) = if ready > 0 {
            ("has_ready_steps", "execute_ready_steps", "has_ready_steps")
        } else if running > 0 {
            ("processing", "wait_for_completion", "processing")
        } else if waiting > 0 {
            ("waiting_for_dependencies", "wait_for_dependencies", "waiting_for_retry")
        } else if dead > 0 {
            ("blocked_by_failures", "handle_failures", "blocked_by_failures")
        } else if done == total {
            ("all_complete", "finalize_task", "all_complete")
        } else if held > 0 {
            ("waiting_for_dependencies", "wait_for_dependencies", "held")
        } else {
            ("waiting_for_dependencies", "wait_for_dependencies", "waiting_for_dependencies")
        };
        let health = if failed == 0 {
            "healthy"
        } else if ready == 0 && self.count(|s| s.state == Error && s.is_dead()) > 0 {
            "blocked"
        } else {
            "recovering"
        };
        Standing {
            counts: [
                total,
                in_state(Pending),
                running,
                done,
                failed,
                ready,
                in_state(Cancelled),
                dead,
                waiting,
                held,
            ],
            words: [execution, action, health, detailed].map(str::to_owned),
        }
    }
}

/// The counts of a context in the order of its columns, and its words.
#[derive(Debug, PartialEq, Eq)]
pub struct Standing {
    /// The counts.
    pub counts: [i64; 10],
    /// Execution status, recommended action, health, detailed status.
    pub words: [String; 4],
}

impl From<&tasker_readiness::TaskExecutionContext> for Standing {
    fn from(c: &tasker_readiness::TaskExecutionContext) -> Self {
        Self {
            counts: [
                c.total_steps,
                c.pending_steps,
                c.in_progress_steps,
                c.completed_steps,
                c.failed_steps,
                c.ready_steps,
                c.cancelled_steps,
                c.dead_steps,
                c.waiting_for_retry_steps,
                c.held_steps,
            ],
            words: [&c.execution_status, &c.recommended_action, &c.health_status, &c.detailed_status]
                .map(Clone::clone),
        }
    }
}

/// What tasks hang on: one workflow, a thousand names of steps, an open queue and a paused one, a worker.
const REFERENCE: &str = "
insert into tasker.task_namespaces (name) values ('n');
insert into tasker.named_tasks (task_namespace_id, name, version) values (1, 't', '1.0.0');
insert into tasker.task_definitions (named_task_id, content_hash, definition, failure_policy) values (1, repeat('0', 64), '{}', 'drain');
insert into tasker.dependent_systems (name) values ('s');
insert into tasker.named_steps (dependent_system_id, name) select 1, 's' || n from generate_series(0, 999) n order by n;
insert into tasker.queues (task_namespace_id, handler, paused_at) values (1, 'open', null), (1, 'paused', now());
insert into tasker.workers (name, handlers, lease_ms, started_at, last_seen_at, lease_until) values ('w', '{open}', 1000, now(), now(), now());";

/// Writes the tasks into an empty database; the first has id 1, and so has its first step. The database
/// itself refuses a row whose `available_at` does not fit, so writing already compares `is_claimable`.
pub fn write(conn: &mut PgConnection, tasks: &[TaskCase]) {
    conn.batch_execute(REFERENCE).unwrap_or_else(|e| panic!("{e}"));
    let live = |t: &TaskCase| match t.state.is_open() {
        true => t.count(|s| s.state == InProgress || (t.is_claimable(s) && !s.held)) as i32,
        false => 0,
    };
    diesel::sql_query(
        "insert into tasker.tasks (task_id, named_task_id, definition_id, live_steps, state, requested_at, created_at, finished_at, paused_at, identity_hash, context)
         overriding system value
         select t.id, 1, 1, t.live, t.state, $5, $5, case when t.state not in ('pending', 'in_progress') then $5 end,
           case when t.paused then $5 end, t.id::text, '{}'
         from unnest($1, $2, $3, $4) t (id, live, state, paused)",
    )
    .bind::<Array<BigInt>, _>((1..=tasks.len() as i64).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(tasks.iter().map(live).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(tasks.iter().map(|t| t.state.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(tasks.iter().map(|t| t.paused).collect::<Vec<_>>())
    .bind::<Timestamptz, _>(noon())
    .execute(conn)
    .unwrap_or_else(|e| panic!("{e}"));

    let steps: Vec<_> = (1i64..)
        .zip(tasks)
        .flat_map(|(id, t)| t.steps.iter().enumerate().map(move |(n, s)| (id, n, t, s)))
        .collect();
    macro_rules! column {
        ($f:expr) => {
            steps.iter().map($f).collect::<Vec<_>>()
        };
    }
    diesel::sql_query(
        "insert into tasker.workflow_steps (task_id, workflow_step_id, named_step_id, queue_id, created_at, pending_parents, total_parents,
           attempts, retry_limit, retryable, held, paused, state, failure_kind, available_at, last_attempted_at, last_failure_at, finished_at, worker_id)
         overriding system value
         select s.task_id, s.place, s.name, s.queue, $14, s.pending, s.total, s.attempts, s.retry_limit, s.retryable, s.held, s.paused, s.state, s.kind,
           $14 + s.due * interval '1 s', case when s.attempts > 0 then $14 - interval '1 h' end,
           case when s.state = 'error' then $14 - interval '1 h' end,
           case when s.state in ('complete', 'resolved_manually', 'cancelled') then $14 end, case when s.state = 'in_progress' then 1 end
         from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
           with ordinality s (task_id, name, queue, pending, total, attempts, retry_limit, retryable, held, paused, state, kind, due, place)",
    )
    .bind::<Array<BigInt>, _>(column!(|(id, ..)| *id))
    .bind::<Array<Integer>, _>(column!(|(_, n, ..)| *n as i32 + 1))
    .bind::<Array<Integer>, _>(column!(|(_, _, t, _)| 1 + i32::from(t.queue_paused)))
    .bind::<Array<Integer>, _>(column!(|(_, _, t, s)| t.pending_parents(s) as i32))
    .bind::<Array<Integer>, _>(column!(|(.., s)| s.parents.len() as i32))
    .bind::<Array<Integer>, _>(column!(|(.., s)| s.attempts))
    .bind::<Array<Integer>, _>(column!(|(.., s)| s.retry_limit))
    .bind::<Array<Bool>, _>(column!(|(.., s)| s.retryable))
    .bind::<Array<Bool>, _>(column!(|(.., s)| s.held))
    .bind::<Array<Bool>, _>(column!(|(.., s)| s.paused))
    .bind::<Array<Text>, _>(column!(|(.., s)| s.state.as_str()))
    .bind::<Array<Nullable<Text>>, _>(column!(|(.., s)| match (s.permanent, s.state == Error) {
        (true, _) => Some("permanent"),
        (false, true) => Some("retryable"),
        (false, false) => None,
    }))
    .bind::<Array<Nullable<Integer>>, _>(column!(|(_, _, t, s)| t.is_claimable(s).then_some(s.due)))
    .bind::<Timestamptz, _>(noon())
    .execute(conn)
    .unwrap_or_else(|e| panic!("{e}"));

    let (mut ids, mut from, mut to, mut first) = (vec![], vec![], vec![], 1i64);
    for (id, task) in (1i64..).zip(tasks) {
        for (child, step) in task.steps.iter().enumerate() {
            for parent in &step.parents {
                ids.push(id);
                from.push(first + *parent as i64);
                to.push(first + child as i64);
            }
        }
        first += task.steps.len() as i64;
    }
    diesel::sql_query(
        "insert into tasker.workflow_step_edges (task_id, from_step_id, to_step_id, created_at) select e.*, $4 from unnest($1, $2, $3) e",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<BigInt>, _>(from)
    .bind::<Array<BigInt>, _>(to)
    .bind::<Timestamptz, _>(noon())
    .execute(conn)
    .unwrap_or_else(|e| panic!("{e}"));
}
