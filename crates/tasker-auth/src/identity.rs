//! Who asks: what every authenticator makes of a request, and all that an authorizer knows of the asker.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Namespaces, Permission, PermissionSet, Scope};

/// How an identity was established.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// Authentication is off.
    None,
    /// A JSON Web Token.
    Jwt,
    /// An API token.
    ApiToken,
    /// A session.
    Session,
    /// An OpenID Connect provider.
    Oidc,
    /// The host application's own authenticator.
    Custom,
}

impl Method {
    /// The word in the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Jwt => "jwt",
            Self::ApiToken => "api_token",
            Self::Session => "session",
            Self::Oidc => "oidc",
            Self::Custom => "custom",
        }
    }
}

/// Who asks. It is made anew for every request and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// Unique among all who are known; what ownership compares. Empty for [`Identity::nobody`].
    pub subject: String,
    /// How it was established.
    pub method: Method,
    /// For people.
    pub name: Option<String>,
    /// The roles it has; what they permit is the authorizer's to say.
    pub roles: BTreeSet<String>,
    /// What it is permitted beside its roles.
    pub permissions: PermissionSet,
    /// Whether the host application calls it an administrator. It permits nothing by itself.
    pub is_admin: bool,
    /// What it may not go beyond, whatever its roles permit: the scopes of a token.
    pub limit: Limit,
}

/// A bound on what an identity may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limit {
    /// Only these permissions; `None` is no bound.
    pub permissions: Option<PermissionSet>,
    /// Only in these namespaces.
    pub namespaces: Namespaces,
}

impl Limit {
    /// Only these permissions, only in these namespaces.
    pub const fn new(permissions: Option<PermissionSet>, namespaces: Namespaces) -> Self {
        Self { permissions, namespaces }
    }

    /// Whether it rules the permission out in the scope, whoever has it. Of a listing, [`Auth`](crate::Auth)
    /// shows only what is within.
    pub fn excludes(&self, permission: Permission, scope: &Scope) -> bool {
        let is_somewhere = match scope {
            Scope::System => self.namespaces == Namespaces::All,
            Scope::Listing => true,
            Scope::Thing(thing) => self.namespaces.contains(&thing.namespace),
        };
        !is_somewhere || self.permissions.is_some_and(|set| !set.contains(permission))
    }
}

impl Identity {
    /// Somebody, with neither roles nor permissions.
    pub fn new(subject: impl Into<String>, method: Method) -> Self {
        Self {
            subject: subject.into(),
            method,
            name: None,
            roles: BTreeSet::new(),
            permissions: PermissionSet::NONE,
            is_admin: false,
            limit: Limit::default(),
        }
    }

    /// Whoever it is, where authentication is off.
    pub fn nobody() -> Self {
        Self::new("", Method::None)
    }

    /// Whether it is [`nobody`](Self::nobody).
    pub fn is_nobody(&self) -> bool {
        self.subject.is_empty()
    }

    /// With these roles besides.
    #[must_use]
    pub fn with_roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// With these permissions besides.
    #[must_use]
    pub fn with_permissions(mut self, permissions: impl IntoIterator<Item = Permission>) -> Self {
        self.permissions = self.permissions.union(permissions.into_iter().collect());
        self
    }

    /// Not beyond this.
    #[must_use]
    pub fn limited(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }
}
