//! Templates in a handler's configuration: `{{ jq }}` and `${VARIABLE}` inside of its strings.
//!
//! | text | becomes |
//! |---|---|
//! | `{{ .context.id }}`, alone in its string | the JSON value itself, whatever its type |
//! | `order {{ .context.id }}` | text: strings as they are, other values as JSON |
//! | `${TOKEN}` | the variable's value; an unset one is an error that names it |
//! | `$${` | `${` |
//! | `{{ "{{" }}` | `{{` |
//!
//! An expression reads [`StepContext::document`] and gives exactly one output. It ends at the first
//! `}}` outside of its own strings and brackets. What a variable holds is never read as a template.
//! Keys of objects are not templates.

use serde_json::Value;

use super::{
    program::{
        evaluator::{self, Evaluator, Session},
        json,
    },
    variables::{Used, Variables},
};
use crate::{
    definition::variables::{Part, parts},
    handler::{StepContext, StepError},
};

/// What a template has become.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) value: Value,
    pub(crate) used: Used,
}

/// Everything that rendering needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Templates {
    pub(crate) evaluator: Evaluator,
    pub(crate) variables: Variables,
}

impl Templates {
    /// The value with every template in its strings replaced. Only expressions need a thread.
    pub(crate) async fn render(&self, context: &StepContext, value: Value) -> Result<Rendered, StepError> {
        if !has_expression(&value) {
            return render(&value, None, &self.variables);
        }
        let variables = self.variables.clone();
        self.evaluator.run(context, move |session| render(&value, Some(session), &variables)).await
    }

    /// The same for a blocking thread.
    pub(crate) fn render_blocking(&self, context: &StepContext, value: Value) -> Result<Rendered, StepError> {
        if !has_expression(&value) {
            return render(&value, None, &self.variables);
        }
        let variables = self.variables.clone();
        self.evaluator.run_blocking(context, move |session| render(&value, Some(session), &variables))
    }
}

/// Whether the text holds a template of either kind, or one that is broken.
pub(crate) fn is_template(value: &Value) -> bool {
    any_string(value, &|text| text.contains("{{") || text.contains("${"))
}

/// Whether every template in the value is well formed and compiles; if not, a sentence.
pub(crate) fn check(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => parts(text)?.iter().try_for_each(|part| match part {
            Part::Expression(source) => {
                evaluator::check(source).map_err(|e| format!("{e}, in `{{{{{source}}}}}`"))
            }
            Part::Text(_) | Part::Variable(_) => Ok(()),
        }),
        Value::Array(items) => items.iter().try_for_each(check),
        Value::Object(entries) => entries.values().try_for_each(check),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn has_expression(value: &Value) -> bool {
    any_string(value, &|text| text.contains("{{"))
}

fn any_string(value: &Value, holds: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => holds(text),
        Value::Array(items) => items.iter().any(|v| any_string(v, holds)),
        Value::Object(entries) => entries.values().any(|v| any_string(v, holds)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn render(value: &Value, session: Option<&Session>, variables: &Variables) -> Result<Rendered, StepError> {
    let mut rendering = Rendering { session, variables, used: Used::default() };
    let value = rendering.value(value)?;
    Ok(Rendered { value, used: rendering.used })
}

struct Rendering<'a> {
    /// There whenever the value holds an expression.
    session: Option<&'a Session>,
    variables: &'a Variables,
    used: Used,
}

impl Rendering<'_> {
    fn value(&mut self, value: &Value) -> Result<Value, StepError> {
        Ok(match value {
            Value::String(text) => self.string(text)?,
            Value::Array(items) => {
                Value::Array(items.iter().map(|v| self.value(v)).collect::<Result<_, _>>()?)
            }
            Value::Object(entries) => {
                let entries = entries.iter().map(|(k, v)| Ok((k.clone(), self.value(v)?)));
                Value::Object(entries.collect::<Result<_, StepError>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    fn string(&mut self, text: &str) -> Result<Value, StepError> {
        let parts = parts(text).map_err(StepError::permanent)?;
        if let [Part::Expression(source)] = parts[..] {
            return self.expression(source);
        }
        let mut result = String::new();
        for part in parts {
            match part {
                Part::Text(text) => result.push_str(text),
                Part::Variable(name) => result.push_str(&self.variable(name)?),
                Part::Expression(source) => result.push_str(&json::text(&self.expression(source)?)),
            }
        }
        Ok(Value::String(result))
    }

    fn expression(&self, source: &str) -> Result<Value, StepError> {
        let session = self.session.ok_or_else(|| StepError::permanent("no session for an expression"))?;
        session.on_document(source).map_err(|mut error| {
            error.message = format!("{}, in `{{{{{source}}}}}`", error.message);
            error
        })
    }

    fn variable(&mut self, name: &str) -> Result<String, StepError> {
        let value = self.variables.get(name).ok_or_else(|| {
            let message = format!("the variable {name} of the configuration is not set in this worker");
            StepError::permanent(message).with_code("VARIABLE_UNSET")
        })?;
        self.used.insert(name, &value);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::handlers::testing;

    async fn rendered(value: Value) -> Result<Value, StepError> {
        let variables = Variables::new(|name| match name {
            "NAME" => Some("{{ 1 }} ${NAME}".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        });
        let templates = Templates { evaluator: Evaluator::new(), variables };
        let context = testing::context(json!({"id": 7, "name": "Ada", "tags": ["a", {"b": null}]}));
        templates.render(&context, value).await.map(|r| r.value)
    }

    async fn message(text: &str) -> String {
        rendered(json!(text)).await.expect_err("this template fails").message
    }

    #[tokio::test]
    async fn an_expression_alone_keeps_its_type() {
        let template =
            json!({"id": "{{ .context.id }}", "tags": ["{{.context.tags}}"], "no": "{{null}}", "n": 3});
        let expected = json!({"id": 7, "tags": [["a", {"b": null}]], "no": null, "n": 3});
        assert_eq!(rendered(template).await.expect("it renders"), expected);
    }

    #[tokio::test]
    async fn an_expression_among_text_becomes_text() {
        let template = json!(" {{ .context.id }}/{{ .context.name }}/{{ .context.tags }}");
        assert_eq!(rendered(template).await.expect("it renders"), json!(r#" 7/Ada/["a",{"b":null}]"#));
    }

    #[tokio::test]
    async fn an_expression_ends_outside_of_its_own_brackets_and_strings() {
        let template = json!([
            r#"{{ {a: {b: 1}} }}"#,
            r#"{{ "}}" }}"#,
            r#"{{ "\"}}\(["}}"] | .[0])" }}"#,
            r#"a{{ "{{" }}b"#,
            "{{ 1 # }}\n }}",
        ]);
        let expected = json!([{"a": {"b": 1}}, "}}", "\"}}}}", "a{{b", 1]);
        assert_eq!(rendered(template).await.expect("it renders"), expected);
    }

    #[tokio::test]
    async fn a_variable_is_text_and_never_a_template() {
        assert_eq!(rendered(json!("<${NAME}${EMPTY}>")).await.expect("it renders"), "<{{ 1 }} ${NAME}>");
        assert_eq!(rendered(json!("$${NAME} $1 $ {")).await.expect("it renders"), "${NAME} $1 $ {");
        assert_eq!(rendered(json!(r#"{{ "${NAME}" }}"#)).await.expect("it renders"), "${NAME}");
    }

    #[tokio::test]
    async fn an_unset_variable_is_named() {
        let error = rendered(json!("${MISSING}")).await.expect_err("it is unset");
        assert_eq!(error.code.as_deref(), Some("VARIABLE_UNSET"));
        assert!(error.message.contains("MISSING"), "{}", error.message);
    }

    #[tokio::test]
    async fn broken_templates_say_what_is_missing() {
        assert!(message("{{ .a").await.contains("`}}`"));
        assert!(message("${A").await.contains("`}`"));
        assert!(message("${a b}").await.contains("name of a variable"));
        assert!(message("{{ }}").await.contains("expected term"));
        assert!(message("{{ empty }}").await.contains("no output"));
        assert!(message("{{ 1, 2 }}").await.contains("several outputs"));
        assert!(message("{{ .context.id.x }}").await.contains("in `{{ .context.id.x }}`"));
    }

    #[test]
    fn check_finds_a_mistake_anywhere() {
        assert_eq!(check(&json!({"a": ["{{ .x }} ${Y} $${", 1]})), Ok(()));
        let mistake = check(&json!({"a": ["{{ .x | foo }}"]})).expect_err("foo does not exist");
        assert!(mistake.contains("undefined filter `foo/0` at line 1, column 7"), "{mistake}");
        assert!(check(&json!("{{ .x")).is_err());
    }
}
