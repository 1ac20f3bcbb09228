//! The sections, and what is true of all of them.

mod auth;
mod backoff;
mod database;
mod engine;
mod execution;
mod health;
mod telemetry;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{AuthConfig, DatabaseConfig, OptionSpec, Problem, build::put};

pub use backoff::BackoffConfig;
#[cfg(feature = "engine")]
pub use engine::IdentityFunctions;
pub use engine::{EngineConfig, IdentityStrategy};
pub use execution::ExecutionConfig;
pub use health::HealthConfig;
pub use telemetry::{LogFormat, LogLevel, TelemetryConfig};

/// Makes the struct of a section, its defaults, and a line of the reference for each of its options.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $section:literal $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident: $type:ty = $default:expr, $kind:expr, $reader:literal;
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[doc = $doc])*
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            pub(crate) const OPTIONS: &'static [crate::OptionSpec] = &[$(crate::OptionSpec {
                key: concat!($section, ".", stringify!($field)),
                kind: $kind,
                doc: concat!($($doc),*),
                reader: $reader,
            },)*];
        }
    };
}
pub(crate) use section;

/// All sections.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sections {
    pub(crate) auth: AuthConfig,
    pub(crate) backoff: BackoffConfig,
    pub(crate) database: DatabaseConfig,
    pub(crate) engine: EngineConfig,
    pub(crate) execution: ExecutionConfig,
    pub(crate) health: HealthConfig,
    pub(crate) telemetry: TelemetryConfig,
}

/// Every option, by section.
pub(crate) fn options() -> impl Iterator<Item = &'static OptionSpec> {
    let sections = [
        auth::OPTIONS,
        BackoffConfig::OPTIONS,
        database::OPTIONS,
        EngineConfig::OPTIONS,
        ExecutionConfig::OPTIONS,
        HealthConfig::OPTIONS,
        TelemetryConfig::OPTIONS,
    ];
    sections.into_iter().flatten()
}

impl Sections {
    /// Whether the type of the section takes the value; otherwise what it says of it.
    pub(crate) fn accept(path: &[String], value: &Value) -> Result<(), String> {
        let mut document = Map::new();
        put(&mut document, path, value);
        match serde_json::from_value::<Self>(document.into()) {
            Ok(_) => Ok(()),
            Err(e) => Err(format!("cannot be used: {e}")),
        }
    }

    /// What is wrong with a section although each of its values may stand there.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let within = |section: &'static str, problems: Vec<Problem>| {
            problems.into_iter().map(move |problem| problem.within(section))
        };
        let database = self.database.problems().into_iter().map(|p| Problem::new(p.key, p.reason)).collect();
        within("auth", self.auth.problems())
            .chain(within("backoff", self.backoff.problems()))
            .chain(within("database", database))
            .chain(within("engine", self.engine.problems()))
            .collect()
    }
}

/// What an option is if nobody says anything; null for nothing. What stands below a name that the configuration
/// chooses is looked up below `x`.
pub(crate) fn default(key: &str) -> Value {
    static DEFAULTS: LazyLock<Value> = LazyLock::new(|| {
        let named = json!({ "database": { "databases": { "x": { "reading": { "x": {} } } } } });
        let sections = serde_json::from_value::<Sections>(named).unwrap_or_default();
        serde_json::to_value(sections).unwrap_or_default()
    });
    let value = key.replace('*', "x").split('.').try_fold(&*DEFAULTS, |at, part| at.get(part)).cloned();
    value.unwrap_or_default()
}
