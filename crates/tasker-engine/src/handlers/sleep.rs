//! `sleep`: waits, and does nothing else. For examples and for pacing.
//!
//! | key | meaning |
//! |---|---|
//! | `seconds` | how long, a number or a template of one |
//! | `duration` | the same as a text such as `"1.5s"`, `"200ms"`, `"2m"`, `"1h"`; exactly one of the two is given |
//!
//! At most 24 hours. The result is `{"slept_ms": n}`. The step is in progress while it sleeps: it holds
//! one of its worker's places and its timeout runs. A worker that dies gives the step back, and the
//! sleep then begins anew.

use std::time::Duration;

use serde_json::json;

use super::{
    config::{Fields, Key, Text, invalid},
    expression::Templates,
    program::evaluator::cancelled,
};
use crate::handler::{BoxFuture, Inputs, StepContext, StepHandler, StepResult};

/// The keys of the configuration.
pub(crate) const KEYS: &[Key] =
    &[Key::optional("seconds", Text::Template, "1"), Key::optional("duration", Text::Template, "\"1s\"")];

/// The handler `sleep`.
pub(crate) struct Sleep {
    pub(crate) templates: Templates,
}

/// How long the configuration says.
pub(crate) fn parse(fields: &Fields) -> Result<Duration, String> {
    match (fields.duration("seconds")?, fields.duration("duration")?) {
        (Some(duration), None) | (None, Some(duration)) => Ok(duration),
        (None, None) => Err("`sleep` needs `seconds` or `duration`".into()),
        (Some(_), Some(_)) => Err("`sleep` takes either `seconds` or `duration`, not both".into()),
    }
}

impl StepHandler for Sleep {
    fn call(&self, context: StepContext) -> BoxFuture<StepResult> {
        let templates = self.templates.clone();
        Box::pin(async move {
            let fields = Fields::rendered("sleep", KEYS, &context, &templates).await?;
            let duration = parse(&fields).map_err(invalid)?;
            tokio::select! {
                () = tokio::time::sleep(duration) => Ok(json!({"slept_ms": duration.as_millis() as u64})),
                () = context.cancellation.cancelled() => Err(cancelled()),
            }
        })
    }

    fn inputs(&self) -> Inputs {
        Inputs::Ancestors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::handlers::testing;

    async fn run(config: Value) -> StepResult {
        let sleep = Sleep { templates: testing::templates() };
        sleep.call(testing::configured(json!({"n": 0.002}), config)).await
    }

    #[tokio::test]
    async fn it_sleeps() {
        assert_eq!(run(json!({"seconds": 0})).await, Ok(json!({"slept_ms": 0})));
        assert_eq!(run(json!({"duration": "1ms"})).await, Ok(json!({"slept_ms": 1})));
        assert_eq!(run(json!({"seconds": "{{ .context.n }}"})).await, Ok(json!({"slept_ms": 2})));
    }

    #[tokio::test]
    async fn cancelling_ends_it() {
        let context = testing::configured(json!({}), json!({"duration": "24h"}));
        let token = context.cancellation.clone();
        let sleeping = tokio::spawn(Sleep { templates: testing::templates() }.call(context));
        token.cancel();
        let result = sleeping.await.expect("it does not panic");
        assert_eq!(result.expect_err("it is cancelled").code.as_deref(), Some("CANCELLED"));
    }

    #[tokio::test]
    async fn exactly_one_way_to_say_how_long() {
        for config in [json!({}), json!({"seconds": 1, "duration": "1s"}), json!({"seconds": -1})] {
            let error = run(config).await.expect_err("it is wrong");
            assert_eq!(error.code.as_deref(), Some("INVALID_CONFIG"));
        }
    }
}
