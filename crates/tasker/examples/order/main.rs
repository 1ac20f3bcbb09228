//! Runs the typed order workflow: `TASKER_DATABASE_URL=… ORDER_SERVICE_URL=… cargo run --example order -- carts.json`
//!
//! `cargo xtask order-service` starts the service; the database needs Tasker's schema and an `orders` table, both of
//! which this program makes.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

mod workflow;

use anyhow::{Context, Result};
use diesel::connection::SimpleConnection;
use tasker::{model::migrations, prelude::*};

const ORDERS: &str = "create table if not exists orders (
    order_id bigint generated always as identity primary key, task_id bigint not null, cart_id bigint not null,
    total numeric(14, 2) not null, created_at timestamptz not null default clock_timestamp())";

#[tokio::main]
async fn main() -> Result<()> {
    // reqwest is built without a provider here, so that the workspace has one TLS library.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let (url, service) = (variable("TASKER_DATABASE_URL")?, variable("ORDER_SERVICE_URL")?);
    let path = std::env::args().nth(1).context("name a JSON file of carts")?;
    let document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let carts = document["carts"].as_array().cloned().context("the file has no list `carts`")?;

    let workflow = workflow::workflow(workflow::Service::new(&service))?;
    let db = Db::connect(&url, 8)?;
    let definition = workflow.definition().clone();
    let submitted = db
        .run(move |conn| -> Result<Vec<Submitted>> {
            migrations::run_pending(conn)?;
            conn.batch_execute(ORDERS)?;
            let requests: Vec<_> = carts.into_iter().map(TaskRequest::new).collect();
            Ok(submit(conn, &definition, &requests, &Identity::Random, None)?)
        })
        .await??;

    let mut registry = HandlerRegistry::new();
    workflow.register(&mut registry);
    let options = WorkerOptions { until_idle: true, ..WorkerOptions::default() };
    let report = Worker::new(db, registry, options).run(CancellationToken::new()).await?;
    println!(
        "{} tasks, {} steps completed, {} attempts failed",
        submitted.len(),
        report.completed,
        report.failed
    );
    Ok(())
}
