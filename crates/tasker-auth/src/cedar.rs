//! An authorizer on Cedar policies, as an example of a policy engine behind [`Authorizer`].
//!
//! A request is put to Cedar as `principal` (`Tasker::User`, in its `Tasker::Role`s, with `admin`), `action`
//! (`Tasker::Action::"tasker.task:show"`, in its resource's group `Tasker::Action::"tasker.task:*"`), `resource`
//! (`Tasker::Task`, `Tasker::Namespace`, `Tasker::Listing` or `Tasker::System`) and a `context` with `namespace`
//! and `is_owner` where the scope has them. What no policy permits is denied.

use std::{
    collections::{HashMap, HashSet},
    fmt, fs,
    path::PathBuf,
    str::FromStr,
};

use cedar_policy::{
    Context, Decision as Answer, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression as Expr,
};

use serde::{Deserialize, Serialize};

use crate::{AuthFuture, Authorizer, Decision, Identity, Permission, Problem, Reason, Scope, Unavailable};

/// The options of `cedar`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CedarConfig {
    /// The file with the policies.
    pub policies_file: PathBuf,
}

impl CedarConfig {
    /// The policies in the file, or every mistake in them.
    pub fn read(&self) -> Result<CedarAuthorizer, Vec<Problem>> {
        let wrong = |e| Problem::new("policies_file", format!("{}: {e}", self.policies_file.display()));
        let text = fs::read_to_string(&self.policies_file).map_err(|e| vec![wrong(e)])?;
        CedarAuthorizer::new(&text)
    }
}

/// Decides by Cedar policies.
pub struct CedarAuthorizer {
    policies: PolicySet,
    engine: cedar_policy::Authorizer,
}

const WHAT: &str = "the policy";

impl CedarAuthorizer {
    /// The policies in Cedar's language, or every mistake in them.
    pub fn new(policies: &str) -> Result<Self, Vec<Problem>> {
        let policies = PolicySet::from_str(policies).map_err(|errors| {
            errors.iter().map(|e| Problem::new("policies", e.to_string())).collect::<Vec<_>>()
        })?;
        Ok(Self { policies, engine: cedar_policy::Authorizer::new() })
    }

    /// The decision, or why Cedar gave none.
    pub fn decide(
        &self,
        who: &Identity,
        permission: Permission,
        scope: &Scope,
    ) -> Result<Decision, Unavailable> {
        let wrong = |e: &dyn fmt::Display| Unavailable::new(WHAT, e.to_string());
        let principal = uid("User", &who.subject)?;
        let action = uid("Action", permission.as_str())?;
        let (resource, context) = (resource(scope)?, context(who, scope));
        let entities = entities(who, &principal, &action, permission).map_err(|e| wrong(&e))?;
        let context = Context::from_pairs(context).map_err(|e| wrong(&e))?;
        let request = Request::new(principal, action, resource, context, None).map_err(|e| wrong(&e))?;
        let answer = self.engine.is_authorized(&request, &self.policies, &entities);
        // A policy that cannot be evaluated might have forbidden it.
        if let Some(error) = answer.diagnostics().errors().next() {
            return Err(wrong(&error));
        }
        let reason = Reason::Policies(answer.diagnostics().reason().map(ToString::to_string).collect());
        Ok(if answer.decision() == Answer::Allow { Decision::allow(reason) } else { Decision::deny(reason) })
    }
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, Unavailable> {
    let name = EntityTypeName::from_str(&format!("Tasker::{kind}"));
    let name = name.map_err(|e| Unavailable::new(WHAT, e.to_string()))?;
    Ok(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}

fn resource(scope: &Scope) -> Result<EntityUid, Unavailable> {
    match scope {
        Scope::System => uid("System", "system"),
        Scope::Listing => uid("Listing", "listing"),
        Scope::Thing(thing) => match thing.task_id {
            Some(id) => uid("Task", &id.to_string()),
            None => uid("Namespace", &thing.namespace),
        },
    }
}

fn context(who: &Identity, scope: &Scope) -> Vec<(String, Expr)> {
    let Some(thing) = scope.thing() else { return vec![] };
    let is_owner = !who.is_nobody() && thing.owner.as_deref() == Some(&who.subject);
    vec![
        ("namespace".into(), Expr::new_string(thing.namespace.clone())),
        ("is_owner".into(), Expr::new_bool(is_owner)),
    ]
}

fn entities(
    who: &Identity,
    principal: &EntityUid,
    action: &EntityUid,
    permission: Permission,
) -> Result<Entities, Box<dyn std::error::Error>> {
    let roles: Result<HashSet<_>, _> = who.roles.iter().map(|role| uid("Role", role)).collect();
    let admin = HashMap::from([("admin".to_owned(), Expr::new_bool(who.is_admin))]);
    let user = Entity::new(principal.clone(), admin, roles?)?;
    let group = uid("Action", &format!("{}:*", permission.resource()))?;
    let action = Entity::new(action.clone(), HashMap::new(), HashSet::from([group]))?;
    Ok(Entities::from_entities([user, action], None)?)
}

impl Authorizer for CedarAuthorizer {
    fn check<'a>(
        &'a self,
        who: &'a Identity,
        permission: Permission,
        scope: &'a Scope,
    ) -> AuthFuture<'a, Result<Decision, Unavailable>> {
        Box::pin(async move { self.decide(who, permission, scope) })
    }
}

impl fmt::Debug for CedarAuthorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CedarAuthorizer").finish_non_exhaustive()
    }
}
