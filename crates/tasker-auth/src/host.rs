//! The host application's own users: what they say of their roles and permissions, and where they are found.

use crate::{Action, AuthFuture, Identity, Method, Permission, PermissionSet, Resource, Unavailable};

/// A user of the host application. Only the subject must be said; the rest has defaults that permit nothing.
pub trait HostUser {
    /// Unique among all users.
    fn subject(&self) -> String;

    /// The roles, none where there are none.
    fn roles(&self) -> Vec<String> {
        vec![]
    }

    /// The permissions as texts. Those that are not Tasker's are left out of the identity.
    fn permissions(&self) -> Vec<String> {
        vec![]
    }

    /// Whether the host application calls the user an administrator: by default, whoever has the role `admin`.
    /// It permits nothing by itself; a policy may.
    fn is_admin(&self) -> bool {
        self.roles().iter().any(|role| role == "admin")
    }

    /// Whether the user has the permission. A host with a way of its own answers here.
    fn has_permission(&self, permission: Permission) -> bool {
        self.permissions().iter().any(|text| text == permission.as_str())
    }

    /// The actions that the user may do to the resource.
    fn actions_on(&self, resource: Resource) -> Vec<Action> {
        let permitted = resource.permissions().iter().copied().filter(|p| self.has_permission(*p));
        permitted.map(Permission::action).collect()
    }

    /// Whether the user may do anything to the resource.
    fn can_access(&self, resource: Resource) -> bool {
        !self.actions_on(resource).is_empty()
    }

    /// All of Tasker's permissions that the user has.
    fn permission_set(&self) -> PermissionSet {
        Permission::ALL.iter().copied().filter(|p| self.has_permission(*p)).collect()
    }

    /// The user as an identity.
    fn identity(&self, method: Method) -> Identity {
        let mut identity = Identity::new(self.subject(), method).with_roles(self.roles());
        identity.permissions = self.permission_set();
        identity.is_admin = self.is_admin();
        identity
    }
}

/// Where the host application's users are found, asked after every authentication.
pub trait Directory: Send + Sync {
    /// The identity as the host knows it: with roles and permissions of the user, without those that have been
    /// taken away. `None` where there is no such user any more, which refuses the request.
    fn find<'a>(&'a self, claimed: Identity) -> AuthFuture<'a, Result<Option<Identity>, Unavailable>>;
}
