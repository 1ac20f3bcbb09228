//! The workflows of the engine's benchmarks: steps that do nothing, or wait a little and return much.

use tasker_engine::definition::{StepDefinition, WorkflowDefinition, WorkflowParts};

/// The handler that does nothing.
pub(super) const NOTHING: &str = "nothing";

/// The handler that takes a millisecond and returns 16 kB.
pub(super) const WEIGHTY: &str = "weighty";

fn workflow(name: &str, handler: &str, steps: &[(String, Vec<String>)]) -> WorkflowDefinition {
    let mut parts = WorkflowParts::new(name);
    for (step, parents) in steps {
        let mut definition = StepDefinition::new(step, handler);
        definition.depends_on = parents.clone();
        parts.steps.push(definition);
    }
    WorkflowDefinition::new(parts).expect("the shapes of the benchmark are workflows")
}

/// A chain.
pub(super) fn linear(length: usize, handler: &str) -> WorkflowDefinition {
    let steps: Vec<_> = (0..length)
        .map(|n| (format!("s{n}"), (n > 0).then(|| format!("s{}", n - 1)).into_iter().collect()))
        .collect();
    workflow(&format!("linear{length}_{handler}"), handler, &steps)
}

/// One, two beside each other, one.
pub(super) fn diamond() -> WorkflowDefinition {
    let step =
        |name: &str, parents: &[&str]| (name.to_owned(), parents.iter().map(|p| (*p).to_owned()).collect());
    workflow(
        "diamond",
        NOTHING,
        &[step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b", "c"])],
    )
}

/// One, many beside each other, one.
pub(super) fn fan(width: usize) -> WorkflowDefinition {
    let mut steps = vec![("first".to_owned(), vec![])];
    let middle: Vec<String> = (0..width).map(|n| format!("m{n}")).collect();
    steps.extend(middle.iter().map(|m| (m.clone(), vec!["first".to_owned()])));
    steps.push(("last".to_owned(), middle));
    workflow("fan", NOTHING, &steps)
}
