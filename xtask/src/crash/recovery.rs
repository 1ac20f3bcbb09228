//! How long the steps of a killed worker waited, from the kill to their next claim, by kills and log alone.

use anyhow::{Context, Result};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Double, Text},
};

/// Where the kills are noted, by the database's own clock.
const TABLE: &str =
    "create table public.kills (worker text not null, at timestamptz not null default clock_timestamp())";

pub(super) fn prepare(conn: &mut PgConnection) -> Result<()> {
    conn.batch_execute(TABLE).context("The table of the kills cannot be made")
}

/// Notes that a worker is killed now.
pub(super) fn note(conn: &mut PgConnection, worker: &str) -> Result<()> {
    sql_query("insert into public.kills (worker) values ($1)").bind::<Text, _>(worker).execute(conn)?;
    Ok(())
}

/// The waits of every step that was taken back from a killed worker, in ms: until it was claimable again, and
/// until it was claimed. Only the last incarnation of a killed process was killed.
const WAITS: &str = "
    select extract(epoch from lost.at - k.at)::float8 * 1e3 as taken_back, extract(epoch from next.at - k.at)::float8 * 1e3 as claimed
    from public.kills k
    join lateral (select worker_id from tasker.workers w where w.name = k.worker order by worker_id desc limit 1) w on true
    join tasker.workflow_step_transitions lost on lost.worker_id = w.worker_id and lost.failure_kind = 'lost_lease'
    join tasker.workflow_step_transitions next
      on next.task_id = lost.task_id and next.workflow_step_id = lost.workflow_step_id and next.seq = lost.seq + 1";

#[derive(QueryableByName)]
struct Wait {
    #[diesel(sql_type = Double)]
    taken_back: f64,
    #[diesel(sql_type = Double)]
    claimed: f64,
}

/// The waits of a run, in ms.
#[derive(Debug, Default)]
pub(super) struct Waits {
    taken_back: Vec<f64>,
    claimed: Vec<f64>,
}

impl Waits {
    pub(super) fn of(conn: &mut PgConnection) -> Result<Self> {
        let rows: Vec<Wait> = sql_query(WAITS).load(conn)?;
        Ok(Self {
            taken_back: rows.iter().map(|w| w.taken_back).collect(),
            claimed: rows.iter().map(|w| w.claimed).collect(),
        })
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.taken_back.extend(other.taken_back);
        self.claimed.extend(other.claimed);
    }

    /// How many steps were orphaned.
    pub(super) fn orphans(&self) -> usize {
        self.claimed.len()
    }

    /// Half of the waits, 99 of a hundred, and all were no longer than these: until taken back, until claimed.
    pub(super) fn quantiles(&self) -> [Option<[f64; 3]>; 2] {
        [&self.taken_back, &self.claimed].map(|waits| {
            let mut sorted = waits.clone();
            sorted.sort_by(f64::total_cmp);
            let at = |share: f64| sorted[((sorted.len() as f64 * share).ceil() as usize).max(1) - 1].round();
            (!sorted.is_empty()).then(|| [at(0.5), at(0.99), at(1.0)])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Waits;

    #[test]
    fn quantiles_are_waits_that_were_measured() {
        let waits = Waits { taken_back: (1..=200).map(f64::from).collect(), claimed: vec![] };
        assert_eq!(waits.quantiles(), [Some([100.0, 198.0, 200.0]), None]);
    }
}
