//! The engine over several databases: tasks go to the database of their namespace, and one process serves all.

use std::time::Duration;

use tasker_engine::{
    db::{Db, DbError, DbOptions, Statements},
    definition::WorkflowDefinition,
    handler::HandlerRegistry,
    identity::Identity,
    submit::{SubmitError, TaskRequest, submit},
    worker::{Worker, WorkerOptions, WorkerReport},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Database, DatabaseError, DatabaseName, Databases, StatementNames, TaskRef, Tasker};

/// The answer to a request, with the database that the task is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmittedTo {
    /// The task.
    pub task: TaskRef,
    /// Whether this submission created it; otherwise it has the request's identity already.
    pub created: bool,
}

/// Why nothing was submitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoutedSubmitError {
    /// There was no connection.
    #[error("{0}")]
    Database(#[from] DatabaseError),
    /// The requests or the database would not have it.
    #[error("{source} (database `{name}`)")]
    Submit {
        /// Where it should have gone.
        name: DatabaseName,
        /// Why.
        source: SubmitError,
    },
}

impl Databases {
    /// Submits tasks of one workflow to the database of its namespace, all or none, in one transaction. Blocks.
    /// Where the connection is lost, they may have been submitted: with an identity that is not random the same
    /// requests may be sent again. Source: `tasker.submit_tasks`.
    pub fn submit(
        &self,
        definition: &WorkflowDefinition,
        requests: &[TaskRequest],
        identity: &Identity,
    ) -> Result<Vec<SubmittedTo>, RoutedSubmitError> {
        let database = self.for_namespace(definition.namespace());
        let name = database.name();
        let submitted = database
            .write_with(|conn| submit(conn, definition, requests, identity, None))?
            .map_err(|source| RoutedSubmitError::Submit { name: name.clone(), source })?;
        let to = |s: tasker_engine::submit::Submitted| SubmittedTo {
            task: TaskRef { database: Some(name.clone()), task_id: s.task_id },
            created: s.created,
        };
        Ok(submitted.into_iter().map(to).collect())
    }
}

impl Database<Tasker> {
    /// A pool of the engine's own on the writing role, as large as `connections` says. Connects once. Blocks.
    pub fn engine(&self) -> Result<Db, DbError> {
        let statements = match self.config().statements {
            StatementNames::Named => Statements::Named,
            StatementNames::Unnamed => Statements::Unnamed,
        };
        let options = DbOptions { connections: self.config().connections, statements };
        Db::connect_with(self.writing_url().expose(), options)
    }
}

/// One worker for each database that holds Tasker's tables, with the same handlers, in one process.
#[derive(Debug, Clone)]
pub struct Workers {
    databases: Databases,
    registry: HandlerRegistry,
    options: WorkerOptions,
}

/// What the worker of one database did, or why it ended early.
pub type Served = (DatabaseName, Result<WorkerReport, DbError>);

/// How long a worker waits before it looks again for a database that cannot be reached.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Workers {
    /// Workers that share the slots of `options.max_in_flight`: each database has an equal part, at least one,
    /// whatever the others have to do. Everything else of the options holds for each.
    pub fn new(databases: Databases, registry: HandlerRegistry, options: WorkerOptions) -> Self {
        Self { databases, registry, options }
    }

    /// Works until `shutdown` is cancelled or, with `until_idle`, until there is nothing left in any database.
    /// One database in trouble does not stop the work on the others: a lost or missing one is waited for, and
    /// where waiting cannot help, that is logged as an error and returned at the end. Returns what was done, by
    /// database.
    pub async fn run(&self, shutdown: CancellationToken) -> Vec<Served> {
        let serving = self.databases.serving();
        let (total, parts) = (self.options.max_in_flight, serving.len());
        let mut working = JoinSet::new();
        for (at, database) in serving.into_iter().enumerate() {
            let mut options = self.options.clone();
            options.max_in_flight = part(total, parts, at);
            working.spawn(serve(database, self.registry.clone(), options, shutdown.clone()));
        }
        let mut served = working.join_all().await;
        served.sort_by(|(one, _), (other, _)| one.cmp(other));
        served
    }
}

/// The slots of one of several databases.
fn part(total: usize, parts: usize, at: usize) -> usize {
    let more = usize::from(at < total % parts);
    (total / parts + more).max(1)
}

async fn serve(
    database: Database<Tasker>,
    registry: HandlerRegistry,
    options: WorkerOptions,
    shutdown: CancellationToken,
) -> Served {
    let name = database.name().clone();
    let result = match reach(&database, &shutdown).await {
        Ok(Some(db)) => Worker::new(db, registry, options).run(shutdown).await,
        Ok(None) => Ok(WorkerReport::default()),
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        tracing::error!(database = %name, %error, "this database is served no longer");
    }
    (name, result)
}

/// The engine's pool as soon as the database can be reached; `None` if the shutdown comes first.
async fn reach(database: &Database<Tasker>, shutdown: &CancellationToken) -> Result<Option<Db>, DbError> {
    let mut told = false;
    loop {
        let asked = database.clone();
        let connected = tokio::task::spawn_blocking(move || asked.engine()).await;
        match connected.map_err(|_| DbError::Panicked)? {
            Ok(db) => return Ok(Some(db)),
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(database = %database.name(), %error, "waiting for a database");
                }
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts_are_equal_and_add_up() {
        for total in 1..40 {
            for parts in 1..=total {
                let all: Vec<usize> = (0..parts).map(|at| part(total, parts, at)).collect();
                assert_eq!(all.iter().sum::<usize>(), total);
                assert!(all.iter().max().unwrap() - all.iter().min().unwrap() <= 1);
            }
        }
        assert_eq!((0..3).map(|at| part(2, 3, at)).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
