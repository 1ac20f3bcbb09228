//! `jq`: computes a result from the task's context and the results before it.
//!
//! | key | meaning |
//! |---|---|
//! | `filter` | the program, required. It is no template |
//! | `input` | a template whose value the program reads; the whole document if not given |
//! | `many` | false: the program must give exactly one output, which is the result. true: the result is the list of its outputs |
//!
//! `error("…")` fails the step for good with that message; `error({"message": …, "code": …,
//! "retryable": true, "retry_after": 5})` chooses. Integers of 64 bits survive unchanged, all other
//! numbers are binary floats: money belongs in the `sql` handler, or into integers of cents.
//!
//! The program has jq's functions without those that look outside (the environment, the clock, input
//! and output); `now` is the instant at which the step was claimed. It runs under bounds on its steps,
//! its time, its recursion and the size of its values, and fails with the code `JQ_LIMIT` past them.
//! The bounds guard against mistakes and odd data; they are no wall against a hostile author.

use serde_json::Value;

use super::{
    config::{Fields, Key, Text, invalid},
    expression::Templates,
};
use crate::handler::{BoxFuture, Inputs, StepContext, StepHandler, StepResult};

/// The keys of the configuration.
pub(crate) const KEYS: &[Key] = &[
    Key::required("filter", Text::Program, "\".\""),
    Key::optional("input", Text::Template, "null"),
    Key::optional("many", Text::Literal, "false"),
];

/// The handler `jq`.
pub(crate) struct Jq {
    pub(crate) templates: Templates,
}

/// A parsed configuration.
pub(crate) struct Config {
    filter: String,
    input: Option<Value>,
    many: bool,
}

impl Config {
    pub(crate) fn parse(fields: &Fields) -> Result<Self, String> {
        Ok(Self {
            filter: fields.needed_text("filter")?.to_owned(),
            input: fields.value("input").cloned(),
            many: fields.flag("many")?.unwrap_or(false),
        })
    }
}

impl StepHandler for Jq {
    fn call(&self, context: StepContext) -> BoxFuture<StepResult> {
        let templates = self.templates.clone();
        Box::pin(async move { run(&context, &templates).await })
    }

    fn inputs(&self) -> Inputs {
        Inputs::Ancestors
    }
}

async fn run(context: &StepContext, templates: &Templates) -> StepResult {
    let fields = Fields::rendered("jq", KEYS, context, templates).await?;
    let Config { filter, input, many } = Config::parse(&fields).map_err(invalid)?;
    let job = templates.evaluator.run(context, move |session| match (many, input) {
        (true, input) => session.all(&filter, input.as_ref()).map(Value::Array),
        (false, Some(input)) => session.on(&filter, &input),
        (false, None) => session.on_document(&filter),
    });
    job.await.map_err(|error| fields.hide(error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        handler::{Failure, StepError},
        handlers::testing,
    };

    async fn run(config: Value) -> StepResult {
        let data = json!({"items": [{"price": 9.99, "n": 2}], "big": i64::MAX});
        Jq { templates: testing::templates() }.call(testing::configured(data, config)).await
    }

    async fn error(config: Value) -> StepError {
        run(config).await.expect_err("this step fails")
    }

    #[tokio::test]
    async fn the_result_is_the_one_output() {
        let program = "{price: .context.items[0].price, big: .context.big, key: .step.idempotency_key}";
        let expected = json!({"price": 9.99, "big": i64::MAX, "key": "42:call:1"});
        assert_eq!(run(json!({"filter": program})).await, Ok(expected));
    }

    #[tokio::test]
    async fn the_input_is_a_template() {
        let config = json!({"filter": "map(.n) | add", "input": "{{ .context.items }}"});
        assert_eq!(run(config).await, Ok(json!(2)));
        assert_eq!(
            run(json!({"filter": ".", "input": {"a": ["x {{ 1 + 1 }}"]}})).await,
            Ok(json!({"a": ["x 2"]}))
        );
    }

    #[tokio::test]
    async fn many_outputs_are_asked_for() {
        assert_eq!(run(json!({"filter": "1, 2", "many": true})).await, Ok(json!([1, 2])));
        assert_eq!(run(json!({"filter": "empty", "many": true})).await, Ok(json!([])));
        for filter in ["1, 2", "empty"] {
            assert_eq!(error(json!({"filter": filter})).await.failure, Failure::Permanent);
        }
    }

    #[tokio::test]
    async fn an_error_is_permanent_and_verbatim() {
        let error = error(json!({"filter": "error(\"no items\")"})).await;
        assert_eq!(error, StepError::permanent("no items").with_code("JQ_ERROR"));
    }

    #[tokio::test]
    async fn the_value_of_a_variable_is_not_in_the_message() {
        let error = error(json!({"filter": "error(\"bad: \" + .)", "input": "${TOKEN}"})).await;
        assert_eq!(error.message, "bad: ${TOKEN}");
    }

    #[tokio::test]
    async fn a_wrong_configuration_is_permanent() {
        for config in [json!({}), json!({"filter": 1}), json!({"filter": ".", "fliter": "."})] {
            assert_eq!(error(config).await.code.as_deref(), Some("INVALID_CONFIG"));
        }
    }
}
