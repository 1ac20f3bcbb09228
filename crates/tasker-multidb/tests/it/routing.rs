//! Namespaces that live in databases of their own, and one process that serves all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tasker_engine::{
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts},
    handler::{HandlerRegistry, StepContext},
    identity::Identity,
    submit::TaskRequest,
    worker::WorkerOptions,
};
use tasker_localpg::ClusterOptions;
use tasker_multidb::{DatabaseConfig, Databases, SubmittedTo, Tasker, Workers};
use tasker_testkit::check_invariants;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::support::{cluster, config, connect, execute, migrated, primary, text, until};

fn workflow(namespace: &str, handler: &str) -> WorkflowDefinition {
    let mut parts = WorkflowParts::new("note");
    parts.namespace = namespace.into();
    parts.steps.push(StepDefinition::new("only", handler));
    WorkflowDefinition::new(parts).unwrap()
}

fn requests(count: i32) -> Vec<TaskRequest> {
    (0..count).map(|n| TaskRequest::new(json!({ "n": n }))).collect()
}

/// The home and a second database, on a primary each; the namespace `shop` lives in the second one.
fn two() -> DatabaseConfig {
    let mut config = config(&[("primary", &migrated(primary(0))), ("second", &migrated(primary(1)))]);
    config.namespaces.insert("shop".into(), "second".parse().unwrap());
    config
}

fn complete(databases: &Databases, task: &SubmittedTo) -> bool {
    let (database, id) = databases.locate(&task.task).unwrap();
    let state = format!("select state from tasker.tasks where task_id = {id}");
    database.read(|conn| text(conn, &state)).unwrap() == "complete"
}

#[tokio::test]
async fn a_task_lives_where_its_namespace_is_routed_to_and_its_id_says_so() {
    let databases = Databases::start(&two()).unwrap();
    let (shop, rest) = (workflow("shop", "note"), workflow("billing", "note"));
    let in_shop = databases.submit(&shop, &requests(3), &Identity::Random).unwrap();
    let in_rest = databases.submit(&rest, &requests(3), &Identity::Random).unwrap();
    let first = |of: &[SubmittedTo]| of[0].task.to_string();
    assert_eq!((first(&in_shop), first(&in_rest)), ("second:1".into(), "primary:1".into()));
    let namespaces = |name: &str| {
        let all = "select string_agg(distinct n.name, ',') from tasker.tasks t
                   join tasker.named_tasks nt using (named_task_id) join tasker.task_namespaces n using (task_namespace_id)";
        databases.tasker(name).unwrap().read(|conn| text(conn, all)).unwrap()
    };
    assert_eq!((namespaces("second"), namespaces("primary")), ("shop".into(), "billing".into()));

    let seen = Arc::<Mutex<Vec<String>>>::default();
    let mut registry = HandlerRegistry::new();
    let notes = seen.clone();
    registry.register("note", move |context: StepContext| {
        notes.lock().unwrap().push(context.workflow.to_string());
        async { Ok(json!({})) }
    });
    let options = WorkerOptions { until_idle: true, ..WorkerOptions::default() };
    let served = Workers::new(databases.clone(), registry, options).run(CancellationToken::new()).await;
    let done: Vec<_> =
        served.iter().map(|(name, r)| (name.as_str(), r.as_ref().unwrap().completed)).collect();
    assert_eq!(done, [("primary", 3), ("second", 3)]);
    assert!(in_shop.iter().chain(&in_rest).all(|task| complete(&databases, task)));
    assert_eq!(seen.lock().unwrap().iter().filter(|w| w.starts_with("shop.")).count(), 3);
    for database in databases.serving() {
        assert_eq!(check_invariants(&mut database.writing().unwrap()), [""; 0]);
    }
}

#[test]
fn an_id_of_a_database_without_tasks_is_refused() {
    let mut config = two();
    config.databases.insert("other".parse().unwrap(), config.databases["primary"].clone());
    let databases = Databases::start(&config).unwrap();
    let home: tasker_multidb::Database<Tasker> = databases.locate(&"7".parse().unwrap()).unwrap().0;
    assert_eq!(*home.name(), "primary");
    let error = databases.locate(&"other:7".parse().unwrap()).unwrap_err().to_string();
    assert_eq!(error, "no database `other` holds Tasker's tables; those that do are primary, second");
}

/// However much one database has to do, the other one has its part of the slots.
#[tokio::test(flavor = "multi_thread")]
async fn databases_share_the_slots_equally() {
    let databases = Databases::start(&two()).unwrap();
    databases.submit(&workflow("shop", "wait"), &requests(20), &Identity::Random).unwrap();
    databases.submit(&workflow("billing", "wait"), &requests(2), &Identity::Random).unwrap();
    let running = Arc::<Mutex<HashMap<String, usize>>>::default();
    let gate = Arc::new(Semaphore::new(0));
    let mut registry = HandlerRegistry::new();
    let (counts, opened) = (running.clone(), gate.clone());
    registry.register("wait", move |context: StepContext| {
        *counts.lock().unwrap().entry(context.workflow.to_string()).or_default() += 1;
        let opened = opened.clone();
        async move {
            opened
                .acquire()
                .await
                .map_err(|_| tasker_engine::handler::StepError::permanent("closed"))?
                .forget();
            Ok(json!({}))
        }
    });
    let stop = CancellationToken::new();
    let options = WorkerOptions { max_in_flight: 5, until_idle: true, ..WorkerOptions::default() };
    let workers = Workers::new(databases, registry, options);
    let work = tokio::spawn({
        let stop = stop.clone();
        async move { workers.run(stop).await }
    });
    let running_of = |namespace: &str| {
        let running = running.lock().unwrap();
        running.iter().filter(|(w, _)| w.starts_with(namespace)).map(|(_, n)| *n).sum::<usize>()
    };
    until("both have what is theirs", || running_of("billing") == 2 && running_of("shop") == 2);
    gate.add_permits(22);
    let served = work.await.unwrap();
    let done: u64 = served.iter().map(|(_, report)| report.as_ref().unwrap().completed).sum();
    assert_eq!(done, 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_does_not_keep_the_others_from_being_served() {
    let server = cluster(ClusterOptions::throw_away());
    let mut config = two();
    let second = migrated(&server);
    config.databases.insert("second".parse().unwrap(), tasker_multidb::NamedDatabase::at(second));
    let databases = Databases::start(&config).unwrap();
    drop(server);
    let task = databases.submit(&workflow("billing", "note"), &requests(1), &Identity::Random).unwrap();
    let mut registry = HandlerRegistry::new();
    registry.register("note", |_: StepContext| async { Ok(json!({})) });
    let stop = CancellationToken::new();
    let workers = Workers::new(databases.clone(), registry, WorkerOptions::default());
    let work = tokio::spawn({
        let stop = stop.clone();
        async move { workers.run(stop).await }
    });
    until("the home is served", || complete(&databases, &task[0]));
    stop.cancel();
    let served = work.await.unwrap();
    assert_eq!(served[0].1.as_ref().unwrap().completed, 1);
    assert_eq!(served[1].1.as_ref().unwrap().incarnations, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waiting_cannot_help_is_returned_with_its_database() {
    let databases = Databases::start(&two()).unwrap();
    execute(&mut connect(databases.tasker("second").unwrap().url().expose()), "drop schema tasker cascade");
    let options =
        WorkerOptions { until_idle: true, lease: Duration::from_secs(1), ..WorkerOptions::default() };
    let served = Workers::new(databases, HandlerRegistry::new(), options).run(CancellationToken::new()).await;
    assert!(served[0].1.is_ok(), "{served:?}");
    let error = served[1].1.as_ref().unwrap_err().to_string();
    assert_eq!(served[1].0, "second");
    assert!(error.contains("run `tasker migrate`"), "{error}");
}
