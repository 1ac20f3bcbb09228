//! How soon the workers were back at their pace after a trouble, from the log alone.

use anyhow::Result;
use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Timestamptz},
};

/// The share of the pace that counts as back.
const BACK: f64 = 0.95;

/// The window over which the pace is taken, in milliseconds, and the step by which it moves.
const WINDOW_MS: i64 = 1_000;
const STEP_MS: i64 = 100;

/// Completions in slices of [`STEP_MS`] from an instant on.
pub(super) struct Completions {
    start: DateTime<Utc>,
    slices: Vec<i64>,
}

impl Completions {
    pub(super) fn of(conn: &mut PgConnection, start: DateTime<Utc>) -> Result<Self> {
        #[derive(QueryableByName)]
        struct Slice {
            #[diesel(sql_type = BigInt)]
            slice: i64,
            #[diesel(sql_type = BigInt)]
            completed: i64,
        }
        let rows: Vec<Slice> = sql_query(
            "select floor(extract(epoch from at - $1) * 1000 / $2)::bigint as slice, count(*) as completed
             from tasker.workflow_step_transitions where to_state = 'complete' and at >= $1 group by 1",
        )
        .bind::<Timestamptz, _>(start)
        .bind::<BigInt, _>(STEP_MS)
        .load(conn)?;
        let mut slices = vec![0; rows.iter().map(|r| r.slice + 1).max().unwrap_or(0) as usize];
        for row in rows {
            slices[row.slice as usize] = row.completed;
        }
        Ok(Self { start, slices })
    }

    /// Milliseconds from the instant until the end of the first window at the pace; `None` where there is none.
    pub(super) fn back_after(&self, instant: DateTime<Utc>, steps_per_s: f64) -> Option<f64> {
        let first =
            ((instant - self.start).num_milliseconds().max(0) as f64 / STEP_MS as f64).ceil() as usize;
        let wanted = steps_per_s * BACK * WINDOW_MS as f64 / 1_000.0;
        let length = (WINDOW_MS / STEP_MS) as usize;
        let windows = self.slices.get(first..)?.windows(length);
        let found = windows.enumerate().find(|(_, window)| window.iter().sum::<i64>() as f64 >= wanted)?.0;
        Some(((found + length) as i64 * STEP_MS) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_back_at_the_end_of_the_first_full_window() {
        let start = Utc::now();
        let slices = [vec![0; 20], vec![10; 30]].concat();
        let completions = Completions { start, slices };
        let after = |ms| completions.back_after(start + chrono::TimeDelta::milliseconds(ms), 100.0);
        assert_eq!(after(0), Some(3_000.0));
        assert_eq!(after(2_000), Some(1_000.0));
        assert_eq!(after(4_500), None, "the run ended too soon to tell");
    }
}
