//! What the handlers' tests share.

use std::{collections::BTreeMap, sync::Arc};

use chrono::DateTime;
use serde_json::Value;
use tasker_model::{StepId, TaskId};
use tokio_util::sync::CancellationToken;

use super::{expression::Templates, program::evaluator::Evaluator, variables::Variables};
use crate::handler::StepContext;

/// The context of step `call` of task 42, second attempt, in the year 1994.
pub(crate) fn context(context: Value) -> StepContext {
    StepContext {
        task_id: TaskId(42),
        step_id: StepId(420),
        step_name: "call".into(),
        workflow: "shop.order@1.0.0".into(),
        attempt: 2,
        generation: 1,
        context: Arc::new(context),
        results: Arc::new(BTreeMap::new()),
        config: Arc::new(Value::Object(serde_json::Map::new())),
        now: DateTime::from_timestamp(784_111_717, 0).expect("a valid instant"),
        cancellation: CancellationToken::new(),
    }
}

/// The same with a handler's configuration.
pub(crate) fn configured(context: Value, config: Value) -> StepContext {
    StepContext { config: Arc::new(config), ..self::context(context) }
}

/// Templates with an evaluator of their own, and `TOKEN` as the only variable.
pub(crate) fn templates() -> Templates {
    let variables = Variables::new(|name| (name == "TOKEN").then(|| "s3cret/x".to_owned()));
    Templates { evaluator: Evaluator::new(), variables }
}
