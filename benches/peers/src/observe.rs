//! What a connection of its own sees of a library's work: nothing counts as done before it is committed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection, Row};

/// Longer than any workload takes in which nothing is lost.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Observer(PgConnection);

impl Observer {
    pub async fn connect(url: &str) -> Result<Self> {
        Ok(Self(PgConnection::connect(url).await.context("the observer cannot connect")?))
    }

    /// The bigint that a query returns.
    pub async fn number(&mut self, query: &'static str) -> Result<i64> {
        let row = sqlx::query(query).fetch_one(&mut self.0).await.with_context(|| format!("`{query}`"))?;
        Ok(row.try_get(0)?)
    }

    /// Waits until a query returns the number, asking again after each pause; more than it is an error too.
    pub async fn until(&mut self, query: &'static str, wanted: usize, pause: Duration) -> Result<()> {
        let (started, wanted) = (Instant::now(), i64::try_from(wanted)?);
        loop {
            let seen = self.number(query).await?;
            if seen == wanted {
                return Ok(());
            }
            ensure!(seen < wanted, "`{query}` says {seen}, more than the {wanted} that were submitted");
            ensure!(
                started.elapsed() < PATIENCE,
                "`{query}` still says {seen} of {wanted} after {} s",
                PATIENCE.as_secs()
            );
            tokio::time::sleep(pause).await;
        }
    }

    /// Fails unless a query returns the number.
    pub async fn expect(&mut self, query: &'static str, wanted: usize) -> Result<()> {
        let seen = self.number(query).await?;
        ensure!(seen == i64::try_from(wanted)?, "`{query}` says {seen} and not {wanted}");
        Ok(())
    }

    /// How far the log of the server has been written, in bytes.
    pub async fn wal(&mut self) -> Result<i64> {
        self.number("select (pg_current_wal_insert_lsn() - '0/0')::bigint").await
    }

    /// Fails where a table is not logged, or a commit returns before it is on disk.
    pub async fn require_durability(&mut self) -> Result<()> {
        self.expect(
            "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind in ('r', 'p') and c.relpersistence <> 'p'
               and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'",
            0,
        )
        .await
        .context("not every table is durable")?;
        self.expect(
            "select count(*) from pg_settings where name in ('fsync', 'synchronous_commit', 'full_page_writes')
               and setting <> 'on'",
            0,
        )
        .await
        .context("the server does not run with full durability")
    }
}
