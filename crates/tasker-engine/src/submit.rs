//! The initializer: writes a task with its steps and edges, inside the caller's transaction.

use chrono::{DateTime, Datelike, Utc};
use diesel::{Connection, PgConnection, QueryResult, result::Error as QueryError};
use serde_json::{Value, json};
use tasker_model::{DefinitionId, TaskId};

use crate::{
    commands::{self, Created, NewTasks},
    db::{DbError, describe},
    definition::{JsonError, JsonLimits, WorkflowDefinition, check_json},
    identity::Identity,
};

/// What is asked for: one run of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRequest {
    /// The input, an object.
    pub context: Value,
    /// Who asks, at most 128 characters.
    pub initiator: String,
    /// Which system asks, at most 128 characters.
    pub source_system: String,
    /// Why, at most 128 characters.
    pub reason: String,
    /// Words by which people find it, each at most 128 characters.
    pub tags: Vec<String>,
    /// Skippable steps to leave out.
    pub bypass_steps: Vec<String>,
    /// For when it is asked for; the instant of the submission if not said.
    pub requested_at: Option<DateTime<Utc>>,
}

impl TaskRequest {
    /// A request with this context and everything else `unknown` or empty.
    pub fn new(context: Value) -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            context,
            initiator: unknown(),
            source_system: unknown(),
            reason: unknown(),
            tags: vec![],
            bypass_steps: vec![],
            requested_at: None,
        }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The task.
    pub task_id: TaskId,
    /// Whether this submission created it; otherwise it has the request's identity already.
    pub created: bool,
}

impl From<Created> for Submitted {
    fn from((_, task_id, created): Created) -> Self {
        Self { task_id, created }
    }
}

/// Why nothing was submitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// A context does not fit the workflow's schema.
    #[error("request {position}: the context does not fit the schema of {workflow}: {}", .problems.join("; "))]
    Context {
        /// Which request, counted from 0.
        position: usize,
        /// The workflow's full name.
        workflow: String,
        /// One sentence each.
        problems: Vec<String>,
    },
    /// A context cannot be stored.
    #[error("request {position}: the context cannot be stored: {source}")]
    Json {
        /// Which request, counted from 0.
        position: usize,
        /// Why.
        source: JsonError,
    },
    /// The schema of the workflow is no schema.
    #[error("the schema of {workflow} cannot be used: {reason}")]
    Schema {
        /// The workflow's full name.
        workflow: String,
        /// Why.
        reason: String,
    },
    /// A step to bypass does not exist.
    #[error("request {position}: bypass_steps names `{step}`, which {workflow} does not have")]
    UnknownBypass {
        /// Which request, counted from 0.
        position: usize,
        /// The name.
        step: String,
        /// The workflow's full name.
        workflow: String,
    },
    /// A step to bypass may not be left out.
    #[error("request {position}: step `{step}` of {workflow} is not skippable")]
    NotSkippable {
        /// Which request, counted from 0.
        position: usize,
        /// The name.
        step: String,
        /// The workflow's full name.
        workflow: String,
    },
    /// Initiator, source system, reason, identity or a tag is too long.
    #[error("request {position}: {field} is longer than 128 characters or contains a NUL")]
    TooLong {
        /// Which request, counted from 0.
        position: usize,
        /// Which.
        field: &'static str,
    },
    /// An instant that nobody can mean and that the database cannot hold.
    #[error("request {position}: requested_at lies outside of the years 1 to 9999")]
    Instant {
        /// Which request, counted from 0.
        position: usize,
    },
    /// The database refused.
    #[error("{}", describe(.0))]
    Database(#[from] QueryError),
    /// The worker's own connections could not do it. Where the answer was lost, it may have been written.
    #[error(transparent)]
    Db(DbError),
}

impl From<DbError> for SubmitError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Query(error) => Self::Database(error),
            error => Self::Db(error),
        }
    }
}

/// How many tasks one statement creates.
const CHUNK: usize = 1_000;

/// Stores a definition if it is new. Returns its id; equal texts have one.
pub fn register(
    conn: &mut PgConnection,
    definition: &WorkflowDefinition,
) -> Result<DefinitionId, SubmitError> {
    let document = serde_json::to_value(definition).expect("a definition is JSON");
    Ok(commands::register_definition(conn, &document, &definition.content_hash())?)
}

/// Submits tasks of one workflow, all or none: every request is checked before anything is written, and
/// what is written is one transaction (a savepoint where the caller has one open). Returns one answer a
/// request, in order. Where the submission is no part of a transaction and a worker runs in this process,
/// [`Worker::submit`](crate::worker::Worker::submit) begins sooner.
pub fn submit(
    conn: &mut PgConnection,
    definition: &WorkflowDefinition,
    requests: &[TaskRequest],
    identity: &Identity,
    now: Option<DateTime<Utc>>,
) -> Result<Vec<Submitted>, SubmitError> {
    let tasks = check(definition, requests, identity)?;
    Ok(write(conn, &tasks, now)?)
}

/// The requests as they may be written.
pub(crate) fn check(
    definition: &WorkflowDefinition,
    requests: &[TaskRequest],
    identity: &Identity,
) -> Result<NewTasks, SubmitError> {
    let requests = checked(definition, requests)?;
    let documents: Vec<Value> = requests.iter().map(|r| document(definition, r, identity)).collect();
    for (position, d) in documents.iter().enumerate() {
        check_length(position, "the identity", d["identity_hash"].as_str().unwrap_or_default())?;
    }
    Ok(NewTasks {
        definition: serde_json::to_value(definition).expect("a definition is JSON"),
        hash: definition.content_hash(),
        requests: documents.into(),
    })
}

/// Writes what was checked.
pub(crate) fn write(
    conn: &mut PgConnection,
    tasks: &NewTasks,
    now: Option<DateTime<Utc>>,
) -> QueryResult<Vec<Submitted>> {
    let rows = match tasks.requests.as_array() {
        Some(requests) if requests.len() > CHUNK => conn.transaction(|conn| {
            let part = |requests: &[Value]| NewTasks { requests: requests.to_vec().into(), ..tasks.clone() };
            let chunks = requests.chunks(CHUNK).map(|c| commands::register_and_submit(conn, &part(c), now));
            chunks.collect::<QueryResult<Vec<_>>>().map(|rows| rows.concat())
        })?,
        // One statement is a transaction by itself: no BEGIN and COMMIT to pay for.
        _ => commands::register_and_submit(conn, tasks, now)?,
    };
    Ok(rows.into_iter().map(Submitted::from).collect())
}

fn document(definition: &WorkflowDefinition, request: &TaskRequest, identity: &Identity) -> Value {
    json!({
        "context": request.context,
        "identity_hash": identity.of(definition, request),
        "initiator": request.initiator,
        "source_system": request.source_system,
        "reason": request.reason,
        "tags": request.tags,
        "bypass_steps": request.bypass_steps,
        "requested_at": request.requested_at,
    })
}

/// The requests with the schema's defaults filled in, or the first that cannot be accepted.
fn checked(
    definition: &WorkflowDefinition,
    requests: &[TaskRequest],
) -> Result<Vec<TaskRequest>, SubmitError> {
    let schema = Schema::of(definition)?;
    let mut checked = requests.to_vec();
    for (position, request) in checked.iter_mut().enumerate() {
        schema.fill_and_check(position, definition, &mut request.context)?;
        check_json(&request.context, JsonLimits::object())
            .map_err(|source| SubmitError::Json { position, source })?;
        check_length(position, "the initiator", &request.initiator)?;
        check_length(position, "the source system", &request.source_system)?;
        check_length(position, "the reason", &request.reason)?;
        request.tags.iter().try_for_each(|tag| check_length(position, "a tag", tag))?;
        if request.requested_at.is_some_and(|at| !(1..=9999).contains(&at.year())) {
            return Err(SubmitError::Instant { position });
        }
        for step in &request.bypass_steps {
            check_bypass(position, definition, step)?;
        }
    }
    Ok(checked)
}

fn check_length(position: usize, field: &'static str, text: &str) -> Result<(), SubmitError> {
    let fits = text.chars().count() <= 128 && !text.contains('\0');
    if fits { Ok(()) } else { Err(SubmitError::TooLong { position, field }) }
}

fn check_bypass(position: usize, definition: &WorkflowDefinition, name: &str) -> Result<(), SubmitError> {
    let (step, workflow) = (name.to_owned(), definition.full_name());
    match definition.step(name) {
        Some(s) if s.skippable => Ok(()),
        Some(_) => Err(SubmitError::NotSkippable { position, step, workflow }),
        None => Err(SubmitError::UnknownBypass { position, step, workflow }),
    }
}

#[cfg(feature = "declarative")]
struct Schema(Option<crate::definition::ContextSchema>);

#[cfg(feature = "declarative")]
impl Schema {
    fn of(definition: &WorkflowDefinition) -> Result<Self, SubmitError> {
        let compile = |s| crate::definition::ContextSchema::compile(s);
        definition
            .schema()
            .map(compile)
            .transpose()
            .map(Self)
            .map_err(|e| SubmitError::Schema { workflow: definition.full_name(), reason: e.to_string() })
    }

    fn fill_and_check(
        &self,
        position: usize,
        definition: &WorkflowDefinition,
        context: &mut Value,
    ) -> Result<(), SubmitError> {
        let Some(schema) = &self.0 else { return Ok(()) };
        schema.apply_defaults(context);
        schema.validate(context).map_err(|problems| SubmitError::Context {
            position,
            workflow: definition.full_name(),
            problems,
        })
    }
}

/// Without JSON Schema a definition that asks for it is refused rather than trusted.
#[cfg(not(feature = "declarative"))]
struct Schema;

#[cfg(not(feature = "declarative"))]
impl Schema {
    fn of(definition: &WorkflowDefinition) -> Result<Self, SubmitError> {
        match definition.schema() {
            None => Ok(Self),
            Some(_) => Err(SubmitError::Schema {
                workflow: definition.full_name(),
                reason: "this build lacks the feature `declarative`".into(),
            }),
        }
    }

    fn fill_and_check(&self, _: usize, _: &WorkflowDefinition, _: &mut Value) -> Result<(), SubmitError> {
        Ok(())
    }
}
