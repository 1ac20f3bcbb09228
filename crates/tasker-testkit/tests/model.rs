//! The store in memory and PostgreSQL are one: after each of many random commands, rows, logs and answers are equal.
//!
//! `TASKER_TEST_SEED` fixes the commands, `TASKER_TEST_OPERATIONS` their number.

#[path = "model/rows.rs"]
mod rows;

use std::collections::BTreeMap;

use diesel::PgConnection;
use fastrand::Rng;
use rows::{expired, instant, log_lines, row_lines};
use serde_json::json;
use tasker_engine::{
    commands::{self, Changes as Answer, Claim, FailedAttempt},
    definition::{FailurePolicy, StepDefinition, WorkflowDefinition, WorkflowParts},
    identity::Identity,
    report::Report,
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, StepId, TaskId, WorkerId};
use tasker_testkit::{
    TestDatabase, check_invariants,
    model::{Ask, At, Changes, Held, Logged, Millis, Plan, StepAnswer, Store, Workflow},
};

/// Handlers, each with a queue; the last is served by few workers.
const HANDLERS: [&str; 3] = ["a", "b", "c"];

/// Shorter than a few commands take in the time of the walk.
const LEASE: i32 = 8_000;

/// Operations reach back to so many tasks, and twice as many are compared after each.
const TASKS: usize = 6;

/// Reports reach back to so many claims.
const CLAIMS: usize = 60;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// The store, the database, and what binds the one to the other.
struct Twins {
    rng: Rng,
    conn: PgConnection,
    store: Store,
    now: Millis,
    /// The first id of each task's steps; ids follow the order of submission.
    first_step: Vec<i64>,
    /// Every claim ever made, valid or not.
    claims: Vec<Held>,
    history: Vec<String>,
    /// The log of each task.
    log: Vec<Vec<String>>,
    counts: BTreeMap<&'static str, u64>,
}

impl Twins {
    fn claim_of(&self, held: Held) -> Claim {
        let step_id = StepId(self.first_step[held.at.task] + held.at.step as i64);
        Claim { task_id: TaskId(held.at.task as i64 + 1), step_id, token: held.token }
    }

    fn at_of(&self, task: TaskId, step: StepId) -> At {
        let task = task.0 as usize - 1;
        At { task, step: (step.0 - self.first_step[task]) as usize }
    }

    fn place(&self, step: StepId) -> At {
        let task = self.first_step.partition_point(|first| *first <= step.0) - 1;
        self.at_of(TaskId(task as i64 + 1), step)
    }

    fn ids(&self, at: At) -> (TaskId, StepId) {
        let claim = self.claim_of(Held { at, token: 0 });
        (claim.task_id, claim.step_id)
    }

    fn recent_task(&mut self) -> usize {
        let first = self.store.tasks.len().saturating_sub(TASKS);
        self.rng.usize(first..self.store.tasks.len())
    }

    /// One to four distinct steps of recent tasks, by id.
    fn recent_steps(&mut self) -> Vec<At> {
        let mut steps = vec![];
        for _ in 0..self.rng.usize(1..=4) {
            let task = self.recent_task();
            let size = self.store.tasks[task].steps.len();
            if size > 0 {
                steps.push(At { task, step: self.rng.usize(..size) });
            }
        }
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Some claims, most of them valid, each step once; the others are of steps that somebody claimed anew, if there
    /// are any.
    fn some_claims(&mut self) -> Vec<Held> {
        let old = self.claims.len().saturating_sub(CLAIMS);
        self.claims.drain(..old);
        let (held, stale): (Vec<Held>, Vec<Held>) =
            self.claims.iter().partition(|c| self.store.step(c.at).is_held_by(c.token));
        let mut some = self.rng.choose_multiple(held.iter().copied(), 3);
        let (anew, over): (Vec<Held>, Vec<Held>) =
            stale.into_iter().partition(|c| held.iter().any(|h| h.at == c.at));
        if self.rng.u8(..) < 80 {
            let stale = if anew.is_empty() { over } else { anew };
            some.extend(self.rng.choice(stale).filter(|c| some.iter().all(|s| s.at != c.at)));
        }
        self.rng.shuffle(&mut some);
        some
    }

    fn worker(&mut self) -> usize {
        let all = self.store.workers.len();
        // Mostly one of the latest, who may be alive.
        if self.rng.u8(..) < 230 { self.rng.usize(all.saturating_sub(3)..all) } else { self.rng.usize(..all) }
    }

    fn same(&mut self, answer: &Answer, changes: &Changes, reported: usize) {
        *self.counts.entry("accepted").or_default() += changes.accepted.len() as u64;
        *self.counts.entry("refused").or_default() += (reported - changes.accepted.len()) as u64;
        let at = |steps: &[StepId]| -> Vec<At> {
            let mut steps: Vec<At> = steps.iter().map(|s| self.place(*s)).collect();
            steps.sort_unstable();
            steps
        };
        let mut settled: Vec<_> = answer.settled.iter().map(|(t, s)| (t.0 as usize - 1, *s)).collect();
        settled.sort_unstable_by_key(|s| s.0);
        let answered = Changes {
            accepted: at(&answer.accepted),
            dead: at(&answer.dead),
            held: at(&answer.held),
            ready: at(&answer.ready),
            settled,
        };
        assert_eq!(&answered, changes, "{}", self.story());
    }

    fn story(&self) -> String {
        let recent = self.history.len().saturating_sub(25);
        format!(
            "the database left, the store right; the last commands were:\n{}",
            self.history[recent..].join("\n")
        )
    }

    fn said(&mut self, name: &'static str, what: &dyn std::fmt::Debug) {
        *self.counts.entry(name).or_default() += 1;
        self.history.push(format!("at {}: {name} {what:?}", self.now));
    }
}

/// The commands, each given to both.
impl Twins {
    fn step(&mut self) {
        self.now += [0, 0, 1, 1, 10, 10, 100, 200, 500, 3_000][self.rng.usize(..10)];
        match self.rng.u8(0..100) {
            0..14 => self.claim(),
            14..36 => self.exchange(),
            36..46 => self.complete(),
            46..60 => self.fail(),
            60..65 => self.release(),
            65..67 => self.renew(),
            67..69 => self.renew_with(),
            69..73 => self.register(),
            73..74 => self.end_worker(),
            74..77 => self.expire(),
            77..80 => self.cancel(),
            80..83 => self.retry_tasks(),
            83..87 => self.retry_steps(),
            87..91 => self.resolve(),
            91..93 => self.ask(),
            _ => self.submit(),
        }
        self.compare();
    }

    fn submit(&mut self) {
        let parts = random_parts(&mut self.rng);
        let definition = WorkflowDefinition::new(parts).unwrap();
        let workflow = workflow_of(&definition);
        let skippable = (0..workflow.steps().len()).filter(|n| workflow.steps()[*n].skippable);
        let bypass: Vec<usize> = skippable.filter(|_| self.rng.u8(..) < 60).collect();
        let names = bypass.iter().map(|n| definition.steps()[*n].name.clone()).collect();
        let request = [TaskRequest { bypass_steps: names, ..TaskRequest::new(json!({})) }];
        self.said("submit", &(&workflow, &bypass));
        let submitted =
            submit(&mut self.conn, &definition, &request, &Identity::Random, instant(self.now)).unwrap();
        let first = self.first_step.last().map_or(1, |last| *last)
            + self.store.tasks.last().map_or(0, |t| t.steps.len() as i64);
        self.first_step.push(first);
        self.log.push(vec![]);
        let task = self.store.submit(&workflow, &bypass, self.now);
        assert_eq!(submitted[0].task_id.0 as usize - 1, task);
    }

    fn claim(&mut self) {
        let (worker, limit) = (self.worker(), self.rng.usize(1..=5));
        self.said("claim", &(worker, limit));
        let id = WorkerId(worker as i64 + 1);
        let rows = commands::claim(&mut self.conn, id, limit as i32, instant(self.now)).unwrap();
        let taken: Vec<At> = rows.iter().map(|r| self.at_of(r.task_id, r.step_id)).collect();
        let offered = self.store.offered(worker, self.now);
        assert!(
            self.store.could_take(&offered, &taken, limit),
            "{taken:?} was claimed, on offer was {offered:?}; {}",
            self.story()
        );
        *self.counts.entry("claimed").or_default() += taken.len() as u64;
        let held = self.store.take(worker, &taken, self.now);
        for (row, held) in rows.iter().zip(&held) {
            let step = self.store.step(held.at);
            let said = (row.token, row.attempt, row.generation, Some(row.claimed_at));
            assert_eq!(said, (held.token, step.attempts, step.generation, instant(self.now)));
        }
        self.claims.extend(held);
    }

    fn complete(&mut self) {
        let mut reports = self.some_claims();
        if self.rng.u8(..) < 30 {
            reports.extend(reports.first().copied());
        }
        self.said("complete", &reports);
        let sent: Vec<_> = reports.iter().map(|r| (self.claim_of(*r), json!({"token": r.token}))).collect();
        let answer = commands::complete(&mut self.conn, &sent, instant(self.now)).unwrap();
        let changes = self.store.complete(&reports, self.now);
        self.same(&answer, &changes, sent.len());
    }

    fn exchange(&mut self) {
        let worker = self.worker();
        let (limit, further, expire) = (self.rng.usize(0..=4), self.rng.u8(..) < 192, self.rng.bool());
        let reports = if self.rng.u8(..) < 60 { vec![] } else { self.some_claims() };
        self.said("exchange", &(worker, limit, further, expire, &reports));
        let sent: Vec<_> =
            reports.iter().map(|r| Report::Completed(self.claim_of(*r), json!({"token": r.token}))).collect();
        let id = WorkerId(worker as i64 + 1);
        let now = instant(self.now);
        let asked = commands::Ask { limit: limit as i32, further, expire };
        let answer = commands::exchange(&mut self.conn, id, asked, &sent, &[], now).unwrap();
        let taken: Vec<At> = answer.claimed.iter().map(|r| self.at_of(r.task_id, r.step_id)).collect();
        let story = self.story();
        let ask = Ask { limit, further, expire };
        let turn = self.store.exchange_as(worker, ask, &reports, self.now, |store, offered, left| {
            let more: Vec<At> = taken.iter().copied().filter(|at| offered.contains(at)).collect();
            assert!(
                store.could_take(&offered, &more, left),
                "{more:?} was claimed, on offer was {offered:?}; {story}"
            );
            more
        });
        self.same(&answer.changes, &turn.changes, sent.len());
        let mut said: Vec<_> =
            answer.claimed.iter().zip(&taken).map(|(r, at)| Held { at: *at, token: r.token }).collect();
        let mut claimed = turn.claimed.clone();
        said.sort_unstable();
        claimed.sort_unstable();
        assert_eq!(said, claimed, "{story}");
        assert_eq!(answer.due_in_ms.map(Millis::from), turn.due_in, "{story}");
        *self.counts.entry("claimed").or_default() += claimed.len() as u64;
        self.claims.extend(claimed);
    }

    fn renew_with(&mut self) {
        let (worker, claims) = (self.worker(), self.some_claims());
        self.said("renew_with", &(worker, &claims));
        let sent: Vec<_> = claims.iter().map(|c| self.claim_of(*c)).collect();
        let id = WorkerId(worker as i64 + 1);
        let renewed = commands::renew_worker_with(&mut self.conn, id, &sent, instant(self.now)).unwrap();
        let alive = self.store.renew(worker, self.now);
        let (mut lost, mut others) = self.store.notes(worker, &claims);
        if !alive {
            (lost, others) = (vec![], vec![]);
        }
        let held = |said: &[Claim]| {
            let mut held: Vec<Held> =
                said.iter().map(|c| Held { at: self.at_of(c.task_id, c.step_id), token: c.token }).collect();
            held.sort_unstable();
            held
        };
        lost.sort_unstable();
        assert_eq!(
            (renewed.alive, held(&renewed.lost), held(&renewed.others)),
            (alive, lost, others),
            "{}",
            self.story()
        );
    }

    fn fail(&mut self) {
        let reports: Vec<_> = self
            .some_claims()
            .into_iter()
            .map(|held| {
                let kind = FailureKind::ALL[self.rng.usize(..FailureKind::ALL.len())];
                (held, kind, [0, 1, 700, 2_000, 20_000][self.rng.usize(..5)])
            })
            .collect();
        self.said("fail", &reports);
        let sent: Vec<_> = reports
            .iter()
            .map(|(held, kind, delay_ms)| FailedAttempt {
                claim: self.claim_of(*held),
                kind: *kind,
                delay_ms: *delay_ms,
                message: "made to fail".into(),
            })
            .collect();
        let answer = commands::fail(&mut self.conn, &sent, instant(self.now)).unwrap();
        let changes = self.store.fail(&reports, self.now);
        self.same(&answer, &changes, sent.len());
    }

    fn release(&mut self) {
        let claims = self.some_claims();
        self.said("release", &claims);
        let sent: Vec<_> = claims.iter().map(|c| self.claim_of(*c)).collect();
        let answer = commands::release(&mut self.conn, &sent, None, instant(self.now)).unwrap();
        let changes = self.store.release(&claims, self.now);
        self.same(&answer, &changes, sent.len());
    }

    fn renew(&mut self) {
        let worker = self.worker();
        self.said("renew", &worker);
        let answer = commands::renew(&mut self.conn, WorkerId(worker as i64 + 1), instant(self.now)).unwrap();
        let renewed = self.store.renew(worker, self.now);
        assert_eq!(answer, instant(self.store.workers[worker].lease_until).filter(|_| renewed));
    }

    fn register(&mut self) {
        let queues: Vec<usize> = (0..HANDLERS.len()).filter(|q| self.rng.usize(..3) >= *q).collect();
        self.said("register", &queues);
        let handlers: Vec<String> = queues.iter().map(|q| HANDLERS[*q].to_owned()).collect();
        let now = instant(self.now);
        let (id, until) = commands::register(&mut self.conn, "twin", None, &handlers, LEASE, now).unwrap();
        let worker = self.store.register(&queues, i64::from(LEASE), self.now);
        assert_eq!(
            (id.0 as usize - 1, Some(until)),
            (worker, instant(self.store.workers[worker].lease_until))
        );
    }

    fn end_worker(&mut self) {
        let worker = self.worker();
        self.said("end_worker", &worker);
        let ended =
            commands::end_worker(&mut self.conn, WorkerId(worker as i64 + 1), instant(self.now)).unwrap();
        assert_eq!(ended, self.store.end_worker(worker, self.now));
    }

    fn expire(&mut self) {
        let limit = self.rng.usize(1..=3);
        self.said("expire", &limit);
        let taken = expired(&mut self.conn, limit, self.now);
        assert_eq!(taken, self.store.expire(limit, self.now), "{}", self.story());
    }

    fn cancel(&mut self) {
        let tasks = self.some_tasks();
        self.said("cancel", &tasks);
        let ids: Vec<_> = tasks.iter().map(|t| TaskId(*t as i64 + 1)).collect();
        let answer = commands::cancel(&mut self.conn, &ids, "twin", None, instant(self.now)).unwrap();
        let expected: Vec<_> = tasks.iter().map(|t| self.store.cancel(*t, self.now)).collect();
        self.same_tasks(&answer, &tasks, &expected);
    }

    fn retry_tasks(&mut self) {
        let tasks = self.some_tasks();
        self.said("retry_tasks", &tasks);
        let ids: Vec<_> = tasks.iter().map(|t| TaskId(*t as i64 + 1)).collect();
        let answer = commands::retry(&mut self.conn, &ids, "twin", None, instant(self.now)).unwrap();
        let expected: Vec<_> = tasks.iter().map(|t| self.store.retry_task(*t, self.now)).collect();
        self.same_tasks(&answer, &tasks, &expected);
    }

    fn some_tasks(&mut self) -> Vec<usize> {
        let mut tasks = vec![self.recent_task(), self.recent_task()];
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    fn same_tasks(
        &self,
        answer: &[commands::TaskOutcome],
        tasks: &[usize],
        expected: &[tasker_testkit::model::TaskAnswer],
    ) {
        let said: Vec<_> = answer
            .iter()
            .map(|a| (a.task_id.0 as usize - 1, a.outcome.as_str(), a.state.as_deref()))
            .collect();
        let expected: Vec<_> =
            tasks.iter().zip(expected).map(|(t, e)| (*t, e.outcome, Some(e.state.as_str()))).collect();
        assert_eq!(said, expected, "{}", self.story());
    }

    fn retry_steps(&mut self) {
        let steps = self.recent_steps();
        self.said("retry_steps", &steps);
        let ids: Vec<_> = steps.iter().map(|at| self.ids(*at)).collect();
        let answer = commands::retry_single(&mut self.conn, &ids, "twin", None, instant(self.now)).unwrap();
        let (steps, tasks) = self.store.retry(&steps, self.now);
        self.same_steps(&answer, steps, &tasks);
    }

    fn resolve(&mut self) {
        let steps = self.recent_steps();
        self.said("resolve", &steps);
        let ids: Vec<_> = steps.iter().map(|at| self.ids(*at)).map(|(t, s)| (t, s, None)).collect();
        let answer = commands::resolve(&mut self.conn, &ids, "twin", None, instant(self.now)).unwrap();
        let (steps, tasks) = self.store.resolve(&steps, self.now);
        self.same_steps(&answer, steps, &tasks);
    }

    fn same_steps(
        &self,
        answer: &[commands::StepOutcome],
        steps: Vec<StepAnswer>,
        tasks: &[(usize, tasker_model::TaskState)],
    ) {
        let mut said: Vec<_> = answer
            .iter()
            .map(|a| {
                let at = a.step_id.map(|s| self.at_of(a.task_id, s));
                (a.task_id.0 as usize - 1, at, a.outcome.to_string(), a.state.clone().unwrap_or_default())
            })
            .collect();
        said.sort_unstable();
        let mut expected: Vec<_> = steps
            .into_iter()
            .map(|s| (s.at.task, Some(s.at), s.outcome.to_owned(), s.state))
            .chain(tasks.iter().map(|(t, state)| (*t, None, "task".to_owned(), state.to_string())))
            .collect();
        expected.sort_unstable();
        assert_eq!(said, expected, "{}", self.story());
    }

    /// What a worker asks between its commands.
    fn ask(&mut self) {
        let worker = self.worker();
        let claims = self.some_claims();
        self.said("ask", &(worker, &claims));
        let id = WorkerId(worker as i64 + 1);
        let due = commands::next_due_at(&mut self.conn, id).unwrap();
        assert_eq!(due, self.store.next_due(worker).and_then(instant), "{}", self.story());
        let drained = commands::is_drained(&mut self.conn, id).unwrap();
        assert_eq!(drained, self.store.is_drained(worker), "{}", self.story());
        let sent: Vec<_> = claims.iter().map(|c| self.claim_of(*c)).collect();
        let lost = commands::lost(&mut self.conn, &sent).unwrap();
        let lost: Vec<At> = lost.iter().map(|s| self.place(*s)).collect();
        let expected: Vec<At> =
            claims.iter().filter(|c| self.store.step(c.at).seq != c.token).map(|c| c.at).collect();
        assert_eq!(lost, expected, "{}", self.story());
    }

    fn compare(&mut self) {
        if let Err(wrong) = self.store.check() {
            panic!("{wrong}; {}", self.story());
        }
        for logged in std::mem::take(&mut self.store.log) {
            let (Logged::Step { step: At { task, .. }, .. } | Logged::Task { task, .. }) = logged;
            self.log[task].push(logged.to_string());
        }
        self.compare_from(self.store.tasks.len().saturating_sub(2 * TASKS));
    }

    /// Rows and logs of the tasks from this place on.
    fn compare_from(&mut self, first: usize) {
        assert_eq!(row_lines(&mut self.conn, first), self.store.lines(first), "{}", self.story());
        let mut log: Vec<&String> = self.log[first..].iter().flatten().collect();
        log.sort_unstable();
        assert_eq!(log_lines(&mut self.conn, first).iter().collect::<Vec<_>>(), log, "{}", self.story());
    }
}

/// A workflow of up to six steps: each has any of the earlier ones as parents.
fn random_parts(rng: &mut Rng) -> WorkflowParts {
    let mut parts = WorkflowParts::new("twin");
    parts.failure_policy = if rng.bool() { FailurePolicy::FailFast } else { FailurePolicy::Drain };
    let density = rng.f64();
    for i in 0..rng.usize(0..=6) {
        let mut step =
            StepDefinition::new(format!("step_{i}"), HANDLERS[rng.usize(..2) + usize::from(rng.u8(..) < 20)]);
        step.depends_on = (0..i).filter(|_| rng.f64() < density).map(|p| format!("step_{p}")).collect();
        let lowest = i32::from(rng.u8(..) > 20);
        step.retry_limit = rng.i32(lowest..=3);
        step.retryable = rng.u8(..) > 40;
        step.skippable = rng.bool();
        step.priority = rng.i16(2..=4);
        parts.steps.push(step);
    }
    parts
}

/// The same workflow for the store, its steps in the order of the definition.
fn workflow_of(definition: &WorkflowDefinition) -> Workflow {
    let place = |name: &String| definition.steps().iter().position(|s| s.name == *name).unwrap();
    let steps = definition.steps().iter().map(|s| Plan {
        parents: s.depends_on.iter().map(place).collect(),
        retry_limit: s.retry_limit,
        retryable: s.retryable,
        skippable: s.skippable,
        priority: s.priority,
        queue: HANDLERS.iter().position(|h| *h == s.handler).unwrap(),
    });
    Workflow::new(steps.collect(), definition.failure_policy() == FailurePolicy::FailFast)
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of a run are its evidence")]
fn after_every_command_the_rows_are_those_of_the_store() {
    let seed = setting("TASKER_TEST_SEED", fastrand::u64(..));
    println!("TASKER_TEST_SEED={seed}");
    let database = TestDatabase::new();
    let mut twins = Twins {
        rng: Rng::with_seed(seed),
        conn: database.connection(),
        store: Store::default(),
        now: 0,
        first_step: vec![],
        claims: vec![],
        history: vec![],
        log: vec![],
        counts: BTreeMap::new(),
    };
    twins.register();
    twins.submit();
    for _ in 0..setting("TASKER_TEST_OPERATIONS", 1_500) {
        twins.step();
    }
    twins.compare_from(0);
    assert_eq!(check_invariants(&mut twins.conn), Vec::<String>::new());
    println!("{:?}", twins.counts);
}
