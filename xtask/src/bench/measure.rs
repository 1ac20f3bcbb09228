//! Timing statements: prepared, over one connection, in alternation; and what EXPLAIN says of them.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, Result};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    pg::Pg,
    row::NamedRow,
    sql_query,
    sql_types::{Array, BigInt, Json},
};
use serde::Serialize;
use serde_json::Value;
use tasker_readiness::Cached;

/// What a statement is asked about.
#[derive(Debug, Clone)]
pub(super) enum Argument {
    /// Nothing: it has no parameter.
    Nothing,
    /// `$1` is a task.
    Task(i64),
    /// `$1` is an array of tasks.
    Tasks(Vec<i64>),
    /// `$1` is a task, and it is called for each in turn.
    EachOf(Vec<i64>),
}

/// A row of which nothing is read: it has come over the wire.
struct Arrived;

impl QueryableByName<Pg> for Arrived {
    fn build<'a>(_: &impl NamedRow<'a, Pg>) -> diesel::deserialize::Result<Self> {
        Ok(Self)
    }
}

/// Runs a statement, prepared once a connection, and returns how long all its rows took to arrive, in ms.
pub(super) fn time(conn: &mut PgConnection, sql: &str, argument: &Argument) -> Result<f64> {
    let started = Instant::now();
    match argument {
        Argument::Nothing => {
            Cached(sql_query(sql)).load::<Arrived>(conn)?;
        }
        Argument::Task(id) => {
            Cached(sql_query(sql).bind::<BigInt, _>(id)).load::<Arrived>(conn)?;
        }
        Argument::Tasks(ids) => {
            Cached(sql_query(sql).bind::<Array<BigInt>, _>(ids)).load::<Arrived>(conn)?;
        }
        Argument::EachOf(ids) => {
            for id in ids {
                Cached(sql_query(sql).bind::<BigInt, _>(id)).load::<Arrived>(conn)?;
            }
        }
    }
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

/// Times of one statement, ms.
#[derive(Debug, Clone, Default)]
pub(super) struct Times(pub(super) Vec<f64>);

impl Times {
    /// The value below which this share of the times lies; NaN where there are none.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(super) fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

/// What EXPLAIN (ANALYZE, BUFFERS) says in short.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Plan {
    /// Pages of 8 kB that were looked at.
    pub(super) buffers: u64,
    /// The nodes that ran, each kind once with its relation, from the top.
    pub(super) shape: String,
}

/// Runs the statement once under EXPLAIN.
pub(super) fn explain(conn: &mut PgConnection, sql: &str, argument: &Argument) -> Result<Plan> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Json, column_name = "QUERY PLAN")]
        plan: Value,
    }
    let text = match argument {
        Argument::Nothing => sql.to_owned(),
        Argument::Task(id) => sql.replace("$1", &id.to_string()),
        Argument::Tasks(ids) => sql.replace("$1", &format!("'{{{}}}'::bigint[]", join(ids))),
        Argument::EachOf(ids) => sql.replace("$1", &ids.first().copied().unwrap_or(0).to_string()),
    };
    let row: Row = sql_query(format!("explain (analyze, buffers, timing off, format json) {text}"))
        .get_result(conn)
        .with_context(|| format!("`{text}` cannot be explained"))?;
    let top = &row.plan[0]["Plan"];
    let pages = |of: &str| top[of].as_u64().unwrap_or(0);
    let mut nodes = BTreeMap::new();
    collect(top, &mut nodes);
    let mut shape: Vec<(usize, String)> = nodes.into_iter().map(|(name, place)| (place, name)).collect();
    shape.sort();
    Ok(Plan {
        buffers: pages("Shared Hit Blocks") + pages("Shared Read Blocks"),
        shape: shape.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(", "),
    })
}

fn collect(node: &Value, into: &mut BTreeMap<String, usize>) {
    if node["Actual Loops"].as_u64() == Some(0) {
        return;
    }
    let kind = node["Node Type"].as_str().unwrap_or("?");
    let on = node["Index Name"].as_str().or(node["Relation Name"].as_str());
    let parallel = if node["Parallel Aware"] == true { "Parallel " } else { "" };
    let place = into.len();
    into.entry(on.map_or_else(|| format!("{parallel}{kind}"), |on| format!("{parallel}{kind} {on}")))
        .or_insert(place);
    node["Plans"].as_array().into_iter().flatten().for_each(|child| collect(child, into));
}

fn join(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::Times;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let times = Times((1..=100).rev().map(f64::from).collect());
        assert_eq!((times.median(), times.quantile(0.99), times.quantile(1.0)), (50.0, 99.0, 100.0));
        assert_eq!(Times(vec![3.0]).quantile(0.99), 3.0);
        assert!(Times::default().median().is_nan());
    }
}
