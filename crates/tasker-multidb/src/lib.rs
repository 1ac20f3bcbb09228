#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
#[cfg(feature = "pools")]
mod connect;
#[cfg(feature = "pools")]
mod database;
#[cfg(feature = "pools")]
mod databases;
#[cfg(feature = "engine")]
mod engine;
#[cfg(feature = "pools")]
mod error;
#[cfg(feature = "pools")]
mod freshness;
#[cfg(feature = "pools")]
mod lsn;
mod name;
#[cfg(feature = "pools")]
mod pool;
mod problem;
#[cfg(feature = "pools")]
mod replica;
mod url;

pub use config::{DatabaseConfig, Home, NamedDatabase, OnMissing, ReplicaConfig, StatementNames};
#[cfg(feature = "pools")]
pub use database::{Connection, Database, Host, Tasker};
#[cfg(feature = "pools")]
pub use databases::{BadTaskRef, Databases, TaskRef, UnknownDatabase};
#[cfg(feature = "engine")]
pub use engine::{RoutedSubmitError, Served, SubmittedTo, Workers};
#[cfg(feature = "pools")]
pub use error::{DatabaseError, StartError, StartErrors};
#[cfg(feature = "pools")]
pub use lsn::{BadLsn, BadToken, Lsn, ReadToken};
pub use name::{BadName, DatabaseName};
pub use problem::{ConfigError, Problem};
#[cfg(feature = "pools")]
pub use replica::ReplicaStatus;
pub use url::{BadUrl, DatabaseUrl, UrlSource, UrlText};

/// The page, whose code is compiled.
#[cfg(all(doctest, feature = "engine"))]
#[doc = include_str!("../../../docs/multidb.md")]
mod guide {}
