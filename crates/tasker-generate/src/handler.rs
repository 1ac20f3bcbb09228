//! `handler`: a workflow as a template, and in Rust what its steps run. The steps are a chain, to be changed in
//! the template.

use std::collections::BTreeMap;

use tasker_engine::definition::Template;

use crate::{GenerateError, Name, PlaceArgs, Plan, fill::fill};

/// What `handler` takes.
#[derive(Debug, Clone, clap::Args)]
#[non_exhaustive]
pub struct HandlerArgs {
    /// The name of the workflow
    pub name: String,
    /// Its steps, the first first
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true)]
    pub steps: Vec<String>,
    /// Its namespace
    #[arg(long, default_value = "default")]
    pub namespace: String,
    /// Its version
    #[arg(long = "version", default_value = "0.1.0")]
    pub workflow_version: String,
    /// What it is for
    #[arg(long)]
    pub description: Option<String>,
    /// Where the files go.
    #[command(flatten)]
    pub place: PlaceArgs,
}

impl HandlerArgs {
    /// The files.
    ///
    /// # Errors
    /// If a name cannot be one, two steps have the same, or the engine would refuse the workflow.
    pub fn plan(&self) -> Result<Plan, GenerateError> {
        let name = Name::module("a workflow", &self.name)?;
        let steps = self.steps()?;
        let yaml = self.template(&name, &steps);
        check(&yaml, &name)?;
        let directory = self.place.directory("src/workflows");
        let path = |extension: &str| directory.join(format!("{name}.{extension}"));
        let (rust, template) = (path("rs"), path("yaml"));
        let shown = template.display().to_string();
        Ok(Plan::default()
            .next(format!("Declare `pub mod {name};` in {}.", directory.join("mod.rs").display()))
            .next(fill(include_str!("../templates/handler.manifest.txt"), &[("VERSION", VERSION)]))
            .next(fill(include_str!("../templates/handler.use.txt"), &[("name", name.snake())]))
            .next(format!("Write what the steps do, then: tasker check {shown} && cargo test {name}"))
            .file(rust, self.rust(&name, &steps))
            .file(template, yaml))
    }

    fn steps(&self) -> Result<Vec<Name>, GenerateError> {
        let mut steps = vec![];
        for text in &self.steps {
            steps.push(Name::identifier("a step", text)?);
        }
        if steps.is_empty() {
            return Err(GenerateError::NoSteps);
        }
        let same = |first: &Name, second: &Name, what| GenerateError::SameStep {
            first: first.to_string(),
            second: second.to_string(),
            what,
        };
        let mut types = BTreeMap::new();
        for step in &steps {
            if let Some(first) = types.insert(step.pascal(), step) {
                let what = if first == step { "name" } else { "type" };
                return Err(same(first, step, what));
            }
        }
        Ok(steps)
    }

    /// What the handlers are registered under, as typed workflows do it.
    fn prefix(&self, name: &Name) -> String {
        format!("{}/{name}@{}", self.namespace, self.workflow_version)
    }

    fn full_name(&self, name: &Name) -> String {
        format!("{}.{name}@{}", self.namespace, self.workflow_version)
    }

    fn template(&self, name: &Name, steps: &[Name]) -> String {
        let usual = format!("The workflow {}", name.snake().replace('_', " "));
        let description = self.description.as_deref().unwrap_or(&usual);
        let chain: String = (0..steps.len()).map(|at| self.step_template(name, steps, at)).collect();
        let overrides: String = steps
            .iter()
            .map(|step| format!("      - {{ name: {}, default_retry_limit: 1 }}\n", scalar(step)))
            .collect();
        fill(
            include_str!("../templates/handler.yaml"),
            &[
                ("FULL", &one_line(&self.full_name(name))),
                ("name", name.snake()),
                ("NAME", &scalar(name)),
                ("NAMESPACE", &quoted(&self.namespace)),
                ("VERSION", &quoted(&self.workflow_version)),
                ("DESCRIPTION", &quoted(description)),
                ("STEPS", &chain),
                ("OVERRIDES", &overrides),
            ],
        )
    }

    fn step_template(&self, name: &Name, steps: &[Name], at: usize) -> String {
        let step = &steps[at];
        let handler = quoted(&format!("{}/{step}", self.prefix(name)));
        let mut text = format!("\n  - name: {}\n    handler_class: {handler}\n", scalar(step));
        if let Some(before) = at.checked_sub(1).and_then(|i| steps.get(i)) {
            text += &format!("    depends_on_step: {}\n", scalar(before));
        }
        text
    }

    fn rust(&self, name: &Name, steps: &[Name]) -> String {
        let registered: String = steps
            .iter()
            .map(|step| format!("    registry.register(format!(\"{{PREFIX}}/{step}\"), steps::{step});\n"))
            .collect();
        let code: Vec<String> = (0..steps.len()).map(|at| step_code(steps, at)).collect();
        let parts = match steps.len() {
            1 => ("", ""),
            _ => (", de::DeserializeOwned", include_str!("../templates/handler.result_of.txt")),
        };
        fill(
            include_str!("../templates/handler.rs.txt"),
            &[
                ("FULL", &one_line(&self.full_name(name))),
                ("name", name.snake()),
                ("PREFIX", &format!("{:?}", self.prefix(name))),
                ("REGISTERED", &registered),
                ("STEPS", &code.join("\n")),
                ("LAST", steps[steps.len() - 1].snake()),
                ("DE", parts.0),
                ("RESULT_OF", parts.1),
            ],
        )
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The engine says what a workflow is.
fn check(yaml: &str, name: &Name) -> Result<(), GenerateError> {
    let template = Template::parse(yaml, &format!("{name}.yaml")).map_err(GenerateError::Workflow)?;
    for environment in [None].into_iter().chain(template.environments().into_iter().map(Some)) {
        template.definition(environment).map_err(GenerateError::Workflow)?;
    }
    Ok(())
}

fn step_code(steps: &[Name], at: usize) -> String {
    let template = match at {
        0 => include_str!("../templates/handler.first.txt"),
        _ => include_str!("../templates/handler.next.txt"),
    };
    let before = &steps[at.saturating_sub(1)];
    let (step, output, before_output) =
        (steps[at].snake(), format!("{}Output", steps[at].pascal()), format!("{}Output", before.pascal()));
    let values = [
        ("step", step),
        ("Output", output.as_str()),
        ("before", before.snake()),
        ("BeforeOutput", before_output.as_str()),
    ];
    fill(template, &values)
}

/// A text of YAML: JSON's are.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A name as it stands, unless YAML takes the word for something else.
fn scalar(name: &Name) -> String {
    match name.snake() {
        "null" | "yes" | "no" | "on" | "off" | "y" | "n" => quoted(name.snake()),
        plain => plain.to_owned(),
    }
}

/// For a comment: no line may end it.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
