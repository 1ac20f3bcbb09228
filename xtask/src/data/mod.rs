//! `cargo xtask data`: tasks of known shapes in known states, seeded, a million in minutes.
//!
//! [`plan`] says which task becomes what, [`models`] plays one task of each kind through the engine,
//! [`copy`] writes the rest as copies of it.

mod copy;
mod models;
pub(crate) mod plan;
pub(crate) mod shapes;

use std::time::Instant;

use anyhow::{Context, Result};
use chrono::Utc;
use clap::Args;
use diesel::{Connection, PgConnection, connection::SimpleConnection};
use indicatif::{ProgressBar, ProgressStyle};
use tasker_engine::db::connect;
use tasker_localpg::{Wanted, resolve};
use tasker_model::migrations;

use crate::database::show;
use plan::{Mix, Plan};
use shapes::Shape;

#[derive(Args)]
pub(crate) struct Options {
    /// How many tasks to add.
    #[arg(long)]
    tasks: usize,
    /// Shares of pending, complete and failed tasks.
    #[arg(long, default_value = "60:30:10", value_name = "PENDING:COMPLETE:ERROR")]
    mix: Mix,
    /// The shape of the tasks.
    #[arg(long, value_enum, default_value = "all")]
    shape: Shape,
    /// How many finished tasks to add before them.
    #[arg(long, default_value_t = 0, value_name = "N")]
    history: usize,
    /// The same seed makes the same tasks.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where to write them; else TASKER_DATABASE_URL, DATABASE_URL, or the durable private cluster.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let server = resolve(options.database_url.clone(), &Wanted::durable(), &mut show)?;
    let mut conn = connect(&server.url)?;
    migrations::run_pending(&mut conn)?;
    let started = Instant::now();
    let mut rng = fastrand::Rng::with_seed(options.seed);
    if options.history > 0 {
        add(&mut conn, &Plan::new(options.history, Mix::FINISHED, options.shape, &mut rng), &mut rng)?;
    }
    add(&mut conn, &Plan::new(options.tasks, options.mix, options.shape, &mut rng), &mut rng)?;
    tidy(&mut conn)?;
    let total = options.history + options.tasks;
    println!("{total} tasks in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Writes the tasks of a plan.
pub(crate) fn add(conn: &mut PgConnection, plan: &Plan, rng: &mut fastrand::Rng) -> Result<()> {
    conn.transaction(|conn| models::make(conn, &plan.used()))?;
    let now = Utc::now();
    let bar = ProgressBar::new(plan.tasks.len() as u64).with_style(
        ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} tasks, {elapsed}, {eta} left")
            .context("a fixed template")?,
    );
    for chunk in plan.tasks.chunks(copy::CHUNK) {
        let kinds: Vec<i32> = chunk.iter().map(|k| (*k).into()).collect();
        let ages: Vec<i32> =
            chunk.iter().map(|k| rng.i32(0..plan.kinds[usize::from(*k)].1.oldest())).collect();
        copy::copy(conn, &kinds, &ages, now)?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    conn.batch_execute(
        "drop table model, model_tasks, model_steps, model_edges, model_step_transitions, model_task_transitions, chunk",
    )?;
    Ok(())
}

/// Leaves statistics and visibility as they are in a database that has run for a while.
pub(crate) fn tidy(conn: &mut PgConnection) -> Result<()> {
    // One by one: a vacuum refuses to share a transaction.
    for table in
        ["tasks", "workflow_steps", "workflow_step_edges", "workflow_step_transitions", "task_transitions"]
    {
        conn.batch_execute(&format!("vacuum analyze tasker.{table}"))?;
    }
    Ok(conn.batch_execute("analyze tasker.queues, tasker.named_steps, tasker.workers")?)
}
