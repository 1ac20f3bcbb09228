//! Z01, Z04–Z07 and the example policies: what roles, ownership and namespaces permit, and what they do not.

use crate::support::{Records, asked};
use serde_json::json;
use tasker_auth::{
    Action, Auth, AuthError, AuthFuture, Authorizer, CorrelationId, Decision, Filter, HostUser, Identity,
    Limit, Method, Namespaces, Permission, Reason, Resource, RolePolicy, RolesConfig, Scope, Unavailable,
    read_section,
};

fn policy(config: serde_json::Value) -> RolePolicy {
    RolePolicy::new(read_section(&config).unwrap()).unwrap()
}

fn somebody() -> Identity {
    Identity::new("ada", Method::Custom)
}

fn shop() -> Scope {
    Scope::namespace("shop")
}

/// Z01: off allows everything, to nobody too; on denies what nothing permits.
#[tokio::test]
async fn z01_off_allows_and_on_denies() {
    let id = CorrelationId::random();
    let off = Auth::builder().build().unwrap();
    let on = Auth::builder().authorizer(tasker_auth::DenyAll).build().unwrap();
    for permission in Permission::ALL {
        for who in [Identity::nobody(), somebody()] {
            assert_eq!(off.authorize(&who, *permission, &Scope::System, asked(&id)).await, Ok(Filter::ALL));
            let denied = on.authorize(&who, *permission, &Scope::Listing, asked(&id)).await;
            assert_eq!(denied, Err(AuthError::Forbidden(*permission)));
        }
    }
    assert_eq!(off.decide(&somebody(), Permission::TaskShow, &shop()).await.unwrap().reason(), &Reason::Off);
}

/// Z01: a policy of one's own gets identity, permission and scope.
#[tokio::test]
async fn z01_a_policy_of_ones_own_sees_the_scope() {
    struct OnlyTask7;
    impl Authorizer for OnlyTask7 {
        fn check<'a>(
            &'a self,
            who: &'a Identity,
            permission: Permission,
            scope: &'a Scope,
        ) -> AuthFuture<'a, Result<Decision, Unavailable>> {
            let seven = scope.thing().and_then(|t| t.task_id) == Some(7);
            let decision = if seven && who.subject == "ada" && permission.action() == Action::Show {
                Decision::allow(Reason::Other("it is ada's lucky task".into()))
            } else {
                Decision::deny(Reason::NotGranted)
            };
            Box::pin(async { Ok(decision) })
        }
    }
    let auth = Auth::builder().authorizer(OnlyTask7).build().unwrap();
    let decide = async |who: &Identity, task| {
        auth.decide(who, Permission::TaskShow, &Scope::task("shop", task, None)).await.unwrap().is_allowed()
    };
    assert!(decide(&somebody(), 7).await);
    assert!(!decide(&somebody(), 8).await && !decide(&Identity::nobody(), 7).await);
}

/// Every role times every permission times every kind of scope, against the rule said once more.
#[test]
fn every_role_permission_and_scope_is_decided_by_the_table() {
    let policy = policy(json!({ "roles": {
        "admin": { "permissions": ["*"] },
        "reader": { "permissions": ["tasker.task:index", "tasker.task:show"], "namespaces": ["shop"] },
        "submitter": { "own": ["tasker.task:show", "tasker.task:cancel"], "namespaces": ["shop", "post"] },
    }}));
    let things = [
        ("shop", Some("ada")),
        ("shop", Some("bob")),
        ("shop", None),
        ("post", Some("ada")),
        ("bank", Some("ada")),
    ];
    for permission in Permission::ALL {
        let p = permission.as_str();
        let reads = ["tasker.task:index", "tasker.task:show"].contains(&p);
        let owns = ["tasker.task:show", "tasker.task:cancel"].contains(&p);
        for (namespace, owner) in things {
            let scope = Scope::task(namespace, 1, owner.map(Into::into));
            let may = |role| policy.decide(&somebody().with_roles([role]), *permission, &scope).is_allowed();
            assert!(may("admin"));
            assert_eq!(may("reader"), reads && namespace == "shop", "reader {p} {namespace}");
            assert_eq!(
                may("submitter"),
                owns && namespace != "bank" && owner == Some("ada"),
                "{p} {namespace} {owner:?}"
            );
            assert!(!may("unheard_of"));
        }
        let system =
            |role| policy.decide(&somebody().with_roles([role]), *permission, &Scope::System).is_allowed();
        assert!(system("admin") && !system("reader") && !system("submitter"), "the bound ones are bound");
    }
}

#[test]
fn a_listing_tells_what_to_filter_by() {
    let policy = policy(json!({ "roles": {
        "admin": { "permissions": ["*"] },
        "shop": { "permissions": ["tasker.task:index"], "namespaces": ["shop"] },
        "post": { "permissions": ["tasker.task:index"], "namespaces": ["post"] },
        "own": { "own": ["tasker.task:index"] },
    }}));
    let filter = |roles: &[&str]| {
        let who = somebody().with_roles(roles.iter().copied());
        match policy.decide(&who, Permission::TaskIndex, &Scope::Listing) {
            Decision::Allowed { filter, .. } => Some((filter.namespaces, filter.owner)),
            Decision::Denied { .. } => None,
        }
    };
    assert_eq!(filter(&["admin", "shop"]), Some((Namespaces::All, None)));
    assert_eq!(filter(&["shop", "post"]), Some((Namespaces::only(["shop", "post"]), None)));
    assert_eq!(filter(&["own"]), Some((Namespaces::All, Some("ada".into()))));
    assert_eq!(
        filter(&["shop", "own"]),
        Some((Namespaces::only(["shop"]), None)),
        "never wider than the grants"
    );
    assert_eq!(filter(&[]), None);
}

/// The limit of a token holds whatever the policy permits, and whichever policy it is.
#[tokio::test]
async fn a_token_never_goes_beyond_its_scopes() {
    let policy = policy(json!({ "roles": { "admin": { "permissions": ["*"] } } }));
    let auth = Auth::builder().authorizer(policy).build().unwrap();
    let limit = Limit::new(Some([Permission::TaskShow].into_iter().collect()), Namespaces::only(["shop"]));
    let token = somebody().with_roles(["admin"]).limited(limit);
    let decide = async |p, scope: &Scope| auth.decide(&token, p, scope).await.unwrap();
    assert_eq!(decide(Permission::TaskShow, &shop()).await.reason(), &Reason::Role("admin".into()));
    for (p, scope) in [
        (Permission::TaskCancel, shop()),
        (Permission::TaskCancel, Scope::Listing),
        (Permission::TaskShow, Scope::namespace("bank")),
        (Permission::TaskShow, Scope::System),
    ] {
        assert_eq!(decide(p, &scope).await, Decision::deny(Reason::BeyondToken), "{p} {scope:?}");
    }
    let Decision::Allowed { filter, .. } = decide(Permission::TaskShow, &Scope::Listing).await else {
        panic!("denied")
    };
    assert_eq!(filter, Filter::new(Namespaces::only(["shop"]), None));
}

struct User {
    roles: Vec<String>,
    permissions: Vec<String>,
}

impl HostUser for User {
    fn subject(&self) -> String {
        "42".into()
    }
    fn roles(&self) -> Vec<String> {
        self.roles.clone()
    }
    fn permissions(&self) -> Vec<String> {
        self.permissions.clone()
    }
}

fn user(roles: &[&str], permissions: &[&str]) -> User {
    let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect();
    User { roles: texts(roles), permissions: texts(permissions) }
}

/// Z04: what the host's own users say of themselves.
#[test]
fn z04_host_users() {
    let reader = user(&[], &["tasker.task:index", "tasker.task:show", "blog.post:edit", "nonsense"]);
    assert!(reader.has_permission(Permission::TaskShow) && !reader.has_permission(Permission::TaskCancel));
    assert_eq!(reader.actions_on(Resource::Task), [Action::Index, Action::Show]);
    assert!(reader.can_access(Resource::Task) && !reader.can_access(Resource::Metrics));
    let identity = reader.identity(Method::Jwt);
    assert_eq!(identity.permissions.iter().count(), 2, "those that are not Tasker's are left out");
    assert!(!identity.is_admin && user(&["admin"], &[]).identity(Method::Jwt).is_admin);

    struct Plain;
    impl HostUser for Plain {
        fn subject(&self) -> String {
            "plain".into()
        }
    }
    assert!(Plain.permission_set().is_empty() && Plain.roles().is_empty() && !Plain.is_admin());

    struct Chief;
    impl HostUser for Chief {
        fn subject(&self) -> String {
            "chief".into()
        }
        fn is_admin(&self) -> bool {
            true
        }
        fn has_permission(&self, permission: Permission) -> bool {
            permission.resource() == Resource::Metrics
        }
    }
    let chief = Chief.identity(Method::Session);
    assert!(chief.is_admin && chief.permissions.contains(Permission::MetricsIndex));
}

/// An administrator is permitted nothing until a policy says so.
#[test]
fn admin_only_by_explicit_policy() {
    let admin = user(&["admin"], &[]).identity(Method::Session);
    let without = policy(json!({ "roles": { "reader": { "permissions": ["tasker.task:show"] } } }));
    let with =
        policy(json!({ "roles": { "everything": { "permissions": ["*"] } }, "admins": ["everything"] }));
    assert!(!without.decide(&admin, Permission::TaskShow, &shop()).is_allowed());
    let decision = with.decide(&admin, Permission::TaskShow, &shop());
    assert_eq!(decision.reason(), &Reason::Admin);
    assert!(!with.decide(&somebody(), Permission::TaskShow, &shop()).is_allowed());
}

/// The example policy of the original: permission or admin, and the owner may retry and cancel. D-24: it denies
/// an administrator no resource.
#[test]
fn d24_the_example_policy_knows_every_resource() {
    let policy = policy(json!({
        "roles": {
            "everything": { "permissions": ["*"] },
            "owner": { "own": ["tasker.task:retry", "tasker.task:cancel"] },
        },
        "admins": ["everything"], "everybody": ["owner"], "nobody": ["owner"],
    }));
    let admin = user(&["admin"], &[]).identity(Method::Session);
    for permission in Permission::ALL {
        assert!(policy.decide(&admin, *permission, &Scope::System).is_allowed(), "{permission}");
    }
    let own = Scope::task("shop", 1, Some("ada".into()));
    let other = Scope::task("shop", 2, Some("bob".into()));
    assert_eq!(policy.decide(&somebody(), Permission::TaskRetry, &own).reason(), &Reason::Owner);
    assert!(!policy.decide(&somebody(), Permission::TaskRetry, &other).is_allowed());
    assert!(!policy.decide(&somebody(), Permission::TaskUpdate, &own).is_allowed());
    // Nobody owns what belongs to nobody.
    let ownerless = Scope::task("shop", 3, Some(String::new()));
    assert!(!policy.decide(&Identity::nobody(), Permission::TaskRetry, &ownerless).is_allowed());
}

/// Whether one of the three users of the original's request examples may.
fn may(role: &str, permission: Permission) -> bool {
    let policy = policy(json!({ "roles": {
        "admin": { "permissions": ["*"] },
        "read_only": { "permissions": ["tasker.task:index", "tasker.task:show", "tasker.workflow_step:index", "tasker.workflow_step:show"] },
        "index_only": { "permissions": ["tasker.task:index"] },
    }}));
    policy.decide(&somebody().with_roles([role]), permission, &shop()).is_allowed()
}

/// Of tasks and steps.
fn verbs() -> impl Iterator<Item = Permission> {
    Resource::Task.permissions().iter().chain(Resource::WorkflowStep.permissions()).copied()
}

#[test]
fn z05_an_administrator_may_do_all_to_tasks_and_steps() {
    assert!(verbs().all(|permission| may("admin", permission)));
}

#[test]
fn z06_who_may_read_may_change_nothing() {
    for permission in verbs() {
        assert_eq!(may("read_only", permission), !permission.action().changes(), "{permission}");
    }
}

#[test]
fn z07_who_may_list_tasks_may_do_nothing_else() {
    for permission in verbs() {
        assert_eq!(may("index_only", permission), permission == Permission::TaskIndex, "{permission}");
    }
}

#[test]
fn every_mistake_of_a_policy_is_reported_at_once() {
    let wrong = read_section::<RolesConfig>(&json!({
        "roles": { "a": { "permissions": ["tasker.task:fly"] } }, "everyone": [], "admins": "root",
    }));
    let texts: Vec<String> = wrong.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:#?}");
    assert!(texts[0].starts_with("admins: invalid type"));
    assert!(texts[1].starts_with("everyone: unknown field `everyone`"));
    assert!(texts[2].starts_with("roles: `tasker.task:fly` is no permission"));
    let config = read_section(&json!({ "roles": { "a": {} }, "admins": ["root"], "nobody": ["x"] })).unwrap();
    assert_eq!(RolePolicy::new(config).unwrap_err().len(), 3);
}

/// A change that the audit cannot keep is not made.
#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_refused() {
    let id = CorrelationId::random();
    let policy = policy(json!({ "roles": { "admin": { "permissions": ["*"] } } }));
    let auth = Auth::builder().authorizer(policy).audit(Records(Default::default(), true)).build().unwrap();
    let admin = somebody().with_roles(["admin"]);
    let read = auth.authorize(&admin, Permission::TaskShow, &shop(), asked(&id)).await;
    let change = auth.authorize(&admin, Permission::TaskCancel, &shop(), asked(&id)).await.unwrap_err();
    assert!(read.is_ok());
    assert_eq!((change.status(), change.code()), (503, "unavailable"));
}
