//! Joins: the parents of a step are reported by sixteen sessions at the same moment, which then all claim. The
//! join must become available once, and run once.

use std::{
    collections::BTreeMap,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Double, Nullable},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tasker_engine::{
    commands::{self, Claim},
    db::connect,
};
use tasker_model::WorkerId;
use tasker_testkit::check_invariants;

use super::{Options, claimers::persist, sessions};
use crate::{
    battery::{effects, evidence::Evidence, number},
    database::Scratch,
};

const SESSIONS: usize = 16;

/// Joins of one round.
const ROUND: usize = 50;

/// How many parents a join has: few most often, and up to fifty.
const PARENTS: [usize; 16] = [2, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8, 10, 16, 25, 50];

/// A round that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(options: &Options, joins: usize) -> Result<Evidence> {
    let scratch = Scratch::new(options.database_url.clone())?;
    let mut conn = connect(&scratch.url)?;
    let worker = sessions::register(&mut conn, "parents")?;
    let mut crowd = (0..SESSIONS).map(|n| Session::new(&scratch.url, n)).collect::<Result<Vec<_>>>()?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let bar = ProgressBar::new(joins as u64)
        .with_style(ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} joins  {elapsed}")?);
    let mut done = 0;
    while done < joins {
        let size = ROUND.min(joins - done);
        let mut counts = BTreeMap::<usize, usize>::new();
        (0..size).for_each(|_| *counts.entry(PARENTS[rng.usize(..PARENTS.len())]).or_default() += 1);
        for (parents, tasks) in counts {
            effects::submit_empty(&mut conn, &sessions::join(parents), tasks)?;
        }
        let shares = shares(&mut conn, worker, &mut rng)?;
        // Task by task the sessions meet at each join; with one call for all, at all of them.
        let one_call = rng.bool();
        let claimed = round(&mut crowd, &shares, size, one_call)?;
        done += size;
        bar.set_position(done as u64);
        if claimed != size {
            eprintln!("a round of {size} joins had {claimed} claims of joins, seed {}", options.seed);
            break;
        }
    }
    bar.finish_and_clear();
    judge(&mut conn, options, joins)
}

/// What a session reports of each task.
type Share = Vec<Vec<Claim>>;

/// Claims every parent, and deals those of each task out to the sessions.
fn shares(conn: &mut PgConnection, worker: WorkerId, rng: &mut fastrand::Rng) -> Result<Vec<Share>> {
    let mut parents: Vec<Claim> = vec![];
    loop {
        let steps = commands::claim(conn, worker, 1_000, None)?;
        if steps.is_empty() {
            break;
        }
        parents.extend(steps.iter().map(|s| s.claim()));
    }
    parents.sort_by_key(|c| c.task_id.0);
    let mut shares = vec![];
    shares.resize_with(SESSIONS, Share::new);
    for claims in parents.chunk_by(|a, b| a.task_id == b.task_id) {
        shares.iter_mut().for_each(|share| share.push(vec![]));
        let first = rng.usize(..SESSIONS);
        for (place, claim) in claims.iter().enumerate() {
            shares[(first + place) % SESSIONS].last_mut().expect("one for each task").push(*claim);
        }
    }
    Ok(shares)
}

/// One round in all sessions. Returns how often a join was claimed.
fn round(crowd: &mut [Session], shares: &[Share], joins: usize, one_call: bool) -> Result<usize> {
    let (start, claimed) = (Barrier::new(SESSIONS), AtomicUsize::new(0));
    thread::scope(|scope| {
        let threads: Vec<_> = crowd
            .iter_mut()
            .zip(shares)
            .map(|(session, share)| {
                let (start, claimed) = (&start, &claimed);
                scope.spawn(move || session.play(share, start, claimed, joins, one_call))
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| anyhow!("a session panicked"))?)
    })?;
    Ok(claimed.into_inner())
}

struct Session {
    conn: PgConnection,
    worker: WorkerId,
}

impl Session {
    fn new(url: &str, number: usize) -> Result<Self> {
        let mut conn = connect(url)?;
        let worker = sessions::register(&mut conn, &format!("session {number}"))?;
        Ok(Self { conn, worker })
    }

    fn play(
        &mut self,
        share: &Share,
        start: &Barrier,
        claimed: &AtomicUsize,
        joins: usize,
        one_call: bool,
    ) -> Result<()> {
        let all = [share.concat()];
        for claims in if one_call { &all[..] } else { share } {
            start.wait();
            self.complete(claims)?;
        }
        let started = Instant::now();
        while claimed.load(Ordering::Relaxed) < joins && started.elapsed() < PATIENCE {
            let steps = persist(|| commands::claim(&mut self.conn, self.worker, 3, None))?;
            if steps.is_empty() {
                thread::sleep(Duration::from_millis(3));
                continue;
            }
            claimed.fetch_add(steps.len(), Ordering::Relaxed);
            self.complete(&steps.iter().map(|s| s.claim()).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn complete(&mut self, claims: &[Claim]) -> Result<()> {
        let reports: Vec<_> = claims.iter().map(|c| (*c, json!({}))).collect();
        let changes = persist(|| commands::complete(&mut self.conn, &reports, None))?;
        ensure!(changes.accepted.len() == claims.len(), "a report of a claim that is held was refused");
        Ok(())
    }
}

/// Of the joins, the step with parents: how many were claimed or completed more than once, or never.
const RUNS: &str = "
    select count(*) from tasker.workflow_steps s cross join lateral (
      select count(*) filter (where to_state = 'in_progress') as claims, count(*) filter (where to_state = 'complete') as ends
      from tasker.workflow_step_transitions l where l.task_id = s.task_id and l.workflow_step_id = s.workflow_step_id) l
    where s.total_parents > 0";

/// The time between the first and the last parent's end, in ms, of the middle one of all joins, and of how many
/// it was at most 1 ms.
const SPREAD: &str = "
    select percentile_cont(0.5) within group (order by spread) as ms, count(*) filter (where spread <= 1) as at_once from (
      select extract(epoch from max(finished_at) - min(finished_at))::float8 * 1e3 as spread
      from tasker.workflow_steps where total_parents = 0 group by task_id) x";

fn judge(conn: &mut PgConnection, options: &Options, joins: usize) -> Result<Evidence> {
    #[derive(QueryableByName)]
    struct Spread {
        #[diesel(sql_type = Nullable<Double>)]
        ms: Option<f64>,
        #[diesel(sql_type = BigInt)]
        at_once: i64,
    }
    let mut evidence = Evidence { runs: 1, seed: options.seed, ..Evidence::default() };
    evidence.tasks = number(conn, "select count(*) from tasker.tasks")?;
    evidence.steps = number(conn, "select count(*) from tasker.workflow_steps")?;
    evidence.stuck = number(conn, "select count(*) from tasker.tasks where state <> 'complete'")?;
    evidence.doubled = number(conn, &format!("{RUNS} and (l.claims > 1 or l.ends > 1)"))?;
    evidence.lost = i64::try_from(joins)? - number(conn, &format!("{RUNS} and l.claims > 0 and l.ends > 0"))?;
    let counted = [("lost", evidence.lost), ("doubled", evidence.doubled), ("stuck", evidence.stuck)];
    evidence.violations.extend(counted.iter().filter(|c| c.1 != 0).map(|(what, n)| format!("{n} {what}")));
    evidence.violations.extend(check_invariants(conn));
    evidence.set("joins", joins);
    evidence.set("sessions", SESSIONS);
    evidence.set("parents", format!("{} to {}", PARENTS[0], PARENTS[PARENTS.len() - 1]));
    let Spread { ms, at_once } = sql_query(SPREAD).get_result(conn)?;
    evidence.set("parents_end_within_p50_ms", ms.map(|ms| (ms * 1e3).round() / 1e3));
    evidence.set("joins_whose_parents_end_within_1_ms", at_once);
    Ok(evidence)
}
