//! Workflows written in YAML or JSON, with the keys of the original.
//!
//! ```yaml
//! name: order
//! namespace_name: shop
//! version: 1.0.0
//! step_templates:
//!   - name: fetch_cart
//!     handler_class: http
//!     timeout: 10s
//!     handler_config: { url: "https://${CART_HOST}/carts" }
//!   - name: total
//!     handler_class: jq
//!     depends_on_step: fetch_cart
//!     backoff: { base: 1s, cap: 1m }
//!     handler_config: { filter: ".steps.fetch_cart.body.items | map(.price) | add" }
//! environments:
//!   development:
//!     step_templates:
//!       - { name: fetch_cart, handler_config: { url: "http://localhost:8080/carts" } }
//! ```
//!
//! Of the workflow: `name`, `namespace_name`, `version`, `description`, `schema` (JSON Schema of the
//! context), `default_dependent_system`, `named_steps` (if present, every name must be listed),
//! `failure_policy` (`drain` or `fail_fast`), `step_templates`, `environments`. `task_handler_class` and
//! `module_namespace` are accepted as documentation and recorded nowhere: there is no class of a
//! workflow here. `concurrent` may only be true: steps always run concurrently. `custom_events` and keys
//! that nothing reads are refused.
//!
//! `setup` is SQL for what the workflow's owner has to have beforehand, such as an application table. It is no
//! part of the definition: [`Template::setup`] gives it to whoever submits, who runs it before the first task,
//! so it has to bear repetition.
//!
//! Of a step: `name`, `handler_class` (`http`, `jq`, `sql`, `command`, `sleep` or the name of a registered
//! handler), `description`, `dependent_system`, `default_retryable`, `default_retry_limit`, `skippable`,
//! `depends_on_step`, `depends_on_steps`, `handler_config`, `priority`, `timeout`, `backoff`.

mod backoff;
mod duration;
mod error;
mod node;
mod read;
mod steps;

use std::collections::{HashMap, HashSet};

pub use error::{TemplateError, TemplateProblem};
use node::Node;
use read::Reader;

use super::{
    BackoffPolicy, DefinitionErrors, FailurePolicy, StepDefinition, Version, WorkflowDefinition,
    WorkflowParts, suggest::nearest,
};

/// Every key of the document.
const KEYS: [&str; 15] = [
    "name",
    "setup",
    "task_handler_class",
    "module_namespace",
    "namespace_name",
    "version",
    "description",
    "concurrent",
    "default_dependent_system",
    "named_steps",
    "schema",
    "step_templates",
    "environments",
    "failure_policy",
    "custom_events",
];

/// A template whose keys and values are known to be right. Names and edges are checked by
/// [`Template::definition`].
#[derive(Debug, Clone)]
pub struct Template {
    source_name: String,
    root: Node,
    default_backoff: BackoffPolicy,
}

impl Template {
    /// Reads YAML, or JSON if the text is JSON or the name ends in `.json`. The name stands in sentences
    /// and is not opened. The text is bounded, and so is what its aliases expand to.
    ///
    /// # Errors
    /// Every problem of the base and of each environment at once.
    pub fn parse(text: &str, source_name: &str) -> Result<Self, TemplateError> {
        let root = node::parse(text, source_name.ends_with(".json")).map_err(|error| {
            let problem = TemplateProblem { line: error.line, path: String::new(), message: error.message };
            TemplateError::new(source_name, vec![problem])
        })?;
        let template =
            Self { source_name: source_name.to_owned(), root, default_backoff: BackoffPolicy::default() };
        let mut reader = Reader::default();
        template.read(&mut reader, None);
        for environment in template.environments() {
            template.read(&mut reader, Some(environment));
        }
        template.done(reader).map(|()| template)
    }

    /// The backoff of steps that say none, in place of [`BackoffPolicy::default`].
    #[must_use]
    pub fn default_backoff(mut self, policy: BackoffPolicy) -> Self {
        self.default_backoff = policy;
        self
    }

    /// The environments that it says something about, in its order.
    pub fn environments(&self) -> Vec<&str> {
        let entries = self.root.get("environments").and_then(Node::as_map).unwrap_or_default();
        entries.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The SQL that is to be run once before the first task is submitted, if the template has any.
    pub fn setup(&self) -> Option<&str> {
        self.root.get("setup").and_then(Node::as_str)
    }

    /// The definition in an environment: its step templates are laid over those of the same name, maps
    /// key by key, lists and scalars whole. An environment that the template does not mention, like
    /// none, gives the base.
    ///
    /// # Errors
    /// Every problem of names, edges and bounds at once, with the line of the step concerned.
    pub fn definition(&self, environment: Option<&str>) -> Result<WorkflowDefinition, TemplateError> {
        let mut reader = Reader::default();
        let read = self.read(&mut reader, environment);
        self.done(reader)?;
        let Some((parts, places)) = read else {
            return Err(TemplateError::new(&self.source_name, Vec::new()));
        };
        WorkflowDefinition::new(parts).map_err(|errors| self.located(&errors, &places))
    }

    /// The base is read once for each environment, so its problems may stand there several times.
    fn done(&self, mut reader: Reader) -> Result<(), TemplateError> {
        let mut seen = HashSet::new();
        reader.problems.retain(|problem| seen.insert(problem.clone()));
        if reader.problems.is_empty() {
            return Ok(());
        }
        Err(TemplateError::new(&self.source_name, reader.problems))
    }

    fn located(&self, errors: &DefinitionErrors, places: &HashMap<String, Node>) -> TemplateError {
        let problems = errors.problems().iter().map(|problem| {
            let place = problem.step().and_then(|step| places.get(step));
            TemplateProblem {
                line: place.and_then(|node| node.line),
                path: place.map(|node| node.path.clone()).unwrap_or_default(),
                message: problem.to_string(),
            }
        });
        TemplateError::new(&self.source_name, problems.collect())
    }

    /// The parts, and the place of each step by its name.
    fn read(
        &self,
        reader: &mut Reader,
        environment: Option<&str>,
    ) -> Option<(WorkflowParts, HashMap<String, Node>)> {
        let root = reader.map(&self.root, &KEYS)?;
        refuse_what_would_be_lost(reader, root);
        let name = match root.get("name") {
            Some(name) => reader.string(name, "order"),
            None => missing(reader, root, "name"),
        };
        let mut parts = WorkflowParts::new(name.unwrap_or_default());
        read_head(reader, root, &mut parts);
        let templates = merged_templates(reader, root, environment);
        let steps = read_steps(reader, root, &templates, &self.default_backoff);
        let places = steps.iter().map(|(step, at)| (step.name.clone(), at.clone())).collect();
        parts.steps = steps.into_iter().map(|(step, _)| step).collect();
        Some((parts, places))
    }
}

fn missing<T>(reader: &mut Reader, node: &Node, key: &str) -> Option<T> {
    reader.problem(node, format!("{key} is missing"));
    None
}

fn refuse_what_would_be_lost(reader: &mut Reader, root: &Node) {
    for key in ["task_handler_class", "module_namespace"] {
        root.get(key).and_then(|node| reader.string(node, "OrderHandler"));
    }
    root.get("setup").and_then(|node| reader.string(node, "\"create table if not exists orders ()\""));
    if let Some(node) = root.get("concurrent")
        && reader.bool(node) == Some(false)
    {
        reader.problem(node, "steps always run concurrently; order them with depends_on_steps instead");
    }
    if let Some(node) = root.get("custom_events") {
        reader.problem(node, "custom events are not supported; leave the key out rather than lose them");
    }
}

fn read_head(reader: &mut Reader, root: &Node, parts: &mut WorkflowParts) {
    if let Some(namespace) = root.get("namespace_name").and_then(|n| reader.string(n, "shop")) {
        parts.namespace = namespace;
    }
    if let Some(version) = root.get("version").and_then(|n| read_version(reader, n)) {
        parts.version = version;
    }
    parts.description = root.get("description").and_then(|n| reader.string(n, "\"Sells a cart\""));
    parts.schema = root.get("schema").and_then(|n| reader.map_of_anything(n));
    if let Some(policy) = root.get("failure_policy").and_then(|n| read_policy(reader, n)) {
        parts.failure_policy = policy;
    }
}

fn read_version(reader: &mut Reader, node: &Node) -> Option<Version> {
    let text = reader.string(node, "\"1.0.0\"")?;
    text.parse().map_err(|error: super::VersionError| reader.problem(node, error.to_string())).ok()
}

fn read_policy(reader: &mut Reader, node: &Node) -> Option<FailurePolicy> {
    match node.as_str() {
        Some("drain") => Some(FailurePolicy::Drain),
        Some("fail_fast") => Some(FailurePolicy::FailFast),
        _ => {
            reader.problem(node, format!("expected drain or fail_fast, found {}", node.found()));
            None
        }
    }
}

fn read_steps(
    reader: &mut Reader,
    root: &Node,
    templates: &[Node],
    default_backoff: &BackoffPolicy,
) -> Vec<(StepDefinition, Node)> {
    let named_steps: Option<HashSet<String>> = root.get("named_steps").map(|node| {
        reader.strings(node, "step names", "validate_order").into_iter().map(|(name, _)| name).collect()
    });
    let system = root.get("default_dependent_system").and_then(|n| reader.string(n, "payments"));
    let context = steps::Context {
        default_dependent_system: system.as_deref(),
        default_backoff,
        named_steps: named_steps.as_ref(),
    };
    templates.iter().filter_map(|node| Some((steps::read(reader, node, &context)?, node.clone()))).collect()
}

/// The step templates of the base with those of the environment laid over them.
fn merged_templates(reader: &mut Reader, root: &Node, environment: Option<&str>) -> Vec<Node> {
    let Some(base) = root.get("step_templates") else {
        return missing(reader, root, "step_templates").unwrap_or_default();
    };
    let mut templates = reader.list(base, "step templates").to_vec();
    let overlays = root.get("environments").and_then(|all| overlays(reader, all, environment));
    for overlay in overlays.unwrap_or_default() {
        overlay_step(reader, &mut templates, overlay);
    }
    templates
}

fn overlays<'a>(reader: &mut Reader, all: &'a Node, environment: Option<&str>) -> Option<&'a [Node]> {
    if all.as_map().is_none() {
        reader.problem(all, format!("expected a map of environments, found {}", all.found()));
    }
    let chosen = all.get(environment?).filter(|node| !node.is_null())?;
    let chosen = reader.map(chosen, &["step_templates"])?;
    Some(reader.list(chosen.get("step_templates")?, "step templates"))
}

fn overlay_step(reader: &mut Reader, templates: &mut [Node], overlay: &Node) {
    let Some(name) = overlay.get("name") else {
        reader.problem(overlay, "name is missing; it says which step template is changed");
        return;
    };
    let Some(wanted) = reader.string(name, "validate_order") else { return };
    if let Some(base) = templates.iter_mut().find(|node| name_of(node) == Some(&wanted)) {
        *base = base.overlaid(overlay);
        return;
    }
    let hint = nearest(&wanted, templates.iter().filter_map(name_of))
        .map(|near| format!("; did you mean {near:?}?"))
        .unwrap_or_default();
    reader.problem(name, format!("{wanted:?} is not the name of a step template{hint}"));
}

fn name_of(template: &Node) -> Option<&str> {
    template.get("name").and_then(Node::as_str)
}
