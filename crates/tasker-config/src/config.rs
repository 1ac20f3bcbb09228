//! The configuration as it is used: typed, checked, never changed.

use std::fmt;

use serde_json::Value;

use crate::{
    AuthConfig, BackoffConfig, Builder, DatabaseConfig, EngineConfig, ExecutionConfig, HealthConfig, Shown,
    Source, TelemetryConfig,
    build::{self, Values},
    sections::Sections,
    show,
};

/// A value that somebody said.
#[derive(Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) source: Source,
    pub(crate) is_secret: bool,
}

/// A configuration in which nothing is wrong. It does not change; another is built by a [`Builder`].
#[derive(Clone, Default, PartialEq)]
pub struct Config {
    sections: Sections,
    values: Values,
    environment: Option<String>,
}

impl Config {
    /// Collects sources.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(sections: Sections, values: Values, environment: Option<String>) -> Self {
        Self { sections, values, environment }
    }

    /// The section `auth`.
    pub fn auth(&self) -> &AuthConfig {
        &self.sections.auth
    }

    /// The section `backoff`.
    pub fn backoff(&self) -> &BackoffConfig {
        &self.sections.backoff
    }

    /// The section `database`.
    pub fn database(&self) -> &DatabaseConfig {
        &self.sections.database
    }

    /// The section `engine`.
    pub fn engine(&self) -> &EngineConfig {
        &self.sections.engine
    }

    /// The section `execution`.
    pub fn execution(&self) -> &ExecutionConfig {
        &self.sections.execution
    }

    /// The section `health`.
    pub fn health(&self) -> &HealthConfig {
        &self.sections.health
    }

    /// The section `telemetry`.
    pub fn telemetry(&self) -> &TelemetryConfig {
        &self.sections.telemetry
    }

    /// The environment whose overrides apply.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// Where the value of a key comes from; [`Source::Default`] also for a key that is none.
    pub fn source(&self, key: &str) -> Source {
        build::source(&self.values, key)
    }

    /// Every option with its value and where it comes from, in the order of the keys. Secrets are hidden.
    pub fn show(&self) -> Vec<Shown> {
        show::all(&self.values)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.show().iter().map(|s| (&s.key, &s.value))).finish()
    }
}
