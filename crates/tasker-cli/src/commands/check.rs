//! `tasker check`: whether workflows can be read, in every environment that they have. It needs no database.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::Serialize;
use tasker_engine::{definition::Template, handler::HandlerRegistry};

use crate::{
    exit::{Exit, Failure, Outcome},
    input::{read_text, shown},
    output::Output,
    workflow,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workflows, YAML or JSON files; - is stdin
    #[arg(required = true)]
    workflows: Vec<PathBuf>,
}

/// What is known of a workflow that can be read.
#[derive(Serialize)]
struct Checked {
    file: String,
    workflow: String,
    steps: usize,
    environments: Vec<String>,
    /// Handlers that are not built in: they are for the workers of a program of one's own.
    own_handlers: BTreeSet<String>,
}

/// Every file is looked at; the first that is wrong says how the program ends.
pub(crate) fn run(args: &Args, out: &Output) -> Outcome {
    let built_in = workflow::registry(true);
    let (mut good, mut wrong) = (vec![], vec![]);
    for path in &args.workflows {
        match check(path, &built_in) {
            Ok(checked) => good.push(checked),
            Err(failure) => wrong.push(failure),
        }
    }
    out.either(&good, || good.iter().for_each(|checked| out.line(sentence(checked))));
    match wrong.len() {
        0 => Ok(Exit::Ok),
        1 => Err(wrong.remove(0)),
        _ => {
            let all: Vec<String> = wrong.iter().map(|failure| failure.error.to_string()).collect();
            Err(Failure::new(wrong[0].exit, all.join("\nerror: ")))
        }
    }
}

fn check(path: &Path, built_in: &HandlerRegistry) -> Outcome<Checked> {
    let template = Template::parse(&read_text(path)?, &shown(path)).map_err(Failure::input)?;
    let base = template.definition(None).map_err(Failure::input)?;
    workflow::check_configuration(&base)?;
    let environments: Vec<String> = template.environments().into_iter().map(str::to_owned).collect();
    for environment in &environments {
        let definition = template.definition(Some(environment)).map_err(Failure::input)?;
        workflow::check_configuration(&definition)?;
    }
    let handlers = base.steps().iter().map(|step| step.handler.clone());
    Ok(Checked {
        file: shown(path),
        workflow: base.full_name(),
        steps: base.steps().len(),
        environments,
        own_handlers: handlers.filter(|name| built_in.get(name).is_none()).collect(),
    })
}

fn sentence(checked: &Checked) -> String {
    let Checked { file, workflow, steps, environments, own_handlers } = checked;
    let s = if *steps == 1 { "" } else { "s" };
    let mut text = format!("{file}: {workflow}, {steps} step{s}");
    if !environments.is_empty() {
        text += &format!(", in {} besides", environments.join(", "));
    }
    if !own_handlers.is_empty() {
        let names: Vec<&str> = own_handlers.iter().map(String::as_str).collect();
        text += &format!("; for a worker of your own: {}", names.join(", "));
    }
    text
}
