//! The workflow shop.order@1.2.0: what its steps run.
//!
//! The steps and their order, what is tried again and how often, are said in `order.yaml` beside
//! this file. A step that is added there is registered here.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tasker::{engine::definition::TemplateError, prelude::*};

/// The template beside this file.
const TEMPLATE: &str = include_str!("order.yaml");

/// What the handlers are registered under. The version is part of it, so that a worker never claims
/// steps of a version that it has no code for.
const PREFIX: &str = "shop/order@1.2.0";

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
    Template::parse(TEMPLATE, "order.yaml")?.definition(environment)
}

/// Registers what each step runs.
pub fn register(registry: &mut HandlerRegistry) {
    registry.register(format!("{PREFIX}/fetch_cart"), steps::fetch_cart);
    registry.register(format!("{PREFIX}/validate"), steps::validate);
    registry.register(format!("{PREFIX}/ship"), steps::ship);
}

/// What a step before this one returned.
fn result_of<T: DeserializeOwned>(ctx: &StepContext, step: &str) -> Result<T, StepError> {
    let value = ctx.results.get(step).cloned().unwrap_or_default();
    let wrong = |e| StepError::permanent(format!("the result of {step} cannot be read: {e}"));
    serde_json::from_value(value).map_err(wrong)
}

/// What each step runs. An attempt may be repeated after a crash: what it does to others must bear
/// that, for instance by sending `ctx.idempotency_key()` along. An error of any kind is tried again;
/// `StepError::permanent` is not.
mod steps {
    use super::*;

    /// What `fetch_cart` returns.
    #[derive(Debug, Serialize, Deserialize)]
    pub(super) struct FetchCartOutput {
        pub(super) id: u64,
    }

    /// The first step: it has the context of the task.
    pub(super) async fn fetch_cart(ctx: StepContext) -> StepResult {
        let ctx = TypedContext::<Input>::new(ctx)?;
        let output = FetchCartOutput { id: ctx.input.id };
        Ok(serde_json::to_value(output)?)
    }

    /// What `validate` returns.
    #[derive(Debug, Serialize, Deserialize)]
    pub(super) struct ValidateOutput {
        pub(super) id: u64,
    }

    /// Has what `fetch_cart` returned.
    pub(super) async fn validate(ctx: StepContext) -> StepResult {
        let before: FetchCartOutput = super::result_of(&ctx, "fetch_cart")?;
        let output = ValidateOutput { id: before.id };
        Ok(serde_json::to_value(output)?)
    }

    /// What `ship` returns.
    #[derive(Debug, Serialize, Deserialize)]
    pub(super) struct ShipOutput {
        pub(super) id: u64,
    }

    /// Has what `validate` returned.
    pub(super) async fn ship(ctx: StepContext) -> StepResult {
        let before: ValidateOutput = super::result_of(&ctx, "validate")?;
        let output = ShipOutput { id: before.id };
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
        let template = Template::parse(TEMPLATE, "order.yaml").unwrap();
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
        assert_eq!(run.results()["ship"], json!({ "id": 7 }));
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
