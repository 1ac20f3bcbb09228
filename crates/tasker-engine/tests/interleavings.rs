//! Random operations from several sessions at once, judged by what edges and log alone say, and then driven to
//! the end: everything must complete.
//!
//! `TASKER_TEST_SEED` fixes the operations that each session draws (their interleaving is the machine's), and
//! `TASKER_TEST_OPERATIONS` their number.

mod support;

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use diesel::PgConnection;
use fastrand::Rng;
use serde_json::{Value, json};
use support::{HANDLER, fail_fast, failed, number, parts, persist, register, texts};
use tasker_engine::{
    commands::{self, Claim},
    definition::{StepDefinition, WorkflowDefinition},
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, StepId, StepWithName, TaskId, WorkerId};
use tasker_testkit::{TestDatabase, check_invariants};

const SESSIONS: usize = 6;
const ROUNDS: usize = 8;

/// How many tasks are open at once, so that sessions meet.
const TASKS: usize = 8;

/// Shorter than a round: some run out while their steps are held.
const LEASE_MS: i32 = 150;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// A random workflow of 1 to 8 steps: each step has any of the earlier ones as parents.
fn workflow(rng: &mut Rng) -> WorkflowDefinition {
    let mut parts = if rng.bool() { parts(&[]) } else { fail_fast(&[]) };
    let density = rng.f64() * 0.7;
    for i in 0..rng.usize(1..=8) {
        let mut step = StepDefinition::new(format!("step_{i}"), HANDLER);
        step.depends_on = (0..i).filter(|_| rng.f64() < density).map(|p| format!("step_{p}")).collect();
        step.retry_limit = rng.i32(1..=4);
        step.retryable = rng.u8(..) > 40;
        step.priority = rng.i16(1..=5);
        step.skippable = rng.bool();
        parts.steps.push(step);
    }
    WorkflowDefinition::new(parts).unwrap()
}

/// One session: a connection, an incarnation, what it holds and what it once held.
struct Actor<'a> {
    rng: Rng,
    conn: PgConnection,
    worker: WorkerId,
    held: Vec<Claim>,
    /// Claims of former incarnations: taken back or not yet.
    old: Vec<Claim>,
    /// Claims whose report was accepted: no second one may be.
    spent: Vec<Claim>,
    tasks: &'a Mutex<Vec<TaskId>>,
    counts: BTreeMap<&'static str, u64>,
}

/// A result that says whose it is, so that one taken for another shows.
fn result(claim: Claim) -> (Claim, Value) {
    (claim, json!({"token": claim.token}))
}

impl Actor<'_> {
    fn run(&mut self, operations: u64) {
        for _ in 0..operations {
            let name = self.operate();
            *self.counts.entry(name).or_default() += 1;
        }
    }

    fn operate(&mut self) -> &'static str {
        match self.rng.u8(0..100) {
            0..28 => self.claim(),
            28..50 => self.complete(),
            50..64 => self.fail(),
            64..69 => self.release(),
            69..74 => self.report_again(),
            74..79 => self.report_late(),
            79..82 => self.lapse(),
            82..84 => self.cancel(),
            84..87 => self.retry(),
            87..89 => self.resolve(),
            89..92 => self.go_back(),
            92..95 => self.change(),
            95..98 => self.submit(),
            98 => self.renew(),
            _ => self.pause_queue(),
        }
    }

    /// For a moment: while it is paused, nobody claims.
    fn pause_queue(&mut self) -> &'static str {
        persist(|| commands::pause_queue(&mut self.conn, None, Some(HANDLER), true, "random", None, None));
        persist(|| commands::pause_queue(&mut self.conn, None, Some(HANDLER), false, "random", None, None));
        "pause queue"
    }

    fn claim(&mut self) -> &'static str {
        let (worker, limit) = (self.worker, self.rng.i32(1..=5));
        let steps = persist(|| commands::claim(&mut self.conn, worker, limit, None));
        self.held.extend(steps.iter().map(|s| s.claim()));
        if steps.is_empty() { "claim nothing" } else { "claim" }
    }

    /// Takes some of the claims that are held.
    fn take(&mut self) -> Vec<Claim> {
        self.rng.shuffle(&mut self.held);
        let keep = self.held.len() - self.rng.usize(0..=self.held.len().min(4));
        self.held.split_off(keep)
    }

    /// Nobody else reports what this session claimed, so what was not accepted was taken away.
    fn settle(&mut self, claims: &[Claim], accepted: &[StepId]) {
        let lost = claims.iter().filter(|c| !accepted.contains(&c.step_id)).count();
        *self.counts.entry("lost").or_default() += lost as u64;
        self.spent.extend(claims);
    }

    fn complete(&mut self) -> &'static str {
        let claims = self.take();
        let mut reports: Vec<_> = claims.iter().copied().map(result).collect();
        // In the same batch: some twice, and for some what an earlier claim of the step would say.
        if let Some(first) = reports.first().cloned() {
            reports.push(first);
        }
        let spent = self.spent.iter().filter(|s| claims.iter().any(|c| c.step_id == s.step_id));
        reports.extend(spent.copied().map(result));
        self.rng.shuffle(&mut reports);
        let changes = persist(|| commands::complete(&mut self.conn, &reports, None));
        self.settle(&claims, &changes.accepted);
        "complete"
    }

    fn fail(&mut self) -> &'static str {
        let claims = self.take();
        let mut reports = vec![];
        for claim in &claims {
            let kind = FailureKind::ALL[self.rng.usize(..FailureKind::ALL.len())];
            reports.push(failed(*claim, kind));
        }
        let changes = persist(|| commands::fail(&mut self.conn, &reports, None));
        self.settle(&claims, &changes.accepted);
        "fail"
    }

    fn release(&mut self) -> &'static str {
        let claims = self.take();
        let changes = persist(|| commands::release(&mut self.conn, &claims, None, None));
        self.settle(&claims, &changes.accepted);
        "release"
    }

    /// What was reported once is refused, whatever it says now.
    fn report_again(&mut self) -> &'static str {
        let Some(claim) = self.rng.choice(&self.spent).copied() else { return "report nothing again" };
        let accepted = self.report_anyhow(claim);
        assert!(accepted.is_empty(), "a second report of {claim:?} was accepted");
        "report again"
    }

    /// What a former incarnation held may be reported for as long as nobody has taken it back.
    fn report_late(&mut self) -> &'static str {
        if self.old.is_empty() {
            return "report nothing late";
        }
        let claim = self.old.swap_remove(self.rng.usize(..self.old.len()));
        let accepted = self.report_anyhow(claim);
        self.spent.push(claim);
        if accepted.is_empty() { "report too late" } else { "report late" }
    }

    fn report_anyhow(&mut self, claim: Claim) -> Vec<StepId> {
        let kind = self.rng.u8(0..3);
        let failure = failed(claim, FailureKind::Permanent);
        let conn = &mut self.conn;
        persist(|| match kind {
            0 => commands::complete(conn, &[result(claim)], None),
            1 => commands::fail(conn, std::slice::from_ref(&failure), None),
            _ => commands::release(conn, &[claim], None, None),
        })
        .accepted
    }

    /// The incarnation dies, or signs off with its steps in hand, and the process comes back as another.
    fn lapse(&mut self) -> &'static str {
        self.old.append(&mut self.held);
        let worker = self.worker;
        if self.rng.bool() {
            persist(|| commands::end_worker(&mut self.conn, worker, None));
        }
        self.worker = register(&mut self.conn, LEASE_MS);
        "lapse"
    }

    fn renew(&mut self) -> &'static str {
        let worker = self.worker;
        if persist(|| commands::renew(&mut self.conn, worker, None)).is_some() {
            return "renew";
        }
        self.old.append(&mut self.held);
        self.worker = register(&mut self.conn, LEASE_MS);
        "renew too late"
    }

    fn task(&mut self) -> TaskId {
        let tasks = self.tasks.lock().unwrap();
        let recent = &tasks[tasks.len().saturating_sub(TASKS)..];
        *self.rng.choice(recent).unwrap()
    }

    fn steps(&mut self) -> Vec<(TaskId, StepId)> {
        let task = self.task();
        let mut steps = StepWithName::of_task(&mut self.conn, task).unwrap();
        self.rng.shuffle(&mut steps);
        steps.truncate(self.rng.usize(1..=2));
        steps.iter().map(|s| (task, s.step.workflow_step_id)).collect()
    }

    fn cancel(&mut self) -> &'static str {
        let task = self.task();
        persist(|| commands::cancel(&mut self.conn, &[task], "random", None, None));
        "cancel"
    }

    fn retry(&mut self) -> &'static str {
        if self.rng.bool() {
            let steps = self.steps();
            persist(|| commands::retry_single(&mut self.conn, &steps, "random", None, None));
            return "retry steps";
        }
        let tasks = [self.task(), self.task()];
        persist(|| commands::retry(&mut self.conn, &tasks, "random", None, None));
        "retry tasks"
    }

    fn resolve(&mut self) -> &'static str {
        let steps: Vec<_> = self.steps().into_iter().map(|(task, step)| (task, step, None)).collect();
        persist(|| commands::resolve(&mut self.conn, &steps, "random", None, None));
        "resolve"
    }

    /// A reset, a retry from a step, or the cancellation of single steps.
    fn go_back(&mut self) -> &'static str {
        let (steps, kind) = (self.steps(), self.rng.u8(0..3));
        let conn = &mut self.conn;
        persist(|| match kind {
            0 => commands::reset(conn, &steps, "random", None, None),
            1 => commands::retry_from(conn, &steps, "random", None, None),
            _ => commands::cancel_single(conn, &steps, "random", None, None),
        });
        ["reset", "retry from", "cancel steps"][usize::from(kind)]
    }

    /// Limits, priorities, waits, pauses.
    fn change(&mut self) -> &'static str {
        let (steps, kind) = (self.steps(), self.rng.u8(0..8));
        let (limit, priority, pause) = (self.rng.i32(0..=4), self.rng.i32(1..=5), self.rng.u8(0..3) == 0);
        let conn = &mut self.conn;
        persist(|| match kind {
            0 | 1 => commands::set_retry_limit(conn, &steps, limit, "random", None, None).map(|_| "limit"),
            2 => commands::set_priority(conn, &steps, priority, "random", None, None).map(|_| "priority"),
            3 => commands::retry_now(conn, &steps, "random", None, None).map(|_| "retry now"),
            4 => commands::skip(conn, &steps, "random", None, None).map(|_| "skip"),
            5 => commands::pause_single(conn, &steps, pause, "random", None, None).map(|_| "pause steps"),
            6 => commands::pause(conn, &[steps[0].0], pause, "random", None, None).map(|_| "pause tasks"),
            _ => commands::pause(conn, &[steps[0].0], false, "random", None, None).map(|_| "resume tasks"),
        })
    }

    fn submit(&mut self) -> &'static str {
        let definition = workflow(&mut self.rng);
        let skip = definition.steps().iter().find(|s| s.skippable && self.rng.u8(..) < 60);
        let bypass_steps = skip.map(|s| s.name.clone()).into_iter().collect();
        let request = [TaskRequest { bypass_steps, ..TaskRequest::new(json!({})) }];
        let submitted = loop {
            match submit(&mut self.conn, &definition, &request, &Identity::Random, None) {
                Err(tasker_engine::submit::SubmitError::Database(e))
                    if tasker_engine::db::is_transient(&e) => {}
                submitted => break submitted.unwrap(),
            }
        };
        self.tasks.lock().unwrap().push(submitted[0].task_id);
        "submit"
    }
}

/// Resumes everything and gives every unfinished step an attempt that may have been taken from it.
fn free(conn: &mut PgConnection) {
    let all: Vec<_> = texts(conn, "select task_id::text from tasker.tasks order by 1");
    let all: Vec<_> = all.iter().map(|id| TaskId(id.parse().unwrap())).collect();
    commands::pause(conn, &all, false, "random", None, None).unwrap();
    let steps: Vec<_> = all
        .iter()
        .flat_map(|task| StepWithName::of_task(conn, *task).unwrap())
        .map(|s| (s.step.task_id, s.step.workflow_step_id))
        .collect();
    commands::pause_single(conn, &steps, false, "random", None, None).unwrap();
    commands::set_retry_limit(conn, &steps, 9, "random", None, None).unwrap();
}

/// Completes whatever comes, and retries whatever failed or was cancelled, until all tasks are complete.
fn finish(conn: &mut PgConnection) {
    free(conn);
    support::execute(conn, "select tasker.end_worker(worker_id) from tasker.workers where ended_at is null");
    let worker = register(conn, 3_600_000);
    loop {
        let steps = commands::claim(conn, worker, 100, None).unwrap();
        if !steps.is_empty() {
            let reports: Vec<_> = steps.iter().map(|s| result(s.claim())).collect();
            assert_eq!(commands::complete(conn, &reports, None).unwrap().accepted.len(), steps.len());
            continue;
        }
        let open = "select task_id::text from tasker.tasks where state <> 'complete' order by 1";
        let open: Vec<_> = texts(conn, open).iter().map(|id| TaskId(id.parse().unwrap())).collect();
        if open.is_empty() {
            return;
        }
        let retried = commands::retry(conn, &open, "random", None, None).unwrap();
        free(conn);
        assert!(retried.iter().any(|t| t.outcome == "retried"), "nothing leads on from {retried:?}");
    }
}

/// What the check of the whole database cannot know: a result belongs to the claim that completed the step.
fn assert_sound(conn: &mut PgConnection, seed: u64, when: &str) {
    let wrong = check_invariants(conn);
    assert!(wrong.is_empty(), "seed {seed}, {when}:\n{}", wrong.join("\n"));
    let foreign = "select count(*) from tasker.workflow_steps where state = 'complete' and (results ->> 'token')::integer <> seq - 1";
    assert_eq!(number(conn, foreign), 0, "seed {seed}, {when}: a stale result was written");
}

#[test]
fn whatever_sessions_do_at_once_the_rows_stay_sound_and_everything_completes() {
    let seed = setting("TASKER_TEST_SEED", fastrand::u64(..));
    let operations = setting("TASKER_TEST_OPERATIONS", 4_800);
    let each = operations / (SESSIONS * ROUNDS) as u64;
    let database = TestDatabase::new();
    let mut conn = database.connection();
    let tasks = Mutex::new(vec![]);
    let mut seeds = Rng::with_seed(seed);
    let mut actors: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let mut conn = database.connection();
            let worker = register(&mut conn, LEASE_MS);
            let rng = seeds.fork();
            let (held, old, spent) = (vec![], vec![], vec![]);
            Actor { rng, conn, worker, held, old, spent, tasks: &tasks, counts: BTreeMap::new() }
        })
        .collect();
    actors.iter_mut().for_each(|a| _ = a.submit());

    let start = Instant::now();
    for round in 1..=ROUNDS {
        std::thread::scope(|scope| {
            for actor in &mut actors {
                scope.spawn(|| actor.run(each));
            }
        });
        assert_sound(&mut conn, seed, &format!("after round {round}"));
    }
    let took = start.elapsed();
    finish(&mut conn);
    assert_sound(&mut conn, seed, "at the end");
    report(seed, took, &actors);
}

#[expect(clippy::print_stdout, reason = "the figures of a run are its evidence")]
fn report(seed: u64, took: Duration, actors: &[Actor<'_>]) {
    let mut counts = BTreeMap::<&str, u64>::new();
    for (name, n) in actors.iter().flat_map(|a| &a.counts) {
        *counts.entry(name).or_default() += n;
    }
    println!("TASKER_TEST_SEED={seed}: {took:.1?}, {counts:?}");
}
