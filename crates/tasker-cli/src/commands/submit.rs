//! `tasker submit`: creates tasks and leaves them to workers. `tasker run` begins with the same.

use std::path::PathBuf;

use clap::ValueEnum;
use comfy_table::Cell;
use diesel::{Connection, PgConnection, connection::SimpleConnection};
use serde_json::{Value, json};
use tasker_config::{Config, IdentityFunctions};
use tasker_engine::{
    identity::Identity,
    submit::{Submitted, TaskRequest, submit},
};
use tasker_model::{TaskId, TaskState};
use tasker_multidb::DatabaseName;

use crate::{
    database::{Database, DatabaseArgs},
    exit::{Exit, Failure, Outcome},
    input,
    operation::ActorArgs,
    output::{Output, state},
    queries,
    workflow::{self, Workflow, WorkflowArgs},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) tasks: TaskArgs,
    /// Accept handlers that are not built in, for workers of your own
    #[arg(long)]
    other_handlers: bool,
}

/// Two programs at once would both find that a table does not exist yet; and a notice that it does is none.
const ALONE: &str = "set local client_min_messages = warning;
    select pg_advisory_xact_lock(hashtextextended('tasker.setup', 0))";

/// What is submitted; `run` takes the same.
#[derive(Debug, clap::Args)]
pub(crate) struct TaskArgs {
    #[command(flatten)]
    pub(crate) workflow: WorkflowArgs,
    /// A JSON object, an array or NDJSON, one task each; - is stdin. One task with {} if not given
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where the object or array stands inside the input, as a JSON pointer
    #[arg(long, value_name = "POINTER", requires = "input")]
    at: Option<String>,
    /// When two submissions are one task: never, or where workflow, context and the rest are equal
    /// [default: engine.identity_strategy, or random]
    #[arg(long, value_enum)]
    identity: Option<IdentityArg>,
    /// A skippable step to leave out; may be repeated
    #[arg(long, value_name = "STEP")]
    bypass: Vec<String>,
    /// A word by which people find the tasks; may be repeated
    #[arg(long, value_name = "WORD")]
    tag: Vec<String>,
    /// Why the tasks are wanted
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    actor: ActorArgs,
    /// Bring the schema of a named database up to date first; a private one is always
    #[arg(long)]
    pub(crate) migrate: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum IdentityArg {
    Random,
    Hash,
}

impl TaskArgs {
    /// One request for each context of the input.
    pub(crate) fn requests(&self) -> Outcome<Vec<TaskRequest>> {
        let contexts = match &self.input {
            None => vec![json!({})],
            Some(path) if path.as_os_str() == "-" && self.workflow.is_stdin() => {
                return Err(Failure::new(Exit::Usage, "workflow and input cannot both come from stdin"));
            }
            Some(path) => input::contexts(path, self.at.as_deref())?,
        };
        Ok(contexts.into_iter().map(|context| self.request(context)).collect())
    }

    fn request(&self, context: Value) -> TaskRequest {
        let mut request = TaskRequest::new(context);
        request.initiator = self.actor.name();
        request.source_system = "tasker-cli".into();
        request.bypass_steps.clone_from(&self.bypass);
        request.tags.clone_from(&self.tag);
        if let Some(reason) = &self.reason {
            request.reason.clone_from(reason);
        }
        request
    }

    /// What makes two submissions one task: the flag, else the configuration.
    pub(crate) fn identity(&self, config: &Config) -> Outcome<Identity> {
        match self.identity {
            Some(IdentityArg::Random) => Ok(Identity::Random),
            Some(IdentityArg::Hash) => Ok(Identity::Hash),
            // This program has no functions of its own.
            None => config.engine().identity(&IdentityFunctions::default()).map_err(Failure::input),
        }
    }

    /// Creates all tasks or none, after the setup of the workflow, in one transaction.
    pub(crate) fn submit(
        &self,
        conn: &mut PgConnection,
        workflow: &Workflow,
        requests: &[TaskRequest],
        identity: &Identity,
    ) -> Outcome<Vec<Submitted>> {
        conn.transaction(|conn| {
            if let Some(sql) = &workflow.setup {
                conn.batch_execute(ALONE).and_then(|()| conn.batch_execute(sql)).map_err(Failure::setup)?;
            }
            Ok(submit(conn, &workflow.definition, requests, identity, None)?)
        })
    }
}

pub(crate) fn run(args: &Args, config: &Config, database: &DatabaseArgs, out: &Output) -> Outcome {
    let workflow = args.tasks.workflow.load(config)?;
    if args.other_handlers {
        workflow::check_configuration(&workflow.definition)?;
    } else {
        workflow::check_known(&workflow.definition)?;
    }
    let requests = args.tasks.requests()?;
    let identity = args.tasks.identity(config)?;
    let args_of = &database.of_namespace(workflow.definition.namespace());
    let database = Database::ready(args_of, args.tasks.migrate)?;
    let conn = &mut database.connect()?;
    let submitted = args.tasks.submit(conn, &workflow, &requests, &identity)?;
    let ids: Vec<TaskId> = submitted.iter().map(|s| s.task_id).collect();
    let states = queries::states(conn, &ids)?;
    print(&submitted, &states, args_of.name.as_ref(), out);
    Ok(Exit::Ok)
}

/// A configured database is named beside each task: ids of different databases may have the same number.
fn print(
    submitted: &[Submitted],
    states: &[(TaskId, TaskState)],
    database: Option<&DatabaseName>,
    out: &Output,
) {
    let state_of = |id| states.binary_search_by_key(&id, |(task, _)| *task).ok().map(|at| states[at].1);
    let rows = submitted.iter().map(|s| (s.task_id, s.created, state_of(s.task_id)));
    let document: Vec<Value> = rows
        .clone()
        .map(|(id, created, state)| {
            let mut row = json!({ "task_id": id, "created": created, "state": state });
            if let Some(name) = database {
                row["database"] = json!(name);
            }
            row
        })
        .collect();
    out.either(&document, || {
        let cells = rows.map(|(id, created, is)| {
            let word = if created { "created" } else { "existed" };
            let state = is.map_or_else(|| Cell::new(""), state);
            [Cell::new(id), Cell::new(word), state].into_iter().chain(database.map(Cell::new)).collect()
        });
        let header: Vec<&str> =
            ["task", "submitted", "state"].into_iter().chain(database.map(|_| "database")).collect();
        out.table(&header, cells.collect());
    });
}
