//! What the server itself can do in the same minute: single-row updates that commit one by one.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Double};
use tasker_engine::db::connect;

use crate::bench::server::Database;

/// Commits a second on so many connections, for a second and a half.
pub(super) fn commit_rate(database: &Database, clients: usize) -> Result<f64> {
    const TIME: Duration = Duration::from_millis(1_500);
    database.connect()?.batch_execute(
        "create table if not exists yardstick (id integer primary key, n bigint not null) with (fillfactor = 50);
         insert into yardstick select id, 0 from generate_series(0, 63) id on conflict do nothing",
    )?;
    #[derive(QueryableByName)]
    struct Updated {
        #[diesel(sql_type = Double)]
        #[expect(dead_code, reason = "it has to arrive, not to be read")]
        n: f64,
    }
    let url = database.url().to_owned();
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            let url = url.clone();
            thread::spawn(move || -> Result<u64> {
                let mut conn = connect(&url)?;
                let (started, mut commits) = (Instant::now(), 0);
                let statement =
                    format!("update yardstick set n = n + 1 where id = {client} returning n::float8 as n");
                while started.elapsed() < TIME {
                    let _row: Updated =
                        tasker_readiness::Cached(sql_query(statement.as_str())).get_result(&mut conn)?;
                    commits += 1;
                }
                Ok(commits)
            })
        })
        .collect();
    let mut commits = 0;
    for thread in threads {
        commits += thread.join().map_err(|_| anyhow::anyhow!("a client of the yardstick panicked"))??;
    }
    Ok(commits as f64 / TIME.as_secs_f64())
}
