//! The marked points: where [`Place`]s are, and those of the database. There a trigger stops a session in the middle of a commit, its process is killed,
//! and the session is then either ended, so that nothing was written, or let go, so that all was and nobody
//! knows.

use anyhow::{Context, Result};
use diesel::{
    OptionalExtension, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Integer, Text},
};
use tasker_engine::failpoint;

/// What has to happen for a point to be reached, beside work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prelude {
    /// Nothing.
    Work,
    /// A worker that holds steps dies, so that another recovers them.
    Death,
    /// A worker is told to stop.
    Stop,
    /// A worker is started.
    Start,
    /// A process submits.
    Submit,
    /// A process deletes finished tasks.
    Prune,
}

/// Where a process dies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// In the middle of a statement or commit of its session.
    Database(&'static Point),
    /// Before or after a command of the engine.
    Engine(&'static str, &'static str),
}

impl Place {
    pub(super) fn all() -> Vec<Self> {
        let engine = failpoint::POINTS
            .iter()
            .flat_map(|name| ["before", "after"].map(|when| Self::Engine(name, when)));
        POINTS.iter().map(Self::Database).chain(engine).collect()
    }

    pub(super) fn title(&self) -> String {
        match self {
            Self::Database(point) => point.name.into(),
            Self::Engine(name, when) => format!("{when} {name}"),
        }
    }

    pub(super) fn prelude(&self) -> Prelude {
        match self {
            Self::Database(point) => point.prelude,
            Self::Engine("submit", _) => Prelude::Submit,
            Self::Engine("prune", _) => Prelude::Prune,
            Self::Engine("release" | "end_worker", _) => Prelude::Stop,
            Self::Engine(..) => Prelude::Work,
        }
    }

    /// The process dies at one of so many arrivals.
    pub(super) fn arrivals(&self) -> u32 {
        match self {
            Self::Database(point) => point.arrivals,
            Self::Engine("exchange" | "renew", _) => 3,
            Self::Engine("complete" | "transaction" | "writes", _) => 6,
            Self::Engine(..) => 1,
        }
    }
}

/// A place in a state-writing statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) name: &'static str,
    /// When the trigger fires, on what, and on which rows.
    event: &'static str,
    table: &'static str,
    when: &'static str,
    prelude: Prelude,
    /// The session stops at one of so many arrivals.
    arrivals: u32,
}

const STEP_LOG: &str = "tasker.workflow_step_transitions";
const TASK_LOG: &str = "tasker.task_transitions";
const WORKERS: &str = "tasker.workers";

const fn point(
    name: &'static str,
    event: &'static str,
    table: &'static str,
    when: &'static str,
    prelude: Prelude,
    arrivals: u32,
) -> Point {
    Point { name, event, table, when, prelude, arrivals }
}

/// Every kind of row that the engine's commands write.
pub(super) static POINTS: [Point; 19] = [
    point("submit", "before insert", "tasker.workflow_step_edges", "true", Prelude::Submit, 8),
    point("submit, at the commit", "commit", "tasker.tasks", "true", Prelude::Submit, 4),
    point("register", "before insert", WORKERS, "true", Prelude::Start, 1),
    point("claim", "before insert", STEP_LOG, "new.to_state = 'in_progress'", Prelude::Work, 12),
    point("claim, at the commit", "commit", STEP_LOG, "new.to_state = 'in_progress'", Prelude::Work, 12),
    point("start of a task", "before insert", TASK_LOG, "new.to_state = 'in_progress'", Prelude::Work, 4),
    point("effect", "before insert", "public.effects", "true", Prelude::Work, 8),
    point("complete", "before insert", STEP_LOG, "new.to_state = 'complete'", Prelude::Work, 12),
    point("complete, at the commit", "commit", STEP_LOG, "new.to_state = 'complete'", Prelude::Work, 12),
    point(
        "release of children",
        "before update of pending_parents",
        "tasker.workflow_steps",
        "new.pending_parents < old.pending_parents",
        Prelude::Work,
        12,
    ),
    point("fail", "before insert", STEP_LOG, "new.failure_kind <> 'lost_lease'", Prelude::Work, 1),
    point("settle", "before insert", TASK_LOG, "new.to_state = 'complete'", Prelude::Work, 4),
    point(
        "renew",
        "before update of lease_until",
        WORKERS,
        "new.lease_until > old.lease_until",
        Prelude::Work,
        3,
    ),
    point("recover", "before insert", STEP_LOG, "new.failure_kind = 'lost_lease'", Prelude::Death, 1),
    point("recover, at the commit", "commit", STEP_LOG, "new.failure_kind = 'lost_lease'", Prelude::Death, 1),
    point("reap", "before update of reaped_at", WORKERS, "new.reaped_at is not null", Prelude::Death, 1),
    point("prune, at the first rows", "before delete", STEP_LOG, "true", Prelude::Prune, 4),
    point("prune, at the last rows", "before delete", "tasker.tasks", "true", Prelude::Prune, 4),
    point("sign off", "before update of ended_at", WORKERS, "new.ended_at is not null", Prelude::Stop, 1),
];

/// A session that arrives at the armed place waits for a lock that the battery holds.
const SETUP: &str = "
    create table public.armed (arrival bigint not null);
    create sequence public.arrivals;
    create function public.stop_here() returns trigger language plpgsql as $$
    begin
      if exists (select from public.armed) and nextval('public.arrivals') = (select arrival from public.armed) then
        perform pg_advisory_xact_lock_shared(5251);
      end if;
      if tg_op = 'DELETE' then return old; end if;
      return new;
    end $$";

/// Prepares the database for one point.
pub(super) fn prepare(conn: &mut PgConnection, point: &Point) -> Result<()> {
    let Point { event, table, when, .. } = point;
    let trigger = match *event {
        "commit" => format!(
            "create constraint trigger stop_here after insert on {table} deferrable initially deferred"
        ),
        event => format!("create trigger stop_here {event} on {table}"),
    };
    let sql = format!("{SETUP}; {trigger} for each row when ({when}) execute function public.stop_here()");
    conn.batch_execute(&sql).with_context(|| format!("The point `{}` cannot be made", point.name))
}

/// Arms the point: the session of that arrival stops.
pub(super) fn arm(conn: &mut PgConnection, arrival: u32) -> Result<()> {
    conn.batch_execute("select pg_advisory_lock(5251), setval('public.arrivals', 1, false)")?;
    sql_query("insert into public.armed values ($1)").bind::<Integer, _>(arrival as i32).execute(conn)?;
    Ok(())
}

/// A session that stands at the point.
#[derive(Debug, QueryableByName)]
pub(super) struct Stopped {
    #[diesel(sql_type = Integer)]
    pid: i32,
    /// The name of its process.
    #[diesel(sql_type = Text)]
    pub(super) process: String,
}

/// The session that stands at the point, if one does.
pub(super) fn stopped(conn: &mut PgConnection) -> Result<Option<Stopped>> {
    let sql =
        "select a.pid, a.application_name as process from pg_stat_activity a join pg_locks l using (pid)
        where a.datname = current_database() and l.locktype = 'advisory' and not l.granted";
    Ok(sql_query(sql).get_result(conn).optional()?)
}

/// Ends the session, so that its transaction never was, or lets it go on to its commit. Returns once that
/// transaction is over: emptying the table waits for whoever has read it.
pub(super) fn resolve(conn: &mut PgConnection, session: &Stopped, commits: bool) -> Result<()> {
    if !commits {
        sql_query("select pg_terminate_backend($1, 10000)").bind::<Integer, _>(session.pid).execute(conn)?;
    }
    conn.batch_execute("select pg_advisory_unlock(5251)")?;
    conn.batch_execute("truncate public.armed")?;
    Ok(())
}
