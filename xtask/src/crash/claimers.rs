//! Claimers: many sessions claim at once from the same queue, and each claim's effect is a row under a unique key.
//! A step that two sessions got would be there twice.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use diesel::{
    Connection, PgConnection, QueryResult, RunQueryDsl,
    connection::SimpleConnection,
    result::{DatabaseErrorKind::UniqueViolation, Error as QueryError},
    sql_query,
    sql_types::{Array, BigInt, Integer},
};
use serde_json::json;
use tasker_engine::{
    commands::{self, ClaimedStep},
    db::{connect, is_transient},
};
use tasker_model::WorkerId;
use tasker_testkit::check_invariants;

use super::{Options, sessions};
use crate::{
    battery::{effects, evidence::Evidence, number},
    database::Scratch,
};

/// Steps of a task: one, then eight at once, then one.
const WIDTH: usize = 8;

/// The most steps of one claim.
const BATCH: i32 = 10;

/// Without any step done for so long, what is open is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(options: &Options, claimers: u16, steps: usize) -> Result<Evidence> {
    let scratch = Scratch::new(options.database_url.clone())?;
    let mut conn = connect(&scratch.url)?;
    conn.batch_execute(
        "create table public.claimed (step_id bigint not null, claimer integer not null, constraint claimed_once primary key (step_id))",
    )?;
    let tasks = steps.div_ceil(WIDTH + 2);
    effects::submit_empty(&mut conn, &sessions::fan(WIDTH), tasks)?;
    let total = tasks * (WIDTH + 2);
    eprintln!("{claimers} sessions claim {total} steps");
    let refused = crowd(options, &scratch.url, claimers, total)?;
    judge(&mut conn, options, claimers, tasks, refused)
}

/// Runs the sessions to the end. Returns how many effects the key refused.
fn crowd(options: &Options, url: &str, claimers: u16, total: usize) -> Result<usize> {
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..claimers)
            .map(|n| {
                let (done, seed) = (&done, options.seed + u64::from(n));
                scope.spawn(move || Claimer::new(url, n, seed)?.run(done, total))
            })
            .collect();
        let joined = threads.into_iter().map(|t| t.join().map_err(|_| anyhow!("a claimer panicked"))?);
        joined.sum::<Result<usize>>()
    })
}

struct Claimer {
    conn: PgConnection,
    worker: WorkerId,
    number: i32,
    rng: fastrand::Rng,
}

impl Claimer {
    fn new(url: &str, number: u16, seed: u64) -> Result<Self> {
        let mut conn = connect(url)?;
        let worker = sessions::register(&mut conn, &format!("claimer {number}"))?;
        Ok(Self { conn, worker, number: number.into(), rng: fastrand::Rng::with_seed(seed) })
    }

    fn run(mut self, done: &AtomicUsize, total: usize) -> Result<usize> {
        let (mut refused, mut progress) = (0, Instant::now());
        while done.load(Ordering::Relaxed) < total && progress.elapsed() < PATIENCE {
            let limit = self.rng.i32(1..=BATCH);
            let steps = persist(|| commands::claim(&mut self.conn, self.worker, limit, None))?;
            if steps.is_empty() {
                thread::sleep(Duration::from_millis(2));
                continue;
            }
            match persist(|| self.book(&steps)) {
                Ok(accepted) => done.fetch_add(accepted, Ordering::Relaxed),
                Err(QueryError::DatabaseError(UniqueViolation, _)) => {
                    refused += steps.len();
                    0
                }
                Err(e) => return Err(e.into()),
            };
            progress = Instant::now();
        }
        Ok(refused)
    }

    /// The effects and the reports of a batch, in one commit.
    fn book(&mut self, steps: &[ClaimedStep]) -> QueryResult<usize> {
        let ids: Vec<i64> = steps.iter().map(|s| s.step_id.0).collect();
        let reports: Vec<_> = steps.iter().map(|s| (s.claim(), json!({}))).collect();
        self.conn.transaction(|conn| {
            sql_query("insert into public.claimed (step_id, claimer) select unnest($1), $2")
                .bind::<Array<BigInt>, _>(&ids)
                .bind::<Integer, _>(self.number)
                .execute(conn)?;
            Ok(commands::complete(conn, &reports, None)?.accepted.len())
        })
    }
}

/// Repeats what the database refuses only for now.
pub(super) fn persist<T>(mut work: impl FnMut() -> QueryResult<T>) -> QueryResult<T> {
    loop {
        match work() {
            Err(e) if is_transient(&e) => {}
            done => return done,
        }
    }
}

fn judge(
    conn: &mut PgConnection,
    options: &Options,
    claimers: u16,
    tasks: usize,
    refused: usize,
) -> Result<Evidence> {
    let mut evidence = Evidence { runs: 1, seed: options.seed, ..Evidence::default() };
    evidence.tasks = number(conn, "select count(*) from tasker.tasks")?;
    evidence.steps = number(conn, "select count(*) from tasker.workflow_steps")?;
    evidence.stuck = number(conn, "select count(*) from tasker.tasks where state <> 'complete'")?;
    // Nothing fails here, so a second claim of a step is one too many.
    let claims = "select count(*) from tasker.workflow_step_transitions where to_state = 'in_progress'";
    let again = format!("{claims} and attempt > 1");
    evidence.doubled = number(conn, &again)? + i64::try_from(refused)?;
    let without = "select count(*) from tasker.workflow_steps s left join public.claimed c on c.step_id = s.workflow_step_id where s.state = 'complete' and c.step_id is null";
    evidence.lost = number(conn, without)? + (i64::try_from(tasks)? - evidence.tasks).abs();
    let counted = [("lost", evidence.lost), ("doubled", evidence.doubled), ("stuck", evidence.stuck)];
    evidence.violations.extend(counted.iter().filter(|c| c.1 != 0).map(|(what, n)| format!("{n} {what}")));
    evidence.violations.extend(check_invariants(conn));
    evidence.set("claimers", claimers);
    evidence.set("claims", number(conn, claims)?);
    let sessions = "select count(distinct claimer) from public.claimed";
    evidence.set("claimers_that_got_steps", number(conn, sessions)?);
    Ok(evidence)
}
