#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "api-token")]
mod api_token;
mod audit;
mod auth;
mod authenticate;
mod authorize;
mod config;
#[cfg(feature = "api-token")]
mod digest;
mod error;
mod host;
mod identity;
mod operation;
mod permission;
#[cfg(feature = "postgres")]
pub mod pg;
mod problem;
mod random;
mod registry;
mod request;
mod roles;
mod scope;
mod secret;
#[cfg(feature = "api-token")]
mod token_header;

pub use http;

#[cfg(feature = "api-token")]
pub use api_token::{ApiTokenAuthenticator, ApiTokenConfig, StoredToken, TokenParts, TokenStore, TokenText};
pub(crate) use audit::Audit;
pub use audit::{AuditEntry, AuditSink, LogAudit, Outcome, Recorded};
pub use auth::{Asked, Auth, AuthBuilder};
pub use authenticate::{AuthFuture, Authenticator, FnAuthenticator, NoAuthenticator};
pub use authorize::{Authorizer, Decision, DenyAll, Reason};
pub use config::{AuditConfig, AuthConfig};
#[cfg(feature = "api-token")]
pub use digest::Digest;
pub use error::{AuthError, ErrorBody, Refusal, Unavailable};
pub use host::{Directory, HostUser};
pub use identity::{Identity, Limit, Method};
pub use operation::{Access, FIELDS, Field, Operations, ROUTES, Reach, Route, Undeclared};
pub use permission::{Action, Permission, PermissionSet, Resource, UnknownName};
pub use problem::{ConfigError, Problem, read_section, show_section};
pub use registry::Registry;
pub use request::{CorrelationId, Request};
pub use roles::{Role, RolePolicy, RolesConfig};
pub use scope::{Filter, Namespaces, Scope, Thing};
pub use secret::{Secret, SecretSource};
