//! The JSON Schema of a task's context: defaults are written into the context that is stored, and
//! what does not fit is told in sentences. No reference to another document is ever followed.

use jsonschema::{
    PatternOptions, ReferencingError, ValidationError, Validator,
    error::ValidationErrorKind,
    paths::{Location, LocationSegment},
};
use serde_json::{Map, Value};

/// A compiled schema.
#[derive(Debug, Clone)]
pub struct ContextSchema {
    schema: Value,
    validator: Validator,
}

/// Why a schema is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SchemaError {
    message: String,
}

/// No context is told more than this about itself.
const MAX_SENTENCES: usize = 50;
/// A sentence quotes a string of at most so many characters.
const MAX_QUOTED: usize = 100;
/// A schema whose defaults or references lead back to themselves is cut off by these.
const MAX_DEFAULTS: usize = 10_000;
const MAX_VISITS: usize = 1_000_000;
const MAX_DEPTH: usize = 128;
/// A pattern that needs more steps than this refuses its text instead of keeping a thread busy.
const MAX_BACKTRACKS: usize = 100_000;

impl ContextSchema {
    /// Compiles a schema of the draft that its `$schema` names, 2020-12 if it names none.
    ///
    /// # Errors
    /// A sentence: not a JSON Schema, a pattern that is no regular expression, or a `$ref` that leads
    /// out of the document.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let options = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKS));
        match options.build(schema) {
            Ok(validator) => Ok(Self { schema: schema.clone(), validator }),
            Err(error) => Err(SchemaError { message: compile_sentence(&error) }),
        }
    }

    /// Inserts the `default` of every absent property, into nested objects and array items too, and
    /// through `allOf` and references within the document. What is there stays, null included.
    pub fn apply_defaults(&self, context: &mut Value) {
        let mut filler = Filler { root: &self.schema, defaults_left: MAX_DEFAULTS, visits_left: MAX_VISITS };
        filler.fill(&self.schema, context, 0);
    }

    /// Whether the context fits; optional properties may be absent.
    ///
    /// # Errors
    /// A sentence for each fault, such as `context.items[0].qty: -1 is less than the minimum of 1`, at
    /// most fifty and one that says how many more there are.
    pub fn validate(&self, context: &Value) -> Result<(), Vec<String>> {
        let mut errors = self.validator.iter_errors(context);
        let mut sentences: Vec<String> = errors.by_ref().take(MAX_SENTENCES).map(|e| sentence(&e)).collect();
        match errors.count() {
            0 => {}
            more => sentences.push(format!("{more} further faults are left out")),
        }
        if sentences.is_empty() { Ok(()) } else { Err(sentences) }
    }
}

fn compile_sentence(error: &ValidationError<'_>) -> String {
    if let ValidationErrorKind::Referencing(reference) = error.kind() {
        if let ReferencingError::Unretrievable { uri, .. } = reference {
            return format!(
                "it refers to {uri:?}, and other documents are never fetched; copy what it needs into its own \"$defs\""
            );
        }
        return format!("a reference leads nowhere: {reference}");
    }
    format!("{}: {}", spelled("schema", error.instance_path()), reason(error))
}

fn sentence(error: &ValidationError<'_>) -> String {
    format!("{}: {}", spelled("context", error.instance_path()), reason(error))
}

/// Quotes numbers, booleans and short strings; longer values are called by their type.
fn reason(error: &ValidationError<'_>) -> String {
    match &**error.instance() {
        Value::Object(_) => error.masked_with("the object").to_string(),
        Value::Array(_) => error.masked_with("the array").to_string(),
        Value::String(s) if s.chars().nth(MAX_QUOTED).is_some() => {
            error.masked_with("the string").to_string()
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => error.to_string(),
    }
}

/// `context.items[0].qty`; names that are no plain words are quoted, as `context["a b"]`.
fn spelled(root: &str, location: &Location) -> String {
    location.segments().fold(root.to_owned(), |path, segment| match segment {
        LocationSegment::Index(i) => format!("{path}[{i}]"),
        LocationSegment::Property(name) => {
            match name.chars().all(|c| c.is_alphanumeric() || "_-$".contains(c)) {
                true => format!("{path}.{name}"),
                false => format!("{path}[{name:?}]"),
            }
        }
    })
}

struct Filler<'a> {
    root: &'a Value,
    defaults_left: usize,
    visits_left: usize,
}

impl<'a> Filler<'a> {
    fn fill(&mut self, schema: &'a Value, value: &mut Value, depth: usize) {
        let Value::Object(schema) = schema else { return };
        if depth > MAX_DEPTH || self.visits_left == 0 {
            return;
        }
        self.visits_left -= 1;
        if let Some(target) = self.referenced(schema) {
            self.fill(target, value, depth + 1);
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.fill(part, value, depth + 1);
        }
        match value {
            Value::Object(object) => self.fill_properties(schema, object, depth),
            Value::Array(items) => self.fill_items(schema, items, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn fill_properties(
        &mut self,
        schema: &'a Map<String, Value>,
        object: &mut Map<String, Value>,
        depth: usize,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if !object.contains_key(name)
                && let Some(default) = self.default_of(property, depth)
                && self.defaults_left > 0
            {
                self.defaults_left -= 1;
                object.insert(name.clone(), default.clone());
            }
            if let Some(value) = object.get_mut(name) {
                self.fill(property, value, depth + 1);
            }
        }
    }

    /// `items` for all; in 2020-12 only those behind `prefixItems`.
    fn fill_items(&mut self, schema: &'a Map<String, Value>, items: &mut [Value], depth: usize) {
        let prefix = schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let rest = schema.get("items").filter(|s| s.is_object());
        for (i, item) in items.iter_mut().enumerate() {
            if let Some(schema) = prefix.get(i).or(rest) {
                self.fill(schema, item, depth + 1);
            }
        }
    }

    /// Its own, or that of what it refers to.
    fn default_of(&self, schema: &'a Value, depth: usize) -> Option<&'a Value> {
        let schema = schema.as_object().filter(|_| depth <= MAX_DEPTH)?;
        let inherited = || self.default_of(self.referenced(schema)?, depth + 1);
        schema.get("default").or_else(inherited)
    }

    /// The target of a reference that is a JSON Pointer into this document.
    fn referenced(&self, schema: &'a Map<String, Value>) -> Option<&'a Value> {
        self.root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
    }
}
