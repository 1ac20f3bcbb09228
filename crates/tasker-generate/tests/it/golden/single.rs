//! The workflow default.single@0.1.0: what its steps run.
//!
//! The steps and their order, what is tried again and how often, are said in `single.yaml` beside
//! this file. A step that is added there is registered here.

use serde::{Deserialize, Serialize};
use tasker::{engine::definition::TemplateError, prelude::*};

/// The template beside this file.
const TEMPLATE: &str = include_str!("single.yaml");

/// What the handlers are registered under. The version is part of it, so that a worker never claims
/// steps of a version that it has no code for.
const PREFIX: &str = "default/single@0.1.0";

/// What a task is given; the template's `schema` says the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// What the task is about.
    pub id: u64,
}

/// The workflow, in an environment of the template or in none.
///
/// # Errors
/// Every problem of the template at once.
pub fn definition(environment: Option<&str>) -> Result<WorkflowDefinition, TemplateError> {
    Template::parse(TEMPLATE, "single.yaml")?.definition(environment)
}

/// Registers what each step runs.
pub fn register(registry: &mut HandlerRegistry) {
    registry.register(format!("{PREFIX}/only"), steps::only);
}

/// What each step runs. An attempt may be repeated after a crash: what it does to others must bear
/// that, for instance by sending `ctx.idempotency_key()` along. An error of any kind is tried again;
/// `StepError::permanent` is not.
mod steps {
    use super::*;

    /// What `only` returns.
    #[derive(Debug, Serialize, Deserialize)]
    pub(super) struct OnlyOutput {
        pub(super) id: u64,
    }

    /// The first step: it has the context of the task.
    pub(super) async fn only(ctx: StepContext) -> StepResult {
        let ctx = TypedContext::<Input>::new(ctx)?;
        let output = OnlyOutput { id: ctx.input.id };
        Ok(serde_json::to_value(output)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tasker_testkit::{TestCoordinator, TestDatabase};

    use super::*;

    fn registry() -> HandlerRegistry {
        let mut registry = HandlerRegistry::new();
        register(&mut registry);
        registry
    }

    #[test]
    fn every_step_has_its_handler_in_every_environment() {
        let template = Template::parse(TEMPLATE, "single.yaml").unwrap();
        for environment in template.environments() {
            template.definition(Some(environment)).unwrap();
        }
        let definition = definition(None).unwrap();
        let steps = definition.steps();
        let mut wanted: Vec<_> = steps.iter().map(|s| s.handler.clone()).collect();
        wanted.sort();
        assert_eq!(registry().names(), wanted);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_task_runs_through_every_step() {
        let database = TestDatabase::new();
        let mut coordinator = TestCoordinator::new(&database, registry());
        let definition = definition(None).unwrap();
        let task = coordinator.submit(&definition, json!({ "id": 7 })).await;
        let run = coordinator.run(task).await;
        assert_eq!(run.state, TaskState::Complete);
        for step in definition.steps() {
            assert_eq!(run.attempts_of(&step.name), 1, "{}", step.name);
        }
        assert_eq!(run.results()["only"], json!({ "id": 7 }));
    }

    #[test]
    fn a_task_without_an_id_is_refused() {
        let database = TestDatabase::new();
        let definition = definition(None).unwrap();
        let request = [TaskRequest::new(json!({}))];
        let conn = &mut database.connection();
        assert!(submit(conn, &definition, &request, &Identity::Random, None).is_err());
    }
}
