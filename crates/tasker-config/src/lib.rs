#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod build;
mod builder;
mod config;
mod gone;
mod kind;
mod mistake;
mod node;
mod reference;
mod schema;
mod secret;
mod sections;
mod show;
mod variables;
mod walk;

pub use builder::Builder;
pub use config::Config;
pub use kind::Kind;
pub use mistake::{ConfigReport, Mistake, Source};
pub use reference::{options, reference};
pub use schema::OptionSpec;
#[cfg(feature = "engine")]
pub use sections::IdentityFunctions;
pub use sections::{
    BackoffConfig, EngineConfig, ExecutionConfig, HealthConfig, IdentityStrategy, LogFormat, LogLevel,
    TelemetryConfig,
};
pub use show::Shown;

pub use tasker_auth::{AuthConfig, Problem};
pub use tasker_multidb::DatabaseConfig;

/// The page of the options, whose code is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/configuration.md")]
mod guide {}
