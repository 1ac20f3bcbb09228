//! What came of it, counted in the database and held against the independent judge of the orders.

use anyhow::{Context, Result};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Nullable, Text},
};
use serde::Serialize;
use tasker_engine::definition::{self, States, WorkflowDefinition};
use tasker_model::{StepWithName, TaskId};

use crate::orders::{self, Catalogue, shop::Stats};

/// What the demo prints as JSON, and what its screen shows.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) tasks: i64,
    pub(super) complete: i64,
    pub(super) error: i64,
    pub(super) steps: i64,
    pub(super) retries: i64,
    pub(super) takeovers: i64,
    pub(super) workers_killed: u32,
    pub(super) lost: i64,
    pub(super) doubled: i64,
    pub(super) stuck: i64,
    pub(super) order_total: String,
    pub(super) expected_total: String,
    pub(super) events: u64,
    pub(super) repeated_events: u64,
    pub(super) faults: u64,
    pub(super) seconds: f64,
    /// Tasks that did not become what the judge says: complete and error must match.
    pub(super) misjudged: i64,
    /// One sentence of a refused order.
    pub(super) refusal: Option<String>,
    #[serde(skip)]
    pub(super) drawing: String,
}

impl Outcome {
    pub(super) fn money_adds_up(&self) -> bool {
        self.order_total == self.expected_total
    }

    pub(super) fn events_add_up(&self) -> bool {
        i64::try_from(self.events) == Ok(self.complete)
    }

    pub(super) fn is_good(&self) -> bool {
        self.lost == 0
            && self.doubled == 0
            && self.stuck == 0
            && self.misjudged == 0
            && self.money_adds_up()
            && self.events_add_up()
            && self.workers_killed > 0
    }
}

#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = BigInt)]
    tasks: i64,
    #[diesel(sql_type = BigInt)]
    complete: i64,
    #[diesel(sql_type = BigInt)]
    error: i64,
    #[diesel(sql_type = BigInt)]
    stuck: i64,
    #[diesel(sql_type = BigInt)]
    steps: i64,
    #[diesel(sql_type = BigInt)]
    retries: i64,
    #[diesel(sql_type = BigInt)]
    takeovers: i64,
    #[diesel(sql_type = BigInt)]
    lost: i64,
    #[diesel(sql_type = BigInt)]
    doubled: i64,
    #[diesel(sql_type = Text)]
    order_total: String,
    #[diesel(sql_type = Nullable<Text>)]
    refusal: Option<String>,
    #[diesel(sql_type = BigInt)]
    shown: i64,
}

/// Lost: a complete task without its order. Doubled: a second order of a task, or a second completion of a
/// step. Shown is a task of the killed worker if one completed, else one that needed a retry.
const COUNTS: &str = "
    select count(*) as tasks, count(*) filter (where t.state = 'complete') as complete,
      count(*) filter (where t.state = 'error') as error, count(*) filter (where t.finished_at is null) as stuck,
      (select count(*) from tasker.workflow_steps) as steps,
      (select count(*) from tasker.workflow_step_transitions
        where to_state = 'error' and failure_kind <> 'lost_lease' and available_at is not null) as retries,
      (select count(*) from tasker.workflow_step_transitions where failure_kind = 'lost_lease') as takeovers,
      count(*) filter (where t.state = 'complete' and not exists (select from orders o where o.task_id = t.task_id)) as lost,
      (select coalesce(sum(n - 1), 0)::bigint from (select count(*) as n from orders group by task_id) x)
        + (select coalesce(sum(n - 1), 0)::bigint from (
            select count(*) as n from tasker.workflow_step_transitions where to_state = 'complete' group by workflow_step_id) x) as doubled,
      (select coalesce(sum(total), 0)::numeric(20, 2)::text from orders) as order_total,
      (select min(last_error) from tasker.workflow_steps where failure_kind = 'permanent') as refusal,
      coalesce((
        select task_id from tasker.workflow_step_transitions join tasker.tasks using (task_id)
        where failure_kind is not null and state = 'complete' order by failure_kind = 'lost_lease' desc, task_id limit 1), min(t.task_id)) as shown
    from tasker.tasks t";

pub(super) fn judge(
    conn: &mut PgConnection,
    workflow: &WorkflowDefinition,
    catalogue: &Catalogue,
    submitted: usize,
    stats: &Stats,
) -> Result<Outcome> {
    let counts: Counts = sql_query(COUNTS).get_result(conn).context("The run cannot be counted")?;
    let expected = orders::expected(catalogue);
    let submitted = i64::try_from(submitted)?;
    let off = |found: i64, wanted: usize| i64::try_from(wanted).map(|w| (found - w).abs());
    Ok(Outcome {
        misjudged: off(counts.complete, expected.complete)? + off(counts.error, expected.error)?,
        drawing: draw(conn, workflow, TaskId(counts.shown))?,
        tasks: counts.tasks,
        complete: counts.complete,
        error: counts.error,
        steps: counts.steps,
        retries: counts.retries,
        takeovers: counts.takeovers,
        workers_killed: 0,
        lost: counts.lost + (submitted - counts.tasks).abs(),
        doubled: counts.doubled,
        stuck: counts.stuck,
        order_total: counts.order_total,
        expected_total: expected.total.to_string(),
        events: stats.events,
        repeated_events: stats.repeated_events,
        faults: stats.faults.values().sum(),
        seconds: 0.0,
        refusal: counts.refusal,
    })
}

fn draw(conn: &mut PgConnection, workflow: &WorkflowDefinition, task: TaskId) -> Result<String> {
    let steps = StepWithName::of_task(conn, task)?;
    let states: States = steps.iter().map(|s| (s.name.clone(), s.step.state.to_string())).collect();
    let attempts = steps.iter().filter(|s| s.step.attempts > 1);
    let notes: Vec<_> = attempts.map(|s| format!("{} took {} attempts", s.name, s.step.attempts)).collect();
    Ok(format!("task {task}: {}\n{}", notes.join(", "), definition::ascii(workflow, Some(&states))))
}
