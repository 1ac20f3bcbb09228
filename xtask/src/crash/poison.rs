//! The poison pill: a step that kills the process that runs it, every time. Its attempts end it, and nobody else
//! suffers for long.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Double, Integer, Nullable, Text},
};
use tasker_engine::db::connect;

use super::Options;
use crate::{
    battery::{
        effects::{self, Work},
        evidence::Evidence,
        judge::judge,
        number,
        process::{POLL, Process, Workers},
    },
    database::Scratch,
};

/// Attempts of the step, each of which costs a process.
const ATTEMPTS: i32 = 3;

/// Ordinary tasks beside it.
const TASKS: usize = 60;

const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn run(options: &Options) -> Result<Evidence> {
    let scratch = Scratch::new(options.database_url.clone())?;
    let ledgers = tempfile::tempdir().context("There is no place for the calls")?;
    let mut conn = connect(&scratch.url)?;
    effects::prepare(&mut conn)?;
    effects::submit_tasks(&mut conn, TASKS, Work(1, 20))?;
    effects::submit_poison(&mut conn, ATTEMPTS)?;
    let workers = Workers {
        url: &scratch.url,
        ledgers: ledgers.path(),
        lease: options.lease(),
        in_flight: 8,
        doom: None,
    };
    let deaths = keep_alive(&mut conn, &workers, options.workers)?;
    let mut verdict = judge(&mut conn, TASKS + 1, ledgers.path())?;
    // The one that has to fail.
    verdict.failed -= 1;
    let mut evidence = Evidence { runs: 1, kills: deaths, seed: options.seed, ..Evidence::of(&verdict) };
    convict(&mut conn, options, deaths, &mut evidence)?;
    Ok(evidence)
}

/// Starts a worker again whenever one has died, until everything has settled. Returns how many died.
fn keep_alive(conn: &mut PgConnection, workers: &Workers<'_>, count: u32) -> Result<u64> {
    let (mut running, mut started, mut deaths) = (Vec::<Process>::new(), 0, 0);
    let begin = Instant::now();
    while number(conn, "select count(*) from tasker.tasks where finished_at is null")? > 0
        && begin.elapsed() < PATIENCE
    {
        while running.len() < count as usize {
            started += 1;
            running.push(workers.start(&format!("worker-{started}"))?);
        }
        thread::sleep(Duration::from_millis(10));
        for place in (0..running.len()).rev() {
            if running[place].has_ended()? {
                running.swap_remove(place);
                deaths += 1;
            }
        }
    }
    running.into_iter().try_for_each(|process| process.stop().map(|_| ()))?;
    Ok(deaths)
}

#[derive(QueryableByName)]
struct Pill {
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Nullable<Text>)]
    failure_kind: Option<String>,
    #[diesel(sql_type = Text)]
    task_state: String,
    #[diesel(sql_type = Text)]
    child_state: String,
    /// How long after a lease had run out its steps were taken back, ms.
    #[diesel(sql_type = Nullable<Double>)]
    late: Option<f64>,
}

const PILL: &str = "
    select s.state, s.attempts, s.failure_kind, t.state as task_state, c.state as child_state, (
        select max(extract(epoch from l.at - w.lease_until))::float8 * 1e3 from tasker.workflow_step_transitions l
        join tasker.workers w using (worker_id) where l.failure_kind = 'lost_lease') as late
    from tasker.workflow_steps s join tasker.tasks t using (task_id)
    join tasker.workflow_step_edges e on e.task_id = s.task_id and e.from_step_id = s.workflow_step_id
    join tasker.workflow_steps c on c.task_id = e.task_id and c.workflow_step_id = e.to_step_id
    join tasker.queues q on q.queue_id = s.queue_id where q.handler = $1";

fn convict(conn: &mut PgConnection, options: &Options, deaths: u64, evidence: &mut Evidence) -> Result<()> {
    let pill: Pill = sql_query(PILL).bind::<Text, _>(effects::POISON).get_result(conn)?;
    let end = (pill.state.as_str(), pill.failure_kind.as_deref(), pill.attempts, pill.task_state.as_str());
    if end != ("error", Some("lost_lease"), ATTEMPTS, "error") || pill.child_state != "pending" {
        evidence.violations.push(format!(
            "the step ended as {end:?} with its child {}, not in error after {ATTEMPTS} lost leases",
            pill.child_state
        ));
    }
    if deaths != u64::from(ATTEMPTS.unsigned_abs()) {
        evidence.violations.push(format!("{deaths} workers died, {ATTEMPTS} had to"));
    }
    let (late, limit) = (pill.late.unwrap_or(0.0).round(), (POLL + options.margin()).as_millis() as f64);
    if late > limit {
        evidence
            .violations
            .push(format!("steps were taken back {late} ms after their lease, not {limit} ms"));
    }
    evidence.set("taken_back_after_the_lease_max_ms", late);
    evidence.set("lease_ms", options.lease().as_millis() as u64);
    Ok(())
}
