//! What a worker and a test coordinator do alike: claim with all that handlers read, and run one attempt.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl};
use serde_json::Value;
use tasker_model::{StepId, WorkerId};
use tokio_util::sync::CancellationToken;

use crate::{
    attempt::{self, AttemptOutcome},
    clock::Clock,
    commands::{self, Changes, ClaimedStep},
    db::Db,
    definitions::Definitions,
    handler::{HandlerRegistry, Inputs, StepContext},
    report::Report,
    retry,
};

/// Claims and runs steps of the handlers of a registry. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runner {
    /// Where the steps are.
    pub db: Db,
    /// Where time comes from.
    pub clock: Clock,
    registry: Arc<HandlerRegistry>,
    definitions: Definitions,
}

/// What one look at the database found.
#[derive(Debug, Default)]
pub struct Look {
    /// Claimed steps, in the order of claiming.
    pub steps: Vec<ClaimedStep>,
    /// Results of all ancestors, an object by name, for those steps whose handlers read them.
    pub ancestors: HashMap<StepId, Value>,
    /// Where nothing was claimed: how long until the next step becomes claimable, if one waits for time.
    pub due_in: Option<Duration>,
}

/// How long a step is kept that this version cannot run, before it is given back for another one.
const UNREADABLE: Duration = Duration::from_secs(1);

/// How an attempt ended, as far as its claim is concerned.
#[derive(Debug)]
pub enum RunEnd {
    /// This is still to be written.
    Report(Report),
    /// A transactional handler wrote it already.
    Committed(Changes),
    /// The claim was gone; nothing was written.
    LeaseLost,
}

impl Runner {
    /// A runner for these handlers.
    pub fn new(db: Db, registry: HandlerRegistry, clock: Clock) -> Self {
        Self { db, clock, registry: registry.into(), definitions: Definitions::default() }
    }

    /// The handlers.
    pub fn registry(&self) -> &HandlerRegistry {
        &self.registry
    }

    /// One unit of database work: claims, loads what the handlers read, and where there was nothing, says
    /// when there will be.
    pub fn look(&self, conn: &mut PgConnection, worker: WorkerId, limit: i32) -> QueryResult<Look> {
        let now = self.clock.now();
        let steps = commands::claim(conn, worker, limit, now)?;
        if steps.is_empty() {
            let due_in = commands::next_due_at(conn, worker)?.map(|due| until(conn, due, now)).transpose()?;
            return Ok(Look { due_in, ..Look::default() });
        }
        let ancestors = self.prepare(conn, &steps)?;
        Ok(Look { steps, ancestors, due_in: None })
    }

    /// Loads the definitions of claimed steps, and the results of all ancestors for those whose handlers read
    /// them: an object by name for each such step.
    pub fn prepare(
        &self,
        conn: &mut PgConnection,
        steps: &[ClaimedStep],
    ) -> QueryResult<HashMap<StepId, Value>> {
        self.definitions.load(conn, steps.iter().map(|s| s.definition_id))?;
        let deep: Vec<_> =
            steps.iter().filter(|s| self.reads_ancestors(s)).map(|s| (s.task_id, s.step_id)).collect();
        let ancestors = if deep.is_empty() { vec![] } else { commands::ancestors(conn, &deep)? };
        Ok(ancestors.into_iter().collect())
    }

    fn reads_ancestors(&self, step: &ClaimedStep) -> bool {
        let Some(definition) = self.definitions.get(step.definition_id) else { return false };
        let Some(loaded) = definition.step(&step.step_name) else { return false };
        let reads = self.registry.get(&loaded.step.handler).is_some_and(|h| h.inputs() == Inputs::Ancestors);
        reads && loaded.has_grandparents
    }

    /// Runs one attempt of a claimed step. One whose definition or handler this process does not know is to
    /// be given back.
    pub async fn attempt(
        &self,
        step: &ClaimedStep,
        results: Value,
        cancellation: CancellationToken,
    ) -> RunEnd {
        let claim = step.claim();
        let given_back = RunEnd::Report(Report::Released(claim));
        let definition = self.definitions.get(step.definition_id);
        let loaded = definition.as_ref().and_then(|d| Some((d, d.step(&step.step_name)?)));
        let known = loaded.and_then(|(d, l)| Some((d, l, self.registry.get(&l.step.handler)?)));
        let Some((definition, loaded, handler)) = known else {
            // It is claimable again at once: without a pause this worker would claim it in a circle.
            tokio::select! {
                () = tokio::time::sleep(UNREADABLE) => {}
                () = cancellation.cancelled() => {}
            }
            return given_back;
        };
        let context = StepContext {
            task_id: step.task_id,
            step_id: step.step_id,
            step_name: step.step_name.clone(),
            workflow: definition.full_name.clone(),
            attempt: step.attempt,
            generation: step.generation,
            context: Arc::new(step.context.clone()),
            results: Arc::new(by_name(results)),
            config: loaded.config.clone(),
            now: step.claimed_at,
            cancellation,
        };
        let timeout_ms = loaded.step.timeout_ms;
        match attempt::run(&self.db, &self.clock, handler, claim, context, timeout_ms).await {
            AttemptOutcome::Succeeded(value) => RunEnd::Report(Report::Completed(claim, value)),
            AttemptOutcome::Stopped => given_back,
            AttemptOutcome::Committed(changes) => RunEnd::Committed(changes),
            AttemptOutcome::LeaseLost => RunEnd::LeaseLost,
            AttemptOutcome::Failed(failure) => {
                let policy = &loaded.step.backoff;
                RunEnd::Report(Report::Failed(retry::decide(
                    claim,
                    step.attempt,
                    policy,
                    &failure,
                    fastrand::f64(),
                )))
            }
        }
    }
}

/// How long from now, by the clock that the instant came from.
fn until(conn: &mut PgConnection, due: DateTime<Utc>, now: Option<DateTime<Utc>>) -> QueryResult<Duration> {
    diesel::define_sql_function!(fn clock_timestamp() -> diesel::sql_types::Timestamptz);
    let now = match now {
        Some(now) => now,
        None => diesel::select(clock_timestamp()).get_result(conn)?,
    };
    Ok((due - now).to_std().unwrap_or(Duration::ZERO))
}

fn by_name(results: Value) -> BTreeMap<String, Value> {
    match results {
        Value::Object(map) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}
