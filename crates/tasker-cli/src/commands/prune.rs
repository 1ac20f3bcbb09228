//! `tasker prune`: deletes finished tasks that are older than a policy, one transaction a batch.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use comfy_table::Cell;
use diesel::PgConnection;
use serde_json::json;
use tasker_engine::retention::{Prunable, Pruned, Pruning, RetentionPolicy, prunable};
use tasker_model::TaskState;
use tokio_util::sync::CancellationToken;

use crate::{
    commands::worker::runtime,
    database::{Database, DatabaseArgs, now},
    exit::{Exit, Failure, Outcome},
    output::{Output, note, state},
    signals,
    time::{self, instant},
};

/// How often people are told how far it is.
const PROGRESS: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tasks that finished longer ago than this, such as 30d
    #[arg(long, value_name = "TIME", value_parser = time::parse_span)]
    older_than: Duration,
    /// A finished state; may be repeated. complete, cancelled and resolved_manually if not given: tasks in error go
    /// only if asked for
    #[arg(long, value_parser = finished)]
    state: Vec<TaskState>,
    /// Only tasks of workflows of this namespace; may be repeated
    #[arg(long)]
    namespace: Vec<String>,
    /// The most tasks of one transaction
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    batch: i32,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
}

fn finished(text: &str) -> Result<TaskState, String> {
    let state: TaskState = text.parse().map_err(|e| format!("{e}"))?;
    if state.is_open() { Err(format!("tasks that are {state} are not pruned")) } else { Ok(state) }
}

pub(crate) fn run(args: &Args, database: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::ready(database, false)?;
    let conn = &mut database.connect()?;
    let policy = policy(args, now(conn)?)?;
    if args.dry_run {
        let found = prunable(conn, &policy)?;
        show(&found, &policy, out);
        return Ok(Exit::Ok);
    }
    let interrupted = CancellationToken::new();
    let runtime = runtime()?;
    let _inside = runtime.enter();
    signals::listen(interrupted.clone(), |_| note("stopping after this batch"))?;
    prune(conn, policy, &interrupted, out)
}

fn policy(args: &Args, now: DateTime<Utc>) -> Outcome<RetentionPolicy> {
    let age = TimeDelta::from_std(args.older_than).ok();
    let before = age
        .and_then(|age| now.checked_sub_signed(age))
        .filter(|at| *at > DateTime::UNIX_EPOCH)
        .ok_or_else(|| Failure::input("--older-than reaches back before 1970"))?;
    let mut policy = RetentionPolicy::before(before);
    if !args.state.is_empty() {
        policy.states.clone_from(&args.state);
    }
    policy.namespaces = (!args.namespace.is_empty()).then(|| args.namespace.clone());
    policy.batch = args.batch;
    Ok(policy)
}

fn prune(
    conn: &mut PgConnection,
    policy: RetentionPolicy,
    interrupted: &CancellationToken,
    out: &Output,
) -> Outcome {
    let before = policy.before;
    let mut pruning = Pruning::new(policy);
    let mut told = Instant::now();
    let mut ended = false;
    while !ended && !interrupted.is_cancelled() {
        ended = pruning.next(conn)?.is_none();
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            note(sentence(&pruning.total()));
        }
    }
    let total = pruning.total();
    out.either(&json!({ "dry_run": false, "before": before, "ended": ended, "pruned": total }), || {
        out.line(sentence(&total));
    });
    Ok(if ended { Exit::Ok } else { Exit::Interrupted })
}

fn sentence(total: &Pruned) -> String {
    let Pruned { tasks, steps, workers, definitions } = total;
    format!(
        "deleted {tasks} tasks with {steps} steps, {workers} workers that ended, {definitions} replaced definitions"
    )
}

fn show(found: &[Prunable], policy: &RetentionPolicy, out: &Output) {
    out.either(&json!({ "dry_run": true, "before": policy.before, "states": found }), || {
        let all: i64 = found.iter().map(|f| f.tasks).sum();
        out.line(format_args!(
            "dry run, nothing was deleted; it would be {all} tasks that finished before {}",
            instant(policy.before)
        ));
        let rows = found.iter().map(|f| {
            let (first, last) = (instant(f.first_finished_at), instant(f.last_finished_at));
            vec![state(f.state), Cell::new(f.tasks), Cell::new(first), Cell::new(last)]
        });
        out.table(&["state", "tasks", "first finished", "last finished"], rows.collect());
    });
}
