//! The rows of the database as the store writes its own: a line each. Ids are counted from 1 in the order of
//! submission and registration, so a place in the store is an id less 1.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_types::Text};
use tasker_testkit::{
    cases::{micros, noon},
    model::Millis,
};

/// The instant that is so many milliseconds after the walk's beginning.
pub(crate) fn instant(now: Millis) -> Option<DateTime<Utc>> {
    Some(noon() + micros(now * 1_000))
}

fn lines(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let rows: Vec<Line> = diesel::sql_query(sql).load(conn).unwrap_or_else(|e| panic!("{sql}: {e}"));
    rows.into_iter().map(|r| r.line).collect()
}

/// An instant as milliseconds after the beginning, in SQL.
fn ms(column: &str) -> String {
    format!("coalesce(((extract(epoch from {column}) - {}) * 1000)::bigint::text, '-')", noon().timestamp())
}

/// Tasks from this place on with their steps, and all workers.
pub(crate) fn row_lines(conn: &mut PgConnection, first: usize) -> Vec<String> {
    let mut all = lines(conn, &task_sql(first));
    let worker = format!(
        "select format('worker %s: until=%s ended=%s reaped=%s', worker_id - 1, {}, (ended_at is not null)::text, (reaped_at is not null)::text) as line
         from tasker.workers order by worker_id",
        ms("lease_until")
    );
    all.extend(lines(conn, &worker));
    all
}

fn task_sql(first: usize) -> String {
    format!(
        "select line from (
           select task_id, 0::bigint as step, format('task %s: %s seq=%s live=%s', task_id - 1, state, seq, live_steps) as line
           from tasker.tasks where task_id > {first}
           union all
           select task_id, workflow_step_id, format('step %s.%s: %s seq=%s attempts=%s/%s generation=%s parents=%s available=%s held=%s paused=%s worker=%s kind=%s priority=%s',
             task_id - 1, row_number() over (partition by task_id order by workflow_step_id) - 1, state, seq, attempts, retry_limit, generation, pending_parents,
             {}, held::text, paused::text, coalesce((worker_id - 1)::text, '-'), coalesce(failure_kind, '-'), priority)
           from tasker.workflow_steps where task_id > {first}) x
         order by task_id, step",
        ms("available_at")
    )
}

/// The logs of the tasks from this place on, sorted.
pub(crate) fn log_lines(conn: &mut PgConnection, first: usize) -> Vec<String> {
    let sql = format!(
        "select format('log step %s.%s #%s at %s: %s -> %s attempt=%s/%s generation=%s available=%s worker=%s kind=%s operator=%s', task_id - 1, place, seq, {at},
           from_state, to_state, attempt, retry_limit, generation, {available}, coalesce((worker_id - 1)::text, '-'), coalesce(failure_kind, '-'), (actor is not null)::text) as line
         from (select t.*, (select count(*) from tasker.workflow_steps s where s.task_id = t.task_id and s.workflow_step_id < t.workflow_step_id) as place
           from tasker.workflow_step_transitions t where t.task_id > {first}) t
         union all
         select format('log task %s #%s at %s: %s -> %s', task_id - 1, seq, {at}, from_state, to_state) as line
         from tasker.task_transitions where task_id > {first}",
        at = ms("at"),
        available = ms("available_at")
    );
    let mut all = lines(conn, &sql);
    all.sort_unstable();
    all
}

/// Takes back up to so many steps of dead workers; how many it were.
pub(crate) fn expired(conn: &mut PgConnection, limit: usize, now: Millis) -> usize {
    let now = instant(now).unwrap_or_default().to_rfc3339();
    let sql = format!("select tasker.expire_leases({limit}, '{now}')::text as line");
    lines(conn, &sql)[0].parse().unwrap_or_else(|e| panic!("{sql}: {e}"))
}
