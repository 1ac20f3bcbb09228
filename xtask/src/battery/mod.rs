//! What the batteries share: a workflow whose effects can be counted ([`effects`]), worker processes that can be
//! killed ([`process`]), the judge ([`judge`]) and the evidence that is kept of a run ([`evidence`]).

pub(crate) mod effects;
pub(crate) mod evidence;
pub(crate) mod judge;
pub(crate) mod process;

use anyhow::{Context, Result};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};

/// The one number that a query returns.
pub(crate) fn number(conn: &mut PgConnection, sql: &str) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        value: i64,
    }
    let query = sql_query(format!("select value::bigint from ({sql}) x (value)"));
    Ok(query.get_result::<Row>(conn).with_context(|| format!("`{sql}` failed"))?.value)
}
