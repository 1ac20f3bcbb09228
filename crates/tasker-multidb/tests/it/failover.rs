//! The primary dies in the middle of a run, its synchronous standby takes over, and nothing that was acknowledged
//! is lost or happens twice.
#![expect(clippy::print_stderr, reason = "what was measured is printed")]

use std::{
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{
    PgConnection, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};
use serde_json::json;
use tasker_engine::{
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts},
    handler::{HandlerRegistry, StepContext, StepResult},
    identity::Identity,
    submit::TaskRequest,
    worker::WorkerOptions,
};
use tasker_localpg::{Cluster, ClusterOptions};
use tasker_multidb::{Databases, TaskRef, Workers};
use tasker_testkit::check_invariants;
use tokio_util::sync::CancellationToken;

use crate::support::{cluster, config, connect, execute, migrated, text, until};

/// How many tasks the client wants acknowledged, and after how many the primary dies.
const WANTED: usize = 300;
const KILLED_AFTER: usize = 100;

/// A primary that acknowledges a commit when its standby has it, and a database on both.
fn pair() -> (Cluster, Cluster, String) {
    let safe = |options: ClusterOptions| options.setting("synchronous_commit", "on");
    let primary = cluster(safe(ClusterOptions::throw_away()));
    let url = migrated(&primary);
    execute(&mut connect(&url), "create table public.effects (task_id bigint, step text)");
    let standby = cluster(safe(ClusterOptions::standby_of(&primary)).setting("cluster_name", "standby"));
    let mut conn = connect(&primary.url());
    execute(&mut conn, "alter system set synchronous_standby_names = 'standby'");
    execute(&mut conn, "select pg_reload_conf()");
    let state =
        "coalesce((select sync_state from pg_stat_replication where application_name = 'standby'), '')";
    until("commits wait for the standby", || text(&mut conn, state).unwrap() == "sync");
    let name = text(&mut connect(&url), "current_database()").unwrap();
    let host = |cluster: &Cluster| cluster.dir().to_str().unwrap().replace('/', "%2F");
    let both = format!("postgres://postgres@/{name}?host={},{}&port=5432", host(&primary), host(&standby));
    (primary, standby, both)
}

/// Two steps that each leave a row in the commit of their result.
fn workflow() -> WorkflowDefinition {
    let mut parts = WorkflowParts::new("pay");
    parts.steps = vec![StepDefinition::new("book", "effect"), StepDefinition::new("send", "effect")];
    parts.steps[1].depends_on = vec!["book".into()];
    for step in &mut parts.steps {
        step.retry_limit = 50;
    }
    WorkflowDefinition::new(parts).unwrap()
}

fn effect(conn: &mut PgConnection, context: &StepContext) -> StepResult {
    sql_query("insert into public.effects values ($1, $2)")
        .bind::<BigInt, _>(context.task_id.0)
        .bind::<Text, _>(&context.step_name)
        .execute(conn)?;
    Ok(json!({}))
}

#[derive(Default)]
struct Client {
    acknowledged: Mutex<Vec<TaskRef>>,
    refused: Mutex<Vec<Instant>>,
    last: Mutex<Option<Instant>>,
    gives_up: AtomicBool,
}

impl Client {
    /// Submits one task after the other; what is not acknowledged is submitted again, as the same task.
    fn submit(&self, databases: &Databases) {
        let definition = workflow();
        for n in 0..WANTED {
            let request = [TaskRequest::new(json!({ "n": n }))];
            let task = loop {
                assert!(!self.gives_up.load(Ordering::Relaxed), "the test is over");
                match databases.submit(&definition, &request, &Identity::Hash) {
                    Ok(submitted) => break submitted[0].task.clone(),
                    Err(_) => self.refused.lock().unwrap().push(Instant::now()),
                }
            };
            self.acknowledged.lock().unwrap().push(task);
            *self.last.lock().unwrap() = Some(Instant::now());
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_promotion_and_happens_once() {
    let (primary, standby, both) = pair();
    let mut config = config(&[("primary", &both)]);
    config.databases.get_mut("primary").unwrap().checkout_timeout_ms = 500;
    let databases = Databases::start(&config).unwrap();
    let mut registry = HandlerRegistry::new();
    registry.register_transactional("effect", effect);
    let options =
        WorkerOptions { lease: Duration::from_secs(2), max_in_flight: 8, ..WorkerOptions::default() };
    let (stop, workers) = (CancellationToken::new(), Workers::new(databases.clone(), registry, options));
    let work = tokio::spawn({
        let stop = stop.clone();
        async move { workers.run(stop).await }
    });
    let client = Arc::new(Client::default());
    let submitting = std::thread::spawn({
        let (client, databases) = (client.clone(), databases.clone());
        move || client.submit(&databases)
    });

    until("the run is under way", || client.count() >= KILLED_AFTER);
    let pid = primary.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let killed = Instant::now();
    let before = client.count();
    assert!(before < WANTED, "the client was faster than the fault");
    until("the client notices", || !client.refused.lock().unwrap().is_empty());
    execute(&mut connect(&standby.url()), "select pg_promote()");
    let promoted = Instant::now();

    until("the client is done", || submitting.is_finished());
    submitting.join().unwrap();
    let acknowledged = client.acknowledged.lock().unwrap().clone();
    assert_eq!(acknowledged.len(), WANTED);
    let mut conn = connect(databases.home().url().expose());
    let open = "select count(*) from tasker.tasks where state <> 'complete'";
    until("every task is complete", || text(&mut conn, open).unwrap() == "0");
    let finished = Instant::now();
    stop.cancel();
    let served = work.await.unwrap();
    let report = served[0].1.as_ref().unwrap();

    let mut ids: Vec<i64> = acknowledged.iter().map(|task| task.task_id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), WANTED, "each request is a task of its own");
    let list = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let there = format!("select count(*) from tasker.tasks where task_id in ({list}) and state = 'complete'");
    assert_eq!(text(&mut conn, &there).unwrap(), WANTED.to_string(), "an acknowledged task is lost");
    assert_eq!(text(&mut conn, "select count(*) from tasker.tasks").unwrap(), WANTED.to_string());
    let once =
        "select count(*) from (select from public.effects group by task_id, step having count(*) = 1) e";
    assert_eq!(text(&mut conn, once).unwrap(), (2 * WANTED).to_string());
    assert_eq!(text(&mut conn, "select count(*) from public.effects").unwrap(), (2 * WANTED).to_string());
    assert_eq!(check_invariants(&mut conn), [""; 0]);
    eprintln!(
        "{before} acknowledged before the kill, promoted after {:.1?}, {} submissions not acknowledged, all complete {:.1?} after the promotion, {report:?}",
        promoted - killed,
        client.refused.lock().unwrap().len(),
        finished - promoted,
    );
}
