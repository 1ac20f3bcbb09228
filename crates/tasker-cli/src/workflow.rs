//! A YAML workflow from a file: read, checked as far as that is possible without running it.

use std::path::{Path, PathBuf};

use tasker_config::Config;
use tasker_engine::{
    definition::{Template, WorkflowDefinition, variables},
    handler::HandlerRegistry,
    handlers::{self, DeclarativeOptions, Variables},
};

use crate::{
    exit::{Failure, Outcome},
    input::{read_text, shown},
};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WorkflowArgs {
    /// The workflow, a YAML or JSON file, here or in engine.task_config_directory; - is stdin
    workflow: PathBuf,
    /// The environment whose overrides apply
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
}

impl WorkflowArgs {
    /// The workflow in the file.
    pub(crate) fn load(&self, config: &Config) -> Outcome<Workflow> {
        load(&self.workflow, self.environment.as_deref(), config)
    }

    pub(crate) fn is_stdin(&self) -> bool {
        self.workflow.as_os_str() == "-"
    }
}

/// What a file holds.
#[derive(Debug, Clone)]
pub(crate) struct Workflow {
    pub(crate) definition: WorkflowDefinition,
    /// SQL of the workflow's owner that is to run before the first task is submitted.
    pub(crate) setup: Option<String>,
}

/// The workflow in a file, for an environment. An environment that the file does not have is more likely a
/// slip of the pen than the wish for the base.
pub(crate) fn load(path: &Path, environment: Option<&str>, config: &Config) -> Outcome<Workflow> {
    let path = &found(path, config);
    let template = Template::parse(&read_text(path)?, &shown(path)).map_err(Failure::input)?;
    let template = template.default_backoff(config.backoff().policy());
    let known = template.environments();
    if let Some(wanted) = environment.filter(|name| !known.contains(name)) {
        let has = if known.is_empty() { "none".into() } else { known.join(", ") };
        return Err(Failure::input(format!("{} has no environment `{wanted}`; it has {has}", shown(path))));
    }
    let definition = template.definition(environment).map_err(Failure::input)?;
    Ok(Workflow { definition, setup: template.setup().map(str::to_owned) })
}

/// The file itself, else the file of that name, with or without its ending, among the configured templates.
fn found(path: &Path, config: &Config) -> PathBuf {
    if path.as_os_str() == "-" || path.exists() {
        return path.to_owned();
    }
    let among = Path::new(&config.engine().task_config_directory).join(path);
    let endings =
        ["yaml", "yml", "json"].map(|ending| PathBuf::from(format!("{}.{ending}", among.display())));
    let there = [among].into_iter().chain(endings).find(|candidate| candidate.is_file());
    there.unwrap_or_else(|| path.to_owned())
}

/// The handlers that this program has; `command` only where it is allowed.
pub(crate) fn registry(allow_command: bool) -> HandlerRegistry {
    let mut options = DeclarativeOptions::default();
    options.variables = Variables::new(|name| std::env::var(name).ok());
    options.allow_command = allow_command;
    let mut registry = HandlerRegistry::new();
    handlers::register(&mut registry, options);
    registry
}

/// A registry with the handlers of these names alone.
pub(crate) fn only(registry: &HandlerRegistry, wanted: impl Fn(&str) -> bool) -> HandlerRegistry {
    let mut narrowed = HandlerRegistry::new();
    for name in registry.names().into_iter().filter(|name| wanted(name)) {
        if let Some(handler) = registry.get(&name) {
            narrowed.insert(name, handler.clone());
        }
    }
    narrowed
}

/// Every reason for which a step of this workflow could not run here.
pub(crate) fn check_runnable(definition: &WorkflowDefinition, here: &HandlerRegistry) -> Outcome<()> {
    let mut problems = configuration(definition);
    problems.extend(foreign(definition, here));
    problems.extend(unset(definition));
    refuse(definition, &problems)
}

/// Every reason for which no `tasker worker` could run a step. Variables are those of the worker.
pub(crate) fn check_known(definition: &WorkflowDefinition) -> Outcome<()> {
    let mut problems = configuration(definition);
    problems.extend(foreign(definition, &registry(true)));
    refuse(definition, &problems)
}

fn foreign(definition: &WorkflowDefinition, here: &HandlerRegistry) -> Vec<String> {
    let steps = definition.steps().iter().filter(|s| here.get(&s.handler).is_none());
    let sentences = steps.map(|s| {
        let (step, handler) = (&s.name, &s.handler);
        match handler.as_str() {
            "command" => format!("step `{step}` runs a program; allow that with --allow-command"),
            _ => format!(
                "step `{step}`: the handler_class `{handler}` is not built in; known here are {}",
                here.names().join(", ")
            ),
        }
    });
    sentences.collect()
}

/// Every mistake in the configurations of the built-in handlers.
pub(crate) fn check_configuration(definition: &WorkflowDefinition) -> Outcome<()> {
    refuse(definition, &configuration(definition))
}

fn configuration(definition: &WorkflowDefinition) -> Vec<String> {
    let check = |s| handlers::check(s).err();
    let wrong = definition.steps().iter().filter_map(|s| Some(format!("step `{}`: {}", s.name, check(s)?)));
    wrong.collect()
}

fn unset(definition: &WorkflowDefinition) -> Vec<String> {
    let unset = variables(definition).into_iter().filter(|(name, _)| std::env::var_os(name).is_none());
    unset
        .map(|(name, steps)| {
            let s = if steps.len() == 1 { "" } else { "s" };
            format!(
                "the variable {name} is not set, and step{s} `{}` read{} it",
                steps.join("`, `"),
                if s.is_empty() { "s" } else { "" }
            )
        })
        .collect()
}

fn refuse(definition: &WorkflowDefinition, problems: &[String]) -> Outcome<()> {
    let name = definition.full_name();
    match problems {
        [] => Ok(()),
        [only] => Err(Failure::input(format!("{name} cannot run: {only}"))),
        all => {
            Err(Failure::input(format!("{name} cannot run, {} problems:\n- {}", all.len(), all.join("\n- "))))
        }
    }
}
