//! The policy that a configuration can write: roles, what each permits, and where.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    AuthFuture, Authorizer, Decision, Filter, Identity, Namespaces, Permission, PermissionSet, Problem,
    Reason, Scope, Thing, Unavailable,
};

/// What a role permits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Role {
    /// Permitted on everything within `namespaces`.
    pub permissions: PermissionSet,
    /// Permitted on what belongs to the identity, within `namespaces`.
    pub own: PermissionSet,
    /// Where; without it, everywhere.
    pub namespaces: Namespaces,
}

/// Roles and what they permit. Nothing is permitted that is not written here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolesConfig {
    /// The roles by name.
    pub roles: BTreeMap<String, Role>,
    /// The roles of everybody whom an authenticator knows.
    pub everybody: BTreeSet<String>,
    /// The roles of whoever asks while authentication is off.
    pub nobody: BTreeSet<String>,
    /// The roles of whom the host application calls an administrator.
    pub admins: BTreeSet<String>,
}

impl RolesConfig {
    /// Every mistake, with its key.
    pub fn problems(&self) -> Vec<Problem> {
        let lists = [("everybody", &self.everybody), ("nobody", &self.nobody), ("admins", &self.admins)];
        let unknown = lists.into_iter().flat_map(|(key, names)| {
            names.iter().filter(|name| !self.roles.contains_key(*name)).map(move |name| {
                Problem::new(key, format!("names the role `{name}`, which `roles` does not define"))
            })
        });
        let empty = self.roles.iter().filter(|(_, r)| r.permissions.union(r.own).is_empty());
        let silent = empty.map(|(name, _)| {
            Problem::new(format!("roles.{name}"), "permits nothing: give it `permissions` or `own`")
        });
        unknown.chain(silent).collect()
    }
}

/// Decides by [`RolesConfig`].
#[derive(Debug, Clone)]
pub struct RolePolicy {
    config: RolesConfig,
}

impl RolePolicy {
    /// The policy, or every mistake in it.
    pub fn new(config: RolesConfig) -> Result<Self, Vec<Problem>> {
        let problems = config.problems();
        if problems.is_empty() { Ok(Self { config }) } else { Err(problems) }
    }

    /// The decision, without waiting for anything. The limit of the identity is for [`Auth`](crate::Auth) to hold.
    pub fn decide(&self, who: &Identity, permission: Permission, scope: &Scope) -> Decision {
        let grants = self.grants(who, permission);
        match scope {
            Scope::System => decide_by(&grants, |filter| *filter == Filter::ALL).unwrap_or(no(&grants)),
            Scope::Thing(thing) => {
                decide_by(&grants, |filter| filter.passes(thing)).unwrap_or(denied(&grants, thing))
            }
            Scope::Listing => listing(grants),
        }
    }

    /// Whatever permits it, each within its own bounds.
    fn grants(&self, who: &Identity, permission: Permission) -> Vec<Grant> {
        let mut grants = vec![];
        if who.permissions.contains(permission) {
            grants.push(Grant { reason: Reason::Granted, filter: Filter::ALL });
        }
        let assumed = if who.is_nobody() { &self.config.nobody } else { &self.config.everybody };
        let named = who.roles.iter().chain(assumed).map(|name| (name, Reason::Role(name.clone())));
        let admin: &BTreeSet<String> = if who.is_admin { &self.config.admins } else { &BTreeSet::new() };
        for (name, reason) in named.chain(admin.iter().map(|name| (name, Reason::Admin))) {
            let Some(role) = self.config.roles.get(name) else { continue };
            if role.permissions.contains(permission) {
                grants.push(Grant { reason, filter: Filter::new(role.namespaces.clone(), None) });
            } else if role.own.contains(permission) && !who.is_nobody() {
                let filter = Filter::new(role.namespaces.clone(), Some(who.subject.clone()));
                grants.push(Grant { reason: Reason::Owner, filter });
            }
        }
        grants
    }
}

#[derive(Debug)]
struct Grant {
    reason: Reason,
    filter: Filter,
}

fn decide_by(grants: &[Grant], suffices: impl Fn(&Filter) -> bool) -> Option<Decision> {
    let grant = grants.iter().find(|g| suffices(&g.filter))?;
    Some(Decision::allow(grant.reason.clone()))
}

fn no(grants: &[Grant]) -> Decision {
    Decision::deny(if grants.is_empty() { Reason::NotGranted } else { Reason::OutsideNamespaces })
}

fn denied(grants: &[Grant], thing: &Thing) -> Decision {
    let elsewhere = grants.iter().any(|g| !g.filter.namespaces.contains(&thing.namespace));
    Decision::deny(if elsewhere { Reason::OutsideNamespaces } else { Reason::NotGranted })
}

/// One filter for all grants, never wider than they are: what is permitted on everything counts, and only
/// without it what is permitted on the identity's own.
fn listing(grants: Vec<Grant>) -> Decision {
    let (own, all): (Vec<_>, Vec<_>) = grants.into_iter().partition(|g| g.filter.owner.is_some());
    let chosen = if all.is_empty() { own } else { all };
    let union = chosen.into_iter().reduce(|a, b| Grant {
        filter: Filter::new(a.filter.namespaces.union(b.filter.namespaces), a.filter.owner),
        ..a
    });
    match union {
        Some(Grant { reason, filter }) => Decision::Allowed { reason, filter },
        None => Decision::deny(Reason::NotGranted),
    }
}

impl Authorizer for RolePolicy {
    fn check<'a>(
        &'a self,
        who: &'a Identity,
        permission: Permission,
        scope: &'a Scope,
    ) -> AuthFuture<'a, Result<Decision, Unavailable>> {
        Box::pin(async move { Ok(self.decide(who, permission, scope)) })
    }
}
