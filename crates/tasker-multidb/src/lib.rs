#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod name;
mod problem;
mod url;

pub use config::{DatabaseConfig, Home, NamedDatabase, OnMissing, Replica, StatementNames};
pub use name::{BadName, DatabaseName};
pub use problem::{ConfigError, Problem};
pub use url::{BadUrl, DatabaseUrl, UrlSource};
