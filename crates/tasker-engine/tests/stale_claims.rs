//! Whoever has lost a claim changes nothing any more, whatever he says and at whatever state the step is by then.
//! Time is passed in.

mod support;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{RunQueryDsl, sql_query};
use serde_json::json;
use support::{Bench, HANDLER, failed, number, parts, texts};
use tasker_engine::{
    commands::{self, Changes, Claim},
    db::Db,
    event::{Event, EventSink},
    handler::{HandlerRegistry, StepContext},
    identity::Identity,
    submit::{TaskRequest, submit},
    worker::{Worker, WorkerOptions},
};
use tasker_model::{FailureKind, StepState, TaskId, WorkerId};
use tokio_util::sync::CancellationToken;

const LEASE: i32 = 10_000;

fn at(seconds: i64) -> Option<DateTime<Utc>> {
    Some(DateTime::from_timestamp(1_893_585_600, 0).unwrap() + TimeDelta::seconds(seconds))
}

/// A task whose step `a`, the parent of `b`, is claimed at 0 by a worker whose lease ends at 10.
struct Held {
    bench: Bench,
    task: TaskId,
    worker: WorkerId,
    claim: Claim,
}

impl Held {
    fn new(retry_limit: i32) -> Self {
        let mut parts = parts(&[("a", &[]), ("b", &["a"])]);
        parts.steps.iter_mut().for_each(|s| s.retry_limit = retry_limit);
        let mut bench = Bench::with(parts);
        // The worker that every bench has lives by the real clock; here it would be a dead one.
        commands::end_worker(&mut bench.conn, bench.worker, None).unwrap();
        let request = [TaskRequest::new(json!({}))];
        let submitted =
            submit(&mut bench.conn, &bench.definition, &request, &Identity::Random, at(0)).unwrap();
        let mut held = Self {
            bench,
            task: submitted[0].task_id,
            worker: WorkerId(0),
            claim: Claim { task_id: TaskId(0), step_id: tasker_model::StepId(0), token: 0 },
        };
        held.worker = held.register(0);
        held.claim = held.claims(0);
        held
    }

    fn register(&mut self, now: i64) -> WorkerId {
        commands::register(&mut self.bench.conn, "stale", None, &[HANDLER.into()], LEASE, at(now)).unwrap().0
    }

    /// The worker claims the step.
    fn claims(&mut self, now: i64) -> Claim {
        commands::claim(&mut self.bench.conn, self.worker, 1, at(now)).unwrap()[0].claim()
    }

    /// Its lease runs out, and somebody takes the step back.
    fn expire(&mut self) {
        let now = at(10).unwrap().to_rfc3339();
        let taken =
            number(&mut self.bench.conn, &format!("select tasker.expire_leases(100, '{now}')::bigint"));
        assert_eq!(taken, 1);
    }

    fn fail(&mut self, kind: FailureKind) {
        commands::fail(&mut self.bench.conn, &[failed(self.claim, kind)], at(1)).unwrap();
    }

    fn release(&mut self) {
        commands::release(&mut self.bench.conn, &[self.claim], None, at(1)).unwrap();
    }

    fn complete(&mut self, claim: Claim, now: i64) {
        commands::complete(&mut self.bench.conn, &[(claim, json!("in time"))], at(now)).unwrap();
    }

    fn cancel(&mut self) {
        commands::cancel(&mut self.bench.conn, &[self.task], "ann", None, at(1)).unwrap();
    }

    fn retry(&mut self) {
        commands::retry(&mut self.bench.conn, &[self.task], "ann", None, at(2)).unwrap();
    }

    fn resolve(&mut self) {
        let step = (self.claim.task_id, self.claim.step_id, None);
        commands::resolve(&mut self.bench.conn, &[step], "ann", None, at(2)).unwrap();
    }

    /// Another incarnation claims the step.
    fn passes_on(&mut self) -> Claim {
        let worker = self.register(10);
        commands::claim(&mut self.bench.conn, worker, 1, at(10)).unwrap()[0].claim()
    }

    /// Everything that is stored.
    fn rows(&mut self) -> Vec<String> {
        let rows = "select x::text from (select to_jsonb(s) from tasker.workflow_steps s union all select to_jsonb(t) from tasker.tasks t
            union all select to_jsonb(l) from tasker.workflow_step_transitions l union all select to_jsonb(l) from tasker.task_transitions l
            union all select to_jsonb(w) from tasker.workers w) y (x) order by 1";
        texts(&mut self.bench.conn, rows)
    }

    /// Every report of the lost claim is refused, and so is every sign of life of an incarnation that is over.
    fn assert_refused(&mut self, way: &str) {
        let before = self.rows();
        let (claim, now, conn) = (self.claim, at(11), &mut self.bench.conn);
        assert_eq!(commands::lost(conn, &[claim]).unwrap(), [claim.step_id], "{way}");
        let completed = commands::complete(conn, &[(claim, json!("late"))], now).unwrap();
        let released = commands::release(conn, &[claim], None, now).unwrap();
        assert_eq!((completed, released), (Changes::default(), Changes::default()), "{way}");
        for kind in FailureKind::ALL {
            let failed = commands::fail(conn, &[failed(claim, *kind)], now).unwrap();
            assert_eq!(failed, Changes::default(), "{way}: {kind}");
        }
        let over = format!(
            "select count(*) from tasker.workers where worker_id = {} and ended_at is not null",
            self.worker
        );
        if number(conn, &over) == 1 {
            assert_eq!(commands::renew(conn, self.worker, at(5)).unwrap(), None, "{way}");
            assert!(commands::claim(conn, self.worker, 1, at(5)).unwrap().is_empty(), "{way}");
            assert!(!commands::end_worker(conn, self.worker, now).unwrap(), "{way}");
        }
        assert_eq!(self.rows(), before, "{way}");
        self.bench.database.assert_sound();
    }
}

#[test]
fn nobody_reports_a_claim_that_is_lost_at_any_state_of_its_step() {
    use StepState::{Cancelled, Complete, Error, InProgress, Pending, ResolvedManually};
    let ways: [(&str, i32, StepState, fn(&mut Held)); 15] = [
        ("taken back", 3, Error, |h| h.expire()),
        ("taken back for the last time", 1, Error, |h| h.expire()),
        ("taken back and passed on", 3, InProgress, |h| _ = h.passes_on()),
        ("passed on and completed", 3, Complete, |h| {
            let claim = h.passes_on();
            h.complete(claim, 11);
        }),
        ("completed", 3, Complete, |h| h.complete(h.claim, 1)),
        ("failed", 3, Error, |h| h.fail(FailureKind::Retryable)),
        ("failed and claimed again", 3, InProgress, |h| {
            h.fail(FailureKind::Timeout);
            h.claims(2);
        }),
        ("failed for good", 3, Error, |h| h.fail(FailureKind::Permanent)),
        ("failed for good and resolved", 3, ResolvedManually, |h| {
            h.fail(FailureKind::Permanent);
            h.resolve();
        }),
        ("failed for good and retried", 3, Pending, |h| {
            h.fail(FailureKind::Permanent);
            h.retry();
        }),
        ("released", 3, Pending, |h| h.release()),
        ("released and claimed again", 3, InProgress, |h| {
            h.release();
            h.claims(2);
        }),
        ("cancelled", 3, Cancelled, |h| h.cancel()),
        ("cancelled and retried", 3, Pending, |h| {
            h.cancel();
            h.retry();
        }),
        ("cancelled, retried and claimed again", 3, InProgress, |h| {
            h.cancel();
            h.retry();
            h.claims(3);
        }),
    ];
    let mut seen = BTreeSet::new();
    for (way, retry_limit, state, lose) in ways {
        let mut held = Held::new(retry_limit);
        lose(&mut held);
        assert_eq!(held.bench.step_state(held.task, "a"), state, "{way}");
        held.assert_refused(way);
        seen.insert(state.as_str());
    }
    assert_eq!(seen, StepState::ALL.iter().map(|s| s.as_str()).collect());
}

/// A transactional step whose claim is taken away while it writes: nothing of it stays, and the worker says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_transactional_step_whose_claim_is_lost_is_counted_and_told() {
    let mut bench = Bench::new(&[("a", &[])]);
    let task = bench.submit();
    support::execute(&mut bench.conn, "create table public.effects (attempt integer)");
    let url = bench.database.url().to_owned();
    let mut registry = HandlerRegistry::new();
    registry.register_transactional(HANDLER, move |conn: &mut diesel::PgConnection, c: &StepContext| {
        sql_query(format!("insert into public.effects values ({})", c.attempt)).execute(conn)?;
        let mut other = tasker_engine::db::connect(&url)?;
        commands::cancel(&mut other, &[c.task_id], "ann", None, None)?;
        Ok(json!("late"))
    });
    let (sender, heard) = std::sync::mpsc::channel();
    let events = EventSink::new(move |event| _ = sender.send(event.clone()));
    let options = WorkerOptions { until_idle: true, events, ..WorkerOptions::default() };
    let worker = Worker::new(Db::connect(bench.database.url(), 6).unwrap(), registry, options);
    let report = worker.run(CancellationToken::new()).await.unwrap();
    assert_eq!((report.lease_lost, report.completed), (1, 0));
    let told = heard.try_iter().filter(|e| matches!(e, Event::LeaseLost { task_id, .. } if *task_id == task));
    assert_eq!(told.count(), 1);
    assert_eq!(number(&mut bench.conn, "select count(*) from public.effects"), 0);
    assert_eq!(bench.step_state(task, "a"), StepState::Cancelled);
    bench.database.assert_sound();
}
