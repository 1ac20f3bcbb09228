//! The same decisions by policies of Cedar.
#![cfg(feature = "cedar")]

use tasker_auth::{CedarAuthorizer, Identity, Method, Permission, Reason, Scope};

const POLICIES: &str = r#"
@id("operators read and cancel in the shop")
permit (principal in Tasker::Role::"operator", action in Tasker::Action::"tasker.task:*", resource)
when { context has namespace && context.namespace == "shop" };

@id("owners retry")
permit (principal, action == Tasker::Action::"tasker.task:retry", resource)
when { context has is_owner && context.is_owner };

@id("administrators")
permit (principal, action, resource) when { principal.admin };

@id("nobody destroys")
forbid (principal, action == Tasker::Action::"tasker.task:destroy", resource);
"#;

#[test]
fn cedar_decides_and_says_by_which_policy() {
    let cedar = CedarAuthorizer::new(POLICIES).unwrap();
    let operator = Identity::new("ada", Method::Jwt).with_roles(["operator"]);
    let own = |namespace: &str| Scope::task(namespace, 7, Some("ada".into()));
    let decide = |who: &Identity, p, scope: &Scope| cedar.decide(who, p, scope).unwrap();
    assert!(decide(&operator, Permission::TaskCancel, &own("shop")).is_allowed());
    assert!(!decide(&operator, Permission::TaskCancel, &own("bank")).is_allowed());
    assert!(decide(&operator, Permission::TaskRetry, &own("bank")).is_allowed(), "its own");
    assert!(!decide(&operator, Permission::StepShow, &own("shop")).is_allowed());
    assert!(!decide(&operator, Permission::TaskDestroy, &own("shop")).is_allowed(), "a forbid wins");
    assert!(!decide(&Identity::nobody(), Permission::TaskIndex, &Scope::Listing).is_allowed());
    let denied = decide(&Identity::nobody(), Permission::TaskIndex, &Scope::System);
    assert_eq!(denied.reason(), &Reason::Policies(vec![]));
    let mut admin = Identity::new("root\" , resource ) ; permit(", Method::Jwt);
    assert!(!decide(&admin, Permission::MetricsIndex, &Scope::System).is_allowed());
    admin.is_admin = true;
    assert!(decide(&admin, Permission::MetricsIndex, &Scope::System).is_allowed());
    for p in Permission::ALL {
        assert_eq!(decide(&admin, *p, &own("bank")).is_allowed(), *p != Permission::TaskDestroy);
    }
}

/// A policy that cannot be evaluated decides nothing, since it might have forbidden.
#[test]
fn a_policy_that_fails_allows_nothing() {
    let broken = "permit (principal, action, resource); forbid (principal, action, resource) when { context.missing };";
    let cedar = CedarAuthorizer::new(broken).unwrap();
    let who = Identity::new("ada", Method::Jwt);
    assert!(cedar.decide(&who, Permission::TaskShow, &Scope::System).is_err());
    assert_eq!(CedarAuthorizer::new("permit (everything);").unwrap_err()[0].key, "policies");
}
