//! `command`: runs one program of the worker's machine, without a shell.
//!
//! A worker has this handler only if [`DeclarativeOptions::allow_command`] is set, since whoever may write a
//! definition then runs programs with the worker's rights.
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `program` | a path, or a name looked up in `PATH` of its environment; required | |
//! | `args` | list of texts and numbers | none |
//! | `env` | object of texts: all that the program's environment has, besides the two below | none |
//! | `cwd` | its working directory | the worker's |
//! | `stdin` | JSON, written to its standard input | the whole document |
//! | `permanent_codes` | list of exit codes that no other attempt will mend | none |
//!
//! All but `permanent_codes` are templates. The environment has `PATH=/usr/local/bin:/usr/bin:/bin`, which
//! `env` may replace, and `TASKER_IDEMPOTENCY_KEY`; nothing is inherited from the worker.
//!
//! The result is the standard output: as JSON if it is that, else `{"stdout": text}`.
//!
//! | what happens | failure | code |
//! |---|---|---|
//! | an exit code of `permanent_codes` | permanent | `COMMAND_EXIT_<code>` |
//! | any other exit code but 0, among them 75, `EX_TEMPFAIL` | retryable | `COMMAND_EXIT_<code>` |
//! | ended by a signal | retryable | `COMMAND_SIGNAL_<number>` |
//! | no such program, or no right to run it | permanent | `COMMAND_START` |
//! | an output over 1 MiB, or one that is no text | permanent | `COMMAND_OUTPUT` |
//!
//! The message ends with the last lines of the standard error. The program and what it has started are a
//! process group of their own, killed when the attempt is cancelled or times out, when the output is too
//! long, and when the program itself has ended.
//!
//! [`DeclarativeOptions::allow_command`]: super::DeclarativeOptions::allow_command

mod group;
mod output;

use std::{collections::BTreeSet, process::Stdio};

use serde_json::Value;
use tokio::process::Command;

use self::{
    group::Group,
    output::{Finished, Output},
};
use super::{
    config::{Fields, Key, Text, invalid, scalar},
    expression::Templates,
    program::evaluator::cancelled,
};
use crate::handler::{BoxFuture, Inputs, StepContext, StepError, StepHandler, StepResult};

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The keys of the configuration.
pub(crate) const KEYS: &[Key] = &[
    Key::required("program", Text::Template, "\"true\""),
    Key::optional("args", Text::Template, "[]"),
    Key::optional("env", Text::Template, "{}"),
    Key::optional("cwd", Text::Template, "\"/\""),
    Key::optional("stdin", Text::Template, "null"),
    Key::optional("permanent_codes", Text::Literal, "[]"),
];

/// The handler `command`.
pub(crate) struct CommandHandler {
    pub(crate) templates: Templates,
}

/// A parsed configuration.
pub(crate) struct Config {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    cwd: Option<String>,
    stdin: Option<Value>,
    permanent_codes: BTreeSet<i32>,
}

impl Config {
    pub(crate) fn parse(fields: &Fields) -> Result<Self, String> {
        let program = fields.needed_text("program")?;
        if program.is_empty() {
            return Err(fields.wrong("program", "the name of a program"));
        }
        Ok(Self {
            program: program.to_owned(),
            args: args(fields)?,
            env: env(fields)?,
            cwd: fields.text("cwd")?.map(str::to_owned),
            stdin: fields.value("stdin").cloned(),
            permanent_codes: permanent_codes(fields)?,
        })
    }

    fn command(&self, context: &StepContext) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", DEFAULT_PATH)
            .env("TASKER_IDEMPOTENCY_KEY", context.idempotency_key())
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        group::separate(&mut command);
        command
    }
}

fn args(fields: &Fields) -> Result<Vec<String>, String> {
    let wrong = || fields.wrong("args", "a list of texts and numbers");
    let list = fields.list("args")?.unwrap_or_default();
    list.iter().map(|v| scalar(v).ok_or_else(wrong)).collect()
}

fn env(fields: &Fields) -> Result<Vec<(String, String)>, String> {
    let env = fields.texts("env")?;
    let broken = |name: &str| name.is_empty() || name.contains(['=', '\0']);
    match env.iter().find(|(name, _)| broken(name)) {
        Some((name, _)) => Err(format!("`env` of `command`: {name:?} is no name of a variable")),
        None => Ok(env),
    }
}

fn permanent_codes(fields: &Fields) -> Result<BTreeSet<i32>, String> {
    let wrong = || fields.wrong("permanent_codes", "a list of exit codes from 1 to 255");
    let code = |v: &Value| v.as_i64().filter(|n| (1..=255).contains(n)).map(|n| n as i32).ok_or_else(wrong);
    fields.list("permanent_codes")?.unwrap_or_default().iter().map(code).collect()
}

impl StepHandler for CommandHandler {
    fn call(&self, context: StepContext) -> BoxFuture<StepResult> {
        let templates = self.templates.clone();
        Box::pin(async move {
            tokio::select! {
                result = run(&context, &templates) => result,
                () = context.cancellation.cancelled() => Err(cancelled()),
            }
        })
    }

    fn inputs(&self) -> Inputs {
        Inputs::Ancestors
    }
}

async fn run(context: &StepContext, templates: &Templates) -> StepResult {
    let fields = Fields::rendered("command", KEYS, context, templates).await?;
    let config = Config::parse(&fields).map_err(invalid)?;
    execute(context, config).await.map_err(|error| fields.hide(error))
}

/// Dropping this future, as a timeout does, drops the group, which kills it.
async fn execute(context: &StepContext, config: Config) -> StepResult {
    let mut child = config.command(context).spawn().map_err(|e| not_started(&config.program, &e))?;
    let group = Group::of(&child);
    let stdin = config.stdin.clone().unwrap_or_else(|| context.document()).to_string();
    let output = Output::of(&mut child, stdin.into_bytes());
    let Finished { status, stdout, stderr } = output.read(&mut child).await?;
    // Killing blocks for the moment that it takes.
    let _ = tokio::task::spawn_blocking(move || drop(group)).await;
    output::result(&config.program, status, &config.permanent_codes, stdout, &stderr)
}

fn not_started(program: &str, error: &std::io::Error) -> StepError {
    use std::io::ErrorKind::{InvalidInput, NotADirectory, NotFound, PermissionDenied};
    let message = format!("the program {program:?} could not be started: {error}");
    let kind = error.kind();
    if [InvalidInput, NotADirectory, NotFound, PermissionDenied].contains(&kind) {
        return StepError::permanent(message).with_code("COMMAND_START");
    }
    StepError::retryable(message).with_code("COMMAND_START")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(config: Value) -> Result<Config, String> {
        Fields::checked("command", KEYS, &config).and_then(|fields| Config::parse(&fields))
    }

    #[test]
    fn the_configuration() {
        let config = parsed(json!({"program": "sh", "args": ["-c", 1, true], "env": {"A": 1}}));
        let config = config.expect("it is fine");
        assert_eq!(config.args, ["-c", "1", "true"]);
        assert_eq!(config.env, [("A".to_owned(), "1".to_owned())]);
        for wrong in [
            json!({}),
            json!({"program": ""}),
            json!({"program": "sh", "args": "-c"}),
            json!({"program": "sh", "args": [[]]}),
            json!({"program": "sh", "env": {"A=B": 1}}),
            json!({"program": "sh", "permanent_codes": [0]}),
            json!({"program": "sh", "shell": true}),
        ] {
            assert!(parsed(wrong).is_err());
        }
    }
}
