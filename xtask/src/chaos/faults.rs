//! The kinds of trouble. Each begins, lasts and ends; after its end nothing of it is left but what the workers
//! made of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use diesel::{PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query};
use tasker_engine::db::{DbError, connect};
use tasker_localpg::Cluster;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Every session of the workers is terminated, again and again.
    Terminated,
    /// The server dies and comes back.
    Crash,
    /// It dies again while it recovers.
    CrashInRecovery,
    /// Every connection that the server takes is taken by somebody else.
    Exhausted,
    /// The database takes no writes, as after a switch to a standby.
    ReadOnly,
    /// A lock on the steps is not to be had within the sessions' lock timeout.
    LockTimeout,
    /// The same with the statement timeout.
    StatementTimeout,
    /// Sessions lock steps and tasks against the lock order.
    Deadlocks,
}

impl Fault {
    pub(super) const ALL: [Self; 8] = [
        Self::Terminated,
        Self::Crash,
        Self::CrashInRecovery,
        Self::Exhausted,
        Self::ReadOnly,
        Self::LockTimeout,
        Self::StatementTimeout,
        Self::Deadlocks,
    ];
}

/// The server that is in trouble.
pub(super) struct Victim<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) url: &'a str,
}

/// The sessions of the database but those of the caller's program, which its name tells apart.
const OTHERS: &str = "select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'chaos'";

/// A session of the trouble itself: no timeout of the database holds for it, and no termination.
pub(super) fn session(url: &str) -> Result<PgConnection, DbError> {
    let mut conn = connect(url)?;
    conn.batch_execute("set application_name = 'chaos'; set lock_timeout = 0; set statement_timeout = 0; set default_transaction_read_only = off")?;
    Ok(conn)
}

impl Victim<'_> {
    /// Makes the trouble for so long. Returns how many sessions or servers were ended.
    pub(super) fn suffer(&self, fault: Fault, time: Duration) -> Result<u64> {
        match fault {
            Fault::Terminated => self.terminated(time),
            Fault::Crash => self.crash(&[]),
            Fault::CrashInRecovery => self.crash(&[Duration::ZERO, Duration::from_millis(20)]),
            Fault::Exhausted => self.exhausted(time),
            Fault::ReadOnly => self.with_setting("default_transaction_read_only", "on", |_| {
                thread::sleep(time);
                Ok(())
            }),
            Fault::LockTimeout => self.with_setting("lock_timeout", "20ms", |conn| locked(conn, time)),
            Fault::StatementTimeout => {
                self.with_setting("statement_timeout", "30ms", |conn| locked(conn, time))
            }
            Fault::Deadlocks => self.deadlocks(time),
        }
    }

    fn admin(&self) -> Result<PgConnection> {
        Ok(session(self.url)?)
    }

    fn terminated(&self, time: Duration) -> Result<u64> {
        let (mut conn, end, mut ended) = (self.admin()?, Instant::now() + time, 0);
        while Instant::now() < end {
            ended += sql_query(OTHERS).execute(&mut conn)? as u64;
            thread::sleep(Duration::from_millis(100));
        }
        Ok(ended)
    }

    fn crash(&self, again: &[Duration]) -> Result<u64> {
        for pause in again {
            self.cluster.crash(false)?;
            thread::sleep(*pause);
        }
        self.cluster.crash(true)?;
        Ok(1 + again.len() as u64)
    }

    /// Ends the workers' sessions, and takes every place before they do.
    fn exhausted(&self, time: Duration) -> Result<u64> {
        let (mut admin, end, mut taken, mut ended) = (self.admin()?, Instant::now() + time, vec![], 0);
        while Instant::now() < end {
            ended += sql_query(OTHERS).execute(&mut admin)? as u64;
            while let Ok(conn) = session(self.url) {
                taken.push(conn);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(ended)
    }

    /// A setting of the database that new sessions have; the old ones are ended, at its end only those that
    /// cannot know better by themselves.
    fn with_setting(
        &self,
        name: &str,
        value: &str,
        meanwhile: impl FnOnce(&mut PgConnection) -> Result<()>,
    ) -> Result<u64> {
        let mut conn = self.admin()?;
        let alter = |conn: &mut PgConnection, how: &str| {
            conn.batch_execute(&format!(
                "do $$ begin execute format('alter database %I {how}', current_database()); end $$"
            ))
        };
        alter(&mut conn, &format!("set {name} = ''{value}''"))?;
        let mut ended = sql_query(OTHERS).execute(&mut conn)? as u64;
        let went = meanwhile(&mut conn);
        alter(&mut conn, &format!("reset {name}"))?;
        went?;
        // A read-only session is the workers' to get rid of; one with a timeout is nobody's fault.
        if name != "default_transaction_read_only" {
            ended += sql_query(OTHERS).execute(&mut conn)? as u64;
        }
        Ok(ended)
    }

    /// Sessions that lock tasks and steps from the highest down, where the engine locks steps and then tasks
    /// from the lowest up.
    fn deadlocks(&self, time: Duration) -> Result<u64> {
        let end = Instant::now() + time;
        thread::scope(|scope| {
            let enemies: Vec<_> = (0..3).map(|_| scope.spawn(move || self.lock_backwards(end))).collect();
            enemies.into_iter().try_fold(0, |sum, enemy| match enemy.join() {
                Ok(hits) => Ok(sum + hits?),
                Err(_) => anyhow::bail!("a session that makes deadlocks panicked"),
            })
        })
    }

    /// Returns how often it was the one that the database ended.
    fn lock_backwards(&self, end: Instant) -> Result<u64> {
        let (mut conn, mut ended) = (self.admin()?, 0);
        while Instant::now() < end {
            let locked = conn.batch_execute(
                "begin;
                 select from tasker.tasks where state = 'in_progress' order by task_id desc limit 20 for update;
                 select pg_sleep(0.01);
                 select from tasker.workflow_steps where state = 'in_progress' order by workflow_step_id desc limit 50 for update;
                 commit",
            );
            if locked.is_err() {
                ended += 1;
                conn.batch_execute("rollback")?;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(ended)
    }
}

/// Keeps everybody from writing steps for so long.
fn locked(conn: &mut PgConnection, time: Duration) -> Result<()> {
    conn.batch_execute("begin; lock table tasker.workflow_steps in share mode")?;
    thread::sleep(time);
    Ok(conn.batch_execute("commit")?)
}
