//! One task of each kind, played through the engine's own commands and kept in temporary tables to be copied.
//!
//! So every counter, state and log row of the data is what the engine itself writes. The tasks are played in
//! the year 2000, each earlier than the one before: a claim sees neither what other tasks of the database
//! have ready nor what the models played before have left.

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Duration, Utc};
use diesel::{
    PgConnection, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Array, BigInt, Integer, Timestamptz},
};
use serde_json::json;
use tasker_engine::{
    commands::{self, ClaimedStep, FailedAttempt},
    definition::WorkflowDefinition,
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::{FailureKind, TaskId, WorkerId};

use super::{
    plan::{Kind, Stage},
    shapes::NAMESPACE,
};

/// A played task: the place of its kind, and when its last event was.
struct Model {
    kind: u8,
    task: TaskId,
    ended_at: DateTime<Utc>,
}

/// Plays the kinds and leaves them in the temporary tables `model_…`. Writes nothing that stays but
/// definitions and one worker that has ended. In the caller's transaction.
pub(super) fn make(conn: &mut PgConnection, kinds: &[(u8, Kind)]) -> Result<()> {
    let last = "2000-01-02T00:00:00Z".parse::<DateTime<Utc>>().context("a fixed instant")?;
    let mut definitions = vec![];
    for (_, (shape, _)) in kinds {
        definitions.push(shape.definition()?);
    }
    let handlers: Vec<String> =
        definitions.iter().flat_map(|d| d.steps()).map(|s| s.handler.clone()).collect();
    let day_ms = 86_400_000;
    let (worker, _) =
        commands::register(conn, "xtask data", Some(&[NAMESPACE.into()]), &handlers, day_ms, Some(last))?;
    let mut models = vec![];
    for ((place, (kind, (_, stage))), definition) in (1..).zip(kinds).zip(&definitions) {
        let mut play = Play { conn, worker, now: last - Duration::minutes(10) * place };
        let task = play.task(definition, *stage)?;
        models.push(Model { kind: *kind, task, ended_at: play.now });
    }
    commands::end_worker(conn, worker, Some(last))?;
    keep(conn, &models)
}

struct Play<'a> {
    conn: &'a mut PgConnection,
    worker: WorkerId,
    now: DateTime<Utc>,
}

impl Play<'_> {
    fn task(&mut self, definition: &WorkflowDefinition, stage: Stage) -> Result<TaskId> {
        let request = TaskRequest::new(json!({"n": 1}));
        let submitted = submit(self.conn, definition, &[request], &Identity::Random, Some(self.now))?;
        let task = submitted.first().context("a submission answers for its request")?.task_id;
        match stage {
            Stage::Begun(steps) => self.complete(steps)?,
            Stage::Complete => self.drain()?,
            Stage::Waiting => self.fail_second(Duration::hours(24))?,
            Stage::Due => self.fail_second(Duration::seconds(1))?,
            Stage::Exhausted => {
                self.fail_second(Duration::seconds(1))?;
                for _ in 1..3 {
                    // The failed step has waited longest but one second; the others run on.
                    self.now += Duration::seconds(5);
                    self.fail_retried()?;
                }
                self.drain()?;
            }
        }
        Ok(task)
    }

    fn claim(&mut self, limit: i32) -> Result<Vec<ClaimedStep>> {
        self.now += Duration::seconds(1);
        Ok(commands::claim(self.conn, self.worker, limit, Some(self.now))?)
    }

    fn report(&mut self, claims: &[ClaimedStep]) -> Result<()> {
        let reports: Vec<_> = claims.iter().map(|c| (c.claim(), json!({"ok": true}))).collect();
        self.now += Duration::seconds(1);
        commands::complete(self.conn, &reports, Some(self.now))?;
        Ok(())
    }

    fn complete(&mut self, steps: usize) -> Result<()> {
        for _ in 0..steps {
            let claims = self.claim(1)?;
            self.report(&claims)?;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        loop {
            let claims = self.claim(100)?;
            if claims.is_empty() {
                return Ok(());
            }
            self.report(&claims)?;
        }
    }

    /// One step succeeds, the next fails.
    fn fail_second(&mut self, delay: Duration) -> Result<()> {
        self.complete(1)?;
        let claims = self.claim(1)?;
        self.fail(&claims, delay)
    }

    /// The step that failed fails again; others that are ready succeed.
    fn fail_retried(&mut self) -> Result<()> {
        let (again, others): (Vec<_>, Vec<_>) = self.claim(100)?.into_iter().partition(|c| c.attempt > 1);
        ensure!(again.len() == 1, "a failed step is not offered again");
        self.report(&others)?;
        self.fail(&again, Duration::seconds(1))
    }

    fn fail(&mut self, claims: &[ClaimedStep], delay: Duration) -> Result<()> {
        self.now += Duration::seconds(1);
        let attempts: Vec<_> = claims
            .iter()
            .map(|c| FailedAttempt {
                claim: c.claim(),
                kind: FailureKind::Retryable,
                delay_ms: delay.num_milliseconds(),
                message: "the service did not answer".into(),
            })
            .collect();
        commands::fail(self.conn, &attempts, Some(self.now))?;
        Ok(())
    }
}

/// Keeps the rows of the played tasks and takes them out of the schema.
fn keep(conn: &mut PgConnection, models: &[Model]) -> Result<()> {
    let kinds: Vec<i32> = models.iter().map(|m| m.kind.into()).collect();
    let tasks: Vec<i64> = models.iter().map(|m| m.task.0).collect();
    let ends: Vec<DateTime<Utc>> = models.iter().map(|m| m.ended_at).collect();
    conn.batch_execute(
        "create temp table model (kind integer primary key, task_id bigint, ended_at timestamptz)",
    )?;
    sql_query("insert into model select * from unnest($1, $2, $3)")
        .bind::<Array<Integer>, _>(kinds)
        .bind::<Array<BigInt>, _>(tasks)
        .bind::<Array<Timestamptz>, _>(ends)
        .execute(conn)?;
    Ok(conn.batch_execute(include_str!("models.sql"))?)
}
