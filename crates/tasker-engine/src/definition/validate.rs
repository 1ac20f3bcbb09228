//! The rules of a definition. Every one is checked, so that its author mends all at once.

use std::collections::HashMap;

use super::{
    BackoffPolicy, DefinitionError, DefinitionErrors, JsonLimits, MAX_EDGES, MAX_STEPS, NameFault,
    StepDefinition, VersionError, WorkflowParts, check_json, json::json_size, order::Edges, suggest::nearest,
};

/// As the columns of the database take them, in characters.
const MAX_NAME: usize = 64;
const MAX_STEP_NAME: usize = 128;
const MAX_HANDLER: usize = 256;
/// A value of `jsonb` may be larger, but a definition is read by every worker.
const MAX_BYTES: usize = 16 << 20;
/// 365 days: longer is a mistake of units, and no sum of an instant and a wait may overflow.
const MAX_WAIT_MS: u64 = 365 * 24 * 3_600 * 1_000;
const MAX_RETRY_LIMIT: i32 = 1_000;
/// Each suggestion compares with every name.
const MAX_SUGGESTIONS: usize = 10;

/// The order of the steps, or everything that is wrong.
pub(super) fn check(parts: &WorkflowParts) -> Result<Vec<usize>, DefinitionErrors> {
    check_counts(parts)?;
    let mut problems = Vec::new();
    check_workflow(parts, &mut problems);
    parts.steps.iter().for_each(|step| check_step(step, &mut problems));
    let edges = Edges::new(resolve_parents(&parts.steps, &mut problems));
    let order = edges.topological();
    if order.len() < parts.steps.len() {
        problems.extend(edges.cycles().iter().map(|cycle| named_cycle(cycle, &parts.steps)));
    }
    DefinitionErrors::check(problems)?;
    check_size(parts)?;
    Ok(order)
}

/// First and alone: a definition that is far too large would fill pages with its other problems.
fn check_counts(parts: &WorkflowParts) -> Result<(), DefinitionErrors> {
    let count = parts.steps.len();
    if count > MAX_STEPS {
        return DefinitionErrors::check(vec![DefinitionError::TooManySteps { count }]);
    }
    let count = parts.steps.iter().map(|step| step.depends_on.len()).sum();
    if count > MAX_EDGES {
        return DefinitionErrors::check(vec![DefinitionError::TooManyEdges { count }]);
    }
    Ok(())
}

fn check_size(parts: &WorkflowParts) -> Result<(), DefinitionErrors> {
    match json_size(parts) {
        bytes if bytes > MAX_BYTES => {
            DefinitionErrors::check(vec![DefinitionError::TooLarge { bytes, limit: MAX_BYTES }])
        }
        _ => Ok(()),
    }
}

fn check_workflow(parts: &WorkflowParts, problems: &mut Vec<DefinitionError>) {
    check_name("namespace".into(), &parts.namespace, MAX_NAME, problems);
    check_name("workflow name".into(), &parts.name, MAX_NAME, problems);
    if !parts.version.in_range() {
        problems.push(VersionError(parts.version.to_string()).into());
    }
    check_text("description".into(), parts.description.as_deref(), problems);
    if let Some(schema) = &parts.schema {
        check_schema(schema, problems);
    }
}

fn check_schema(schema: &serde_json::Value, problems: &mut Vec<DefinitionError>) {
    match check_json(schema, JsonLimits::default()) {
        Err(error) => problems.push(DefinitionError::Json { place: "schema".into(), error }),
        #[cfg(feature = "declarative")]
        Ok(()) => problems.extend(
            super::ContextSchema::compile(schema)
                .err()
                .map(|error| DefinitionError::Schema { message: error.to_string() }),
        ),
        #[cfg(not(feature = "declarative"))]
        Ok(()) => {}
    }
}

fn check_step(step: &StepDefinition, problems: &mut Vec<DefinitionError>) {
    let name = &step.name;
    check_name("step name".into(), name, MAX_STEP_NAME, problems);
    check_name(format!("handler of step {name:?}"), &step.handler, MAX_HANDLER, problems);
    check_name(format!("dependent_system of step {name:?}"), &step.dependent_system, MAX_NAME, problems);
    check_text(format!("step {name:?}: description"), step.description.as_deref(), problems);
    if let Err(error) = check_json(&step.handler_config, JsonLimits::object()) {
        problems.push(DefinitionError::Json { place: format!("step {name:?}: handler_config"), error });
    }
    let mut bounds = Bounds { step: name, problems };
    bounds.within("retry_limit", step.retry_limit, 0, MAX_RETRY_LIMIT, "");
    bounds.within("priority", step.priority, 1, 5, "");
    if let Some(timeout) = step.timeout_ms {
        bounds.within("timeout", timeout, 1, MAX_WAIT_MS, " ms");
    }
    check_backoff(&step.backoff, &mut bounds);
}

fn check_backoff(policy: &BackoffPolicy, bounds: &mut Bounds<'_>) {
    match policy {
        BackoffPolicy::Table { waits_ms, factor, cap_ms, jitter } => {
            let limit = MAX_RETRY_LIMIT as usize;
            bounds.within("the number of waits in backoff.waits", waits_ms.len(), 1, limit, "");
            let longest = waits_ms.iter().copied().max().unwrap_or(0).min(MAX_WAIT_MS);
            bounds.within("backoff.factor", *factor, 1.0, 1_000.0, "");
            bounds.within("backoff.cap", *cap_ms, longest, MAX_WAIT_MS, " ms");
            bounds.share("backoff.jitter", *jitter);
        }
        BackoffPolicy::Exponential { base_ms, factor, cap_ms, jitter } => {
            bounds.within("backoff.base", *base_ms, 1, MAX_WAIT_MS, " ms");
            bounds.within("backoff.factor", *factor, 1.0, 1_000.0, "");
            bounds.within("backoff.cap", *cap_ms, *base_ms, MAX_WAIT_MS, " ms");
            bounds.share("backoff.jitter", *jitter);
        }
        BackoffPolicy::Fixed { wait_ms, jitter } => {
            bounds.within("backoff.wait", *wait_ms, 0, MAX_WAIT_MS, " ms");
            bounds.share("backoff.jitter", *jitter);
        }
    }
}

/// Reports the numbers of one step that are out of their bounds.
struct Bounds<'a> {
    step: &'a str,
    problems: &'a mut Vec<DefinitionError>,
}

impl Bounds<'_> {
    /// Not a number is outside of every range, since it compares with nothing.
    fn within<N: PartialOrd + std::fmt::Display + Copy>(
        &mut self,
        field: &'static str,
        value: N,
        low: N,
        high: N,
        unit: &str,
    ) {
        if !(low..=high).contains(&value) {
            self.problems.push(DefinitionError::OutOfRange {
                step: self.step.to_owned(),
                field,
                value: format!("{value}{unit}"),
                expected: format!("{low} to {high}{unit}"),
            });
        }
    }

    fn share(&mut self, field: &'static str, value: f64) {
        self.within(field, value, 0.0, 1.0, "");
    }
}

fn check_text(place: String, text: Option<&str>, problems: &mut Vec<DefinitionError>) {
    if text.is_some_and(|text| text.contains('\0')) {
        problems.push(DefinitionError::NulCharacter { place });
    }
}

fn check_name(what: String, name: &str, limit: usize, problems: &mut Vec<DefinitionError>) {
    if let Some(fault) = name_fault(name, limit) {
        let name = name.chars().take(limit).collect();
        problems.push(DefinitionError::Name { what, name, fault });
    }
}

fn name_fault(name: &str, limit: usize) -> Option<NameFault> {
    let chars = name.chars().count();
    if chars == 0 {
        return Some(NameFault::Empty);
    }
    if chars > limit {
        return Some(NameFault::TooLong { chars, limit });
    }
    if let Some(c) = name.chars().find(|c| is_unprintable(*c)) {
        return Some(NameFault::NotPrintable(c));
    }
    (name.trim() != name).then_some(NameFault::OuterSpace)
}

/// Controls, line and paragraph separators, and marks that make one name look like another. The two
/// joiners that some scripts are written with are not among them.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// The indices of each step's parents; what is not a parent is reported and left out.
fn resolve_parents(steps: &[StepDefinition], problems: &mut Vec<DefinitionError>) -> Vec<Vec<usize>> {
    let index = index_by_name(steps, problems);
    let mut suggestions = MAX_SUGGESTIONS;
    let mut seen_by = vec![usize::MAX; steps.len()];
    let mut resolved = vec![Vec::new(); steps.len()];
    for (child, step) in steps.iter().enumerate() {
        for name in &step.depends_on {
            let (step, parent) = (step.name.clone(), name.clone());
            match index.get(name.as_str()) {
                None => {
                    let suggestion = suggest(steps, child, name, &mut suggestions);
                    problems.push(DefinitionError::UnknownParent { step, parent, suggestion });
                }
                Some(_) if step == parent => problems.push(DefinitionError::SelfDependency { step }),
                Some(&i) if seen_by[i] == child => {
                    problems.push(DefinitionError::RepeatedParent { step, parent });
                }
                Some(&i) => {
                    seen_by[i] = child;
                    resolved[child].push(i);
                }
            }
        }
    }
    resolved
}

fn suggest(steps: &[StepDefinition], child: usize, name: &str, left: &mut usize) -> Option<String> {
    *left = left.checked_sub(1)?;
    let others = steps.iter().enumerate().filter(|(i, _)| *i != child).map(|(_, step)| step.name.as_str());
    nearest(name, others).map(str::to_owned)
}

/// The first step of each name; further ones are reported, once a name.
fn index_by_name<'a>(
    steps: &'a [StepDefinition],
    problems: &mut Vec<DefinitionError>,
) -> HashMap<&'a str, usize> {
    let mut index = HashMap::with_capacity(steps.len());
    let mut counts = vec![0_usize; steps.len()];
    for (i, step) in steps.iter().enumerate() {
        counts[*index.entry(step.name.as_str()).or_insert(i)] += 1;
    }
    let repeated = steps.iter().zip(counts).filter(|(_, count)| *count > 1);
    problems.extend(
        repeated.map(|(step, count)| DefinitionError::DuplicateStep { step: step.name.clone(), count }),
    );
    index
}

fn named_cycle(cycle: &[usize], steps: &[StepDefinition]) -> DefinitionError {
    let path = cycle.iter().chain(cycle.first()).map(|i| steps[*i].name.clone()).collect();
    DefinitionError::Cycle { path }
}
