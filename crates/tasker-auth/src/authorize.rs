//! May they: the trait by which a policy answers, and the answers. Whoever writes a policy implements
//! [`Authorizer`]; whatever it does not allow is denied.

use std::fmt;

use crate::{AuthFuture, Filter, Identity, Limit, Permission, Scope, Unavailable};

/// Decides whether an identity has a permission in a scope.
///
/// It is asked for every operation and shared by all requests, so it keeps nothing of a request.
pub trait Authorizer: Send + Sync {
    /// The decision, or why there is none; nothing is done without one.
    fn check<'a>(
        &'a self,
        who: &'a Identity,
        permission: Permission,
        scope: &'a Scope,
    ) -> AuthFuture<'a, Result<Decision, Unavailable>>;
}

/// The answer of an [`Authorizer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed {
        /// Why.
        reason: Reason,
        /// For [`Scope::Listing`]: what may be seen of it.
        filter: Filter,
    },
    /// It may not.
    Denied {
        /// Why not.
        reason: Reason,
    },
}

impl Decision {
    /// Allowed, of a listing everything.
    pub const fn allow(reason: Reason) -> Self {
        Self::Allowed { reason, filter: Filter::ALL }
    }

    /// Denied.
    pub const fn deny(reason: Reason) -> Self {
        Self::Denied { reason }
    }

    /// Whether it may.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    /// The same decision, of a listing no more than the limit.
    #[must_use]
    pub(crate) fn within(mut self, limit: &Limit) -> Self {
        if let Self::Allowed { filter, .. } = &mut self {
            filter.namespaces = std::mem::take(&mut filter.namespaces).intersection(&limit.namespaces);
        }
        self
    }

    /// Why, or why not.
    pub const fn reason(&self) -> &Reason {
        match self {
            Self::Allowed { reason, .. } | Self::Denied { reason } => reason,
        }
    }
}

/// Why a decision is what it is. For the audit and the log; the asker is told only that it may not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Authorization is off.
    Off,
    /// A role permits it.
    Role(String),
    /// The identity itself is permitted it.
    Granted,
    /// It is permitted to whom it belongs.
    Owner,
    /// An explicit policy permits it to administrators.
    Admin,
    /// Nothing permits it.
    NotGranted,
    /// It is permitted, but not in this namespace.
    OutsideNamespaces,
    /// The token is not for this permission or namespace.
    BeyondToken,
    /// The named policies of a policy engine decided.
    Policies(Vec<String>),
    /// The host application's own reason, a sentence.
    Other(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("authorization is off"),
            Self::Role(role) => write!(f, "role {role}"),
            Self::Granted => f.write_str("granted to the identity"),
            Self::Owner => f.write_str("owner"),
            Self::Admin => f.write_str("administrator"),
            Self::NotGranted => f.write_str("nothing grants it"),
            Self::OutsideNamespaces => f.write_str("granted, but not in this namespace"),
            Self::BeyondToken => f.write_str("beyond the scopes of the token"),
            Self::Policies(ids) if ids.is_empty() => f.write_str("no policy permits it"),
            Self::Policies(ids) => write!(f, "policies {}", ids.join(", ")),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Denies everything: what is in force until a policy is chosen.
#[derive(Debug, Clone, Copy, Default)]
pub struct DenyAll;

impl Authorizer for DenyAll {
    fn check<'a>(
        &'a self,
        _: &'a Identity,
        _: Permission,
        _: &'a Scope,
    ) -> AuthFuture<'a, Result<Decision, Unavailable>> {
        Box::pin(async { Ok(Decision::deny(Reason::NotGranted)) })
    }
}
