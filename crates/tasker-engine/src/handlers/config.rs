//! Reading a handler's configuration: which keys there are, and each as its type or a sentence.
//!
//! A handler lists its keys once, in a table. The same parsing then serves twice: on the rendered
//! configuration of an attempt, and before a definition is stored, with a sample in place of every
//! value that a template decides later.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    expression::{self, Templates},
    program::evaluator,
    variables::Used,
};
use crate::handler::{StepContext, StepError};

/// No step sleeps and no request waits longer.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// What a key's strings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// Templates.
    Template,
    /// One jq program.
    Program,
    /// Nothing but text. What a database or a person reads as code is never put together from data.
    Literal,
}

/// One key of a handler's configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) text: Text,
    /// JSON of a value that is fine; it stands for a template until there is a document.
    pub(crate) sample: &'static str,
}

impl Key {
    pub(crate) const fn required(name: &'static str, text: Text, sample: &'static str) -> Self {
        Self { name, required: true, text, sample }
    }

    pub(crate) const fn optional(name: &'static str, text: Text, sample: &'static str) -> Self {
        Self { name, required: false, text, sample }
    }
}

/// A handler's configuration whose keys are known; its values are not parsed yet.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    handler: String,
    values: Map<String, Value>,
    pub(crate) used: Used,
}

impl Fields {
    /// The object, if it has all required keys and no unknown one.
    fn new(handler: &str, keys: &[Key], config: &Value) -> Result<Self, String> {
        let Value::Object(values) = config else {
            return Err(format!("the configuration of `{handler}` is not an object"));
        };
        if let Some(unknown) = values.keys().find(|name| keys.iter().all(|k| k.name != **name)) {
            let known: Vec<_> = keys.iter().map(|k| k.name).collect();
            return Err(format!("`{handler}` has no key `{unknown}`; its keys are {}", known.join(", ")));
        }
        if let Some(key) = keys.iter().find(|k| k.required && !values.contains_key(k.name)) {
            return Err(format!("`{handler}` needs the key `{}`", key.name));
        }
        Ok(Self { handler: handler.to_owned(), values: values.clone(), used: Used::default() })
    }

    /// What can be known without a document: keys, templates, programs, and, through the caller's
    /// parsing of the result, every value that no template decides.
    pub(crate) fn checked(handler: &str, keys: &[Key], config: &Value) -> Result<Self, String> {
        let mut fields = Self::new(handler, keys, config)?;
        for key in keys {
            let Some(value) = fields.values.get_mut(key.name) else { continue };
            let failed = |e| format!("`{}` of `{handler}`: {e}", key.name);
            match (key.text, &*value) {
                (Text::Program, Value::String(source)) => evaluator::check(source).map_err(failed)?,
                (Text::Template, _) if expression::is_template(value) => {
                    expression::check(value).map_err(failed)?;
                    *value = serde_json::from_str(key.sample).unwrap_or_default();
                }
                (Text::Program | Text::Template | Text::Literal, _) => {}
            }
        }
        Ok(fields)
    }

    /// The configuration of this attempt, its templates rendered.
    pub(crate) async fn rendered(
        handler: &'static str,
        keys: &[Key],
        context: &StepContext,
        templates: &Templates,
    ) -> Result<Self, StepError> {
        let mut fields = Self::new(handler, keys, &context.config).map_err(invalid)?;
        let rendered = templates.render(context, fields.take_templates(keys)).await?;
        fields.put_back(rendered);
        Ok(fields)
    }

    /// The same for a blocking thread.
    pub(crate) fn rendered_blocking(
        handler: &'static str,
        keys: &[Key],
        context: &StepContext,
        templates: &Templates,
    ) -> Result<Self, StepError> {
        let mut fields = Self::new(handler, keys, &context.config).map_err(invalid)?;
        let rendered = templates.render_blocking(context, fields.take_templates(keys))?;
        fields.put_back(rendered);
        Ok(fields)
    }

    fn take_templates(&mut self, keys: &[Key]) -> Value {
        let templates = keys.iter().filter(|k| k.text == Text::Template);
        Value::Object(templates.filter_map(|k| self.values.remove_entry(k.name)).collect())
    }

    fn put_back(&mut self, rendered: expression::Rendered) {
        if let Value::Object(values) = rendered.value {
            self.values.extend(values);
        }
        self.used = rendered.used;
    }

    /// The failure without the values of variables in its message.
    pub(crate) fn hide(&self, mut error: StepError) -> StepError {
        error.message = self.used.hidden(&error.message);
        error
    }

    /// The value, if the key is there.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, String> {
        self.typed(name, "a text", Value::as_str)
    }

    /// The text of a required key.
    pub(crate) fn needed_text(&self, name: &str) -> Result<&str, String> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "a text"))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(crate) fn list(&self, name: &str) -> Result<Option<&[Value]>, String> {
        self.typed(name, "a list", |v| v.as_array().map(Vec::as_slice))
    }

    /// The entries of an object of texts. Numbers and booleans are written as text, null leaves the
    /// entry out.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<(String, String)>, String> {
        let entries = self.typed(name, "an object", Value::as_object)?;
        let entries = entries.into_iter().flatten().filter(|(_, v)| !v.is_null());
        let what = "an object of texts and numbers";
        let entry =
            |(k, v): (&String, &Value)| Ok((k.clone(), scalar(v).ok_or_else(|| self.wrong(name, what))?));
        entries.map(entry).collect()
    }

    /// A number of seconds, or a text such as `1.5s`, `200ms`, `2m` or `1h`; at most a day.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let duration = match value {
            Value::Number(n) => n.as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok()),
            Value::String(text) => parse_duration(text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let what = "a number of seconds or a text such as \"1.5s\", at most 24h";
        duration.filter(|d| *d <= LONGEST).map(Some).ok_or_else(|| self.wrong(name, what))
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        what: &str,
        get: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        self.value(name).map(|v| get(v).ok_or_else(|| self.wrong(name, what))).transpose()
    }

    /// The sentence for a value of the wrong kind. It does not show the value, which may be a secret.
    pub(crate) fn wrong(&self, name: &str, what: &str) -> String {
        format!("`{name}` of `{}` must be {what}", self.handler)
    }
}

/// The failure of a configuration that no attempt can use.
pub(crate) fn invalid(message: String) -> StepError {
    StepError::permanent(message).with_code("INVALID_CONFIG")
}

/// A scalar as text; null and containers have none.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..unit].trim_end().parse().ok()?;
    let seconds = match &text[unit..] {
        "ms" => number / 1_000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEYS: &[Key] = &[
        Key::required("name", Text::Template, "\"x\""),
        Key::optional("wait", Text::Template, "1"),
        Key::optional("program", Text::Program, "\".\""),
        Key::optional("texts", Text::Literal, "{}"),
    ];

    fn checked(config: Value) -> Result<Fields, String> {
        Fields::checked("test", KEYS, &config)
    }

    #[test]
    fn keys_are_checked() {
        assert!(checked(json!({"name": "a"})).is_ok());
        assert_eq!(checked(json!({})).unwrap_err(), "`test` needs the key `name`");
        assert_eq!(checked(json!([])).unwrap_err(), "the configuration of `test` is not an object");
        let unknown = checked(json!({"name": "a", "nome": 1})).unwrap_err();
        assert_eq!(unknown, "`test` has no key `nome`; its keys are name, wait, program, texts");
    }

    #[test]
    fn templates_and_programs_are_compiled_and_replaced_by_samples() {
        let fields = checked(json!({"name": "{{ .a }}", "wait": "{{ .b }}"})).expect("it is fine");
        assert_eq!(fields.duration("wait"), Ok(Some(Duration::from_secs(1))));
        let wrong = checked(json!({"name": "{{ foo }}"})).unwrap_err();
        assert!(wrong.starts_with("`name` of `test`: undefined filter `foo/0`"), "{wrong}");
        assert!(checked(json!({"name": "a", "program": ".["})).is_err());
        assert!(checked(json!({"name": "a", "texts": {"a": "{{ literal"}})).is_ok());
    }

    #[test]
    fn durations() {
        let duration = |v: Value| checked(json!({"name": "a", "wait": v})).and_then(|f| f.duration("wait"));
        for (value, ms) in [
            (json!(1.5), 1_500),
            (json!("200ms"), 200),
            (json!("1.5s"), 1_500),
            (json!("2 m"), 120_000),
            (json!("24h"), 86_400_000),
            (json!(0), 0),
        ] {
            assert_eq!(duration(value), Ok(Some(Duration::from_millis(ms))));
        }
        for value in [json!(-1), json!("1"), json!("s"), json!("1d"), json!("25h"), json!(null), json!("-1s")]
        {
            let message = duration(value.clone()).expect_err("no duration");
            assert!(
                message.starts_with("`wait` of `test` must be a number of seconds"),
                "{value}: {message}"
            );
        }
    }

    #[test]
    fn texts_are_written_from_scalars() {
        let fields = checked(json!({"name": "a", "texts": {"a": "x", "b": 1, "c": true, "d": null}}));
        let texts = fields.expect("it is fine").texts("texts").expect("they are texts");
        let expected = [("a", "x"), ("b", "1"), ("c", "true")];
        assert_eq!(texts, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let fields = checked(json!({"name": "a", "texts": {"a": []}})).expect("the keys are fine");
        assert_eq!(
            fields.texts("texts").unwrap_err(),
            "`texts` of `test` must be an object of texts and numbers"
        );
    }
}
