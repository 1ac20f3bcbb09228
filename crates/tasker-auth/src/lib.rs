#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "api-token")]
mod api_token;
mod audit;
mod auth;
mod authenticate;
mod authorize;
#[cfg(feature = "cedar")]
mod cedar;
mod config;
#[cfg(any(feature = "api-token", feature = "session"))]
mod digest;
mod error;
#[cfg(feature = "jwks-url")]
mod fetch;
mod guard;
mod host;
mod identity;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "oidc")]
mod oidc;
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
#[cfg(feature = "session")]
mod session;
#[cfg(any(feature = "api-token", feature = "jwt"))]
mod token_header;
#[cfg(feature = "tower")]
pub mod web;

pub use http;

#[cfg(feature = "api-token")]
pub use api_token::{ApiTokenAuthenticator, ApiTokenConfig, StoredToken, TokenParts, TokenStore, TokenText};
pub(crate) use audit::Audit;
pub use audit::{AuditEntry, AuditSink, LogAudit, Outcome, Recorded};
pub use auth::{Asked, Auth, AuthBuilder};
pub use authenticate::{AuthFuture, Authenticator, FnAuthenticator, NoAuthenticator};
pub use authorize::{Authorizer, Decision, DenyAll, Reason};
#[cfg(feature = "cedar")]
pub use cedar::{CedarAuthorizer, CedarConfig};
pub use config::{AuditConfig, AuthConfig};
#[cfg(any(feature = "api-token", feature = "session"))]
pub use digest::Digest;
pub use error::{AuthError, ErrorBody, Refusal, Unavailable};
#[cfg(feature = "jwks-url")]
pub use fetch::FetchConfig;
pub use guard::Guard;
pub use host::{Directory, HostUser};
pub use identity::{Identity, Limit, Method};
#[cfg(feature = "oidc")]
pub use oidc::{Begun, Finished, Login, LoginStore, OidcConfig, OidcLogin};
pub use operation::{Access, FIELDS, Field, Operations, ROUTES, Reach, Route, Undeclared};
pub use permission::{Action, Permission, PermissionSet, Resource, UnknownName};
pub use problem::{ConfigError, Problem, read_section, show_section};
pub use registry::Registry;
pub use request::{CorrelationId, Request};
pub use roles::{Role, RolePolicy, RolesConfig};
pub use scope::{Filter, Namespaces, Scope, Thing};
pub use secret::{Secret, SecretSource};
#[cfg(feature = "session")]
pub use session::{NewSession, SessionConfig, SessionStore, Sessions, SetCookie, Started};

/// The guide, whose code is compiled.
#[cfg(all(doctest, feature = "axum", feature = "oidc", feature = "postgres"))]
#[doc = include_str!("../../../docs/auth.md")]
mod guide {}
