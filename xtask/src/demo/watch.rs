//! Watches the run from outside, by the database alone, and kills a worker while it holds steps.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};

use super::{screen::Screen, workers::Workers};

/// Longer than any good run takes; what is open then is stuck.
const DEADLINE: Duration = Duration::from_secs(90);

#[derive(QueryableByName)]
pub(super) struct Counts {
    #[diesel(sql_type = BigInt)]
    pub(super) settled: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) steps_done: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) retries: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) takeovers: i64,
}

const COUNTS: &str = "
    select (select count(*) from tasker.tasks where finished_at is not null) as settled,
      count(*) filter (where to_state = 'complete') as steps_done,
      count(*) filter (where to_state = 'error' and failure_kind <> 'lost_lease' and available_at is not null) as retries,
      count(*) filter (where failure_kind = 'lost_lease') as takeovers
    from tasker.workflow_step_transitions";

#[derive(QueryableByName)]
struct Holder {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    steps: i64,
}

const HOLDERS: &str = "
    select w.name, count(*) as steps from tasker.workflow_steps s join tasker.workers w on w.worker_id = s.worker_id
    group by w.name order by 2 desc, 1";

pub(super) struct Watch<'a> {
    conn: &'a mut PgConnection,
    tasks: usize,
    screen: &'a Screen,
}

impl<'a> Watch<'a> {
    pub(super) fn new(conn: &'a mut PgConnection, tasks: usize, screen: &'a Screen) -> Self {
        Self { conn, tasks, screen }
    }

    /// Waits until every task has settled or the deadline is over. Returns how many workers were killed.
    pub(super) fn until_settled(mut self, workers: &mut Workers) -> Result<u32> {
        let (started, bar) = (Instant::now(), self.screen.bar(self.tasks));
        let (mut killed_at, mut told) = (None, false);
        loop {
            let counts: Counts = sql_query(COUNTS).get_result(self.conn)?;
            bar.show(&counts);
            let settled = usize::try_from(counts.settled)?;
            if settled >= self.tasks || started.elapsed() > DEADLINE {
                break;
            }
            if killed_at.is_none() && settled * 8 >= self.tasks {
                killed_at = self.kill(workers)?;
            }
            if let Some(at) = killed_at.filter(|_| !told && counts.takeovers > 0) {
                told = true;
                self.tell_takeover(counts.takeovers, at);
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        bar.finish();
        if killed_at.is_none() {
            bail!("the run ended before a worker that held steps could be killed; try it with more --orders");
        }
        Ok(1)
    }

    fn tell_takeover(&self, steps: i64, killed_at: Instant) {
        let after = killed_at.elapsed().as_secs_f64();
        self.screen
            .say(&format!("takeover    its lease ran out: {steps} steps taken back after {after:.1} s"));
    }

    /// Kills the worker that holds the most steps. It is stopped first and looked at again, so that it
    /// certainly holds some when it dies. `None` where none did, to be tried again.
    fn kill(&mut self, workers: &mut Workers) -> Result<Option<Instant>> {
        let Some(victim) = self.holders()?.into_iter().next() else { return Ok(None) };
        workers.freeze(&victim.name);
        // What it had sent before it was stopped may still be committing.
        std::thread::sleep(Duration::from_millis(20));
        let held = self.holders()?.into_iter().find(|h| h.name == victim.name).map_or(0, |h| h.steps);
        if held == 0 {
            workers.thaw(&victim.name);
            return Ok(None);
        }
        workers.kill(&victim.name)?;
        // What it had asked the server to commit may have been committed after all.
        std::thread::sleep(Duration::from_millis(50));
        let held = self.holders()?.into_iter().find(|h| h.name == victim.name).map_or(0, |h| h.steps);
        self.screen.say(&format!("killed      {} by SIGKILL while it held {held} steps", victim.name));
        Ok(Some(Instant::now()))
    }

    fn holders(&mut self) -> Result<Vec<Holder>> {
        Ok(sql_query(HOLDERS).load(self.conn)?)
    }
}
