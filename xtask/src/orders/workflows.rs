//! Test: the order workflow in YAML and in typed Rust, against the real service with its faults, give what the
//! independent judge says.

use std::{collections::BTreeMap, sync::Arc};

use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use tasker::prelude::*;
use tasker_model::{StepWithName, Task, TaskFilter};
use tasker_testkit::TestDatabase;

use super::{Catalogue, Faults, OrderService, rule};

#[path = "../../../crates/tasker/examples/order/workflow.rs"]
mod typed;

const TEMPLATE: &str = include_str!("../../../examples/order.yaml");

fn template() -> Template {
    Template::parse(TEMPLATE, "examples/order.yaml").unwrap()
}

/// Submits every cart, works until nothing is left, and holds each task and the money against the judge.
async fn orders_end_as_the_judge_says(
    definition: WorkflowDefinition,
    registry: HandlerRegistry,
    catalogue: &Catalogue,
) {
    let database = TestDatabase::new();
    let mut conn = database.connection();
    conn.batch_execute(template().setup().unwrap()).unwrap();
    let requests: Vec<_> = catalogue.carts.iter().map(|c| TaskRequest::new(c.json.clone())).collect();
    let submitted = submit(&mut conn, &definition, &requests, &Identity::Hash, None).unwrap();

    let options = WorkerOptions { until_idle: true, ..WorkerOptions::default() };
    Worker::new(database.db(), registry, options).run(CancellationToken::new()).await.unwrap();

    let expected = rule::expected(catalogue);
    assert_eq!(total(&mut conn), expected.total.to_string());
    let all = TaskFilter { limit: 10_000, ..TaskFilter::default() };
    let states: BTreeMap<TaskId, TaskState> =
        Task::list(&mut conn, &all).unwrap().into_iter().map(|(t, _)| (t.task_id, t.state)).collect();
    for (cart, task) in catalogue.carts.iter().zip(submitted) {
        match rule::order(cart, catalogue) {
            Ok(_) => assert_eq!(states[&task.task_id], TaskState::Complete, "cart {}", cart.id),
            Err(refusal) => {
                assert_eq!(states[&task.task_id], TaskState::Error, "cart {}", cart.id);
                let steps = StepWithName::of_task(&mut conn, task.task_id).unwrap();
                let said = steps.iter().find_map(|s| s.step.last_error.clone()).unwrap();
                assert!(said.contains(&refusal.to_string()), "{said:?} should say {refusal:?}");
            }
        }
    }
    database.assert_sound();
}

fn total(conn: &mut diesel::PgConnection) -> String {
    #[derive(QueryableByName)]
    struct Total {
        #[diesel(sql_type = Text)]
        total: String,
    }
    let total: Total = sql_query("select sum(total)::text as total from orders").get_result(conn).unwrap();
    total.total
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_orders_as_the_rule_says() {
    let catalogue = Arc::new(Catalogue::generate(7, 60));
    let service = OrderService::start(catalogue.clone(), Faults::seeded(7), 0).await.unwrap();
    let url = service.url();
    let mut registry = HandlerRegistry::new();
    let mut options = DeclarativeOptions::default();
    options.variables = Variables::new(move |name| (name == "ORDER_SERVICE_URL").then(|| url.clone()));
    tasker::engine::handlers::register(&mut registry, options);
    orders_end_as_the_judge_says(template().definition(None).unwrap(), registry, &catalogue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_rust_orders_as_the_rule_says() {
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let catalogue = Arc::new(Catalogue::generate(8, 60));
    let service = OrderService::start(catalogue.clone(), Faults::seeded(8), 0).await.unwrap();
    let workflow = typed::workflow(typed::Service::new(&service.url())).unwrap();
    let mut registry = HandlerRegistry::new();
    workflow.register(&mut registry);
    orders_end_as_the_judge_says(workflow.into_definition(), registry, &catalogue).await;
}
