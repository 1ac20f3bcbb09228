//! The declarative handlers: `http`, `jq`, `sql`, `command` and `sleep`.
//!
//! They make a template useful without any Rust. [`register`] adds them to a registry, [`check`] refuses
//! a wrong configuration before a definition is stored. What each does and which keys it has stands at
//! the top of its module; templates in configurations are described in `expression`.
//!
//! All of them ask for the results of every ancestor, since an expression may name any.

mod command;
mod config;
mod expression;
mod http;
mod jq;
mod program;
mod sleep;
mod sql;
#[cfg(test)]
mod testing;
mod variables;

use std::sync::Arc;

use self::{
    command::CommandHandler,
    config::Fields,
    expression::Templates,
    http::{Clients, Http},
    jq::Jq,
    program::evaluator::Evaluator,
    sleep::Sleep,
    sql::Sql,
};
pub use self::{http::HttpOptions, variables::Variables};
use crate::{definition::StepDefinition, handler::HandlerRegistry};

/// The names of the declarative handlers.
pub const BUILT_IN: &[&str] = &["http", "jq", "sql", "command", "sleep"];

/// What the declarative handlers may use.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeclarativeOptions {
    /// Where `${NAME}` in a configuration is looked up. By default no variable is set.
    pub variables: Variables,
    /// Whether this worker runs programs for steps of the handler `command`; false by default. Whoever
    /// may write a definition then runs programs with the worker's rights.
    pub allow_command: bool,
    /// Bounds of the `http` handler.
    pub http: HttpOptions,
}

/// Registers the declarative handlers under the names of [`BUILT_IN`].
///
/// `command` is left out unless the options allow it. A worker claims only steps whose handlers it has, so
/// that such a step waits for a worker that may run it and is not failed by one that may not.
pub fn register(registry: &mut HandlerRegistry, options: DeclarativeOptions) {
    let templates = Templates { evaluator: Evaluator::new(), variables: options.variables };
    let http =
        Http { templates: templates.clone(), clients: Arc::new(Clients::default()), options: options.http };
    registry
        .register("http", http)
        .register("jq", Jq { templates: templates.clone() })
        .register_transactional("sql", Sql { templates: templates.clone() })
        .register("sleep", Sleep { templates: templates.clone() });
    if options.allow_command {
        registry.register("command", CommandHandler { templates });
    }
}

/// Checks a step's `handler_config` as far as that is possible without running it: required and unknown
/// keys, the syntax of templates and jq programs with the position of a mistake, and every value that no
/// template decides. A step of any other handler is fine.
pub fn check(step: &StepDefinition) -> Result<(), String> {
    let fields = |keys| Fields::checked(&step.handler, keys, &step.handler_config);
    match step.handler.as_str() {
        "http" => fields(http::KEYS).and_then(|f| http::Config::parse(&f).map(drop)),
        "jq" => fields(jq::KEYS).and_then(|f| jq::Config::parse(&f).map(drop)),
        "sql" => fields(sql::KEYS).and_then(|f| sql::Config::parse(&f).map(drop)),
        "command" => fields(command::KEYS).and_then(|f| command::Config::parse(&f).map(drop)),
        "sleep" => fields(sleep::KEYS).and_then(|f| sleep::parse(&f).map(drop)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(handler: &str, config: Value) -> Result<(), String> {
        check(&StepDefinition { handler_config: config, ..StepDefinition::new("a", handler) })
    }

    #[test]
    fn only_what_is_allowed_is_registered() {
        let names = |options| {
            let mut registry = HandlerRegistry::new();
            register(&mut registry, options);
            registry.names()
        };
        assert_eq!(names(DeclarativeOptions::default()), ["http", "jq", "sleep", "sql"]);
        let all = names(DeclarativeOptions { allow_command: true, ..Default::default() });
        assert!(all.len() == BUILT_IN.len() && BUILT_IN.iter().all(|name| all.iter().any(|n| n == name)));
    }

    #[test]
    fn every_built_in_handler_is_checked() {
        for name in BUILT_IN {
            let unknown = checked(name, json!({"colour": 1})).expect_err("no handler has this key");
            assert!(unknown.starts_with(&format!("`{name}` has no key `colour`")), "{unknown}");
        }
        assert_eq!(checked("my_own", json!({"colour": 1})), Ok(()));
    }

    #[test]
    fn every_sample_is_a_value_that_its_handler_takes() {
        for (name, keys) in [
            ("http", http::KEYS),
            ("jq", jq::KEYS),
            ("sql", sql::KEYS),
            ("command", command::KEYS),
            ("sleep", sleep::KEYS),
        ] {
            for key in keys {
                let required = keys.iter().filter(|k| k.required || k.name == key.name);
                let sample = |k: &config::Key| serde_json::from_str(k.sample).expect("a sample is JSON");
                let mut config: serde_json::Map<String, Value> =
                    required.map(|k| (k.name.to_owned(), sample(k))).collect();
                assert_eq!(checked(name, Value::Object(config.clone())), Ok(()), "{name} {}", key.name);
                if key.text == config::Text::Template {
                    config.insert(key.name.to_owned(), json!("{{ .context.x }}"));
                    assert_eq!(checked(name, Value::Object(config)), Ok(()), "{name} {}", key.name);
                }
            }
        }
    }
}
