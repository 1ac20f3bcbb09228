//! A01–A05, A13, D-01, D-03, D-20, D-21: what is made of a configuration at the start, and that nothing of a
//! request outlives it.

use std::sync::{Arc, Barrier};

use crate::support::{Records, Sent, asked};
use serde_json::{Value, json};
use tasker_auth::{
    Auth, AuthConfig, AuthError, AuthFuture, Authenticator, CorrelationId, Directory, FnAuthenticator,
    Identity, Limit, Method, Namespaces, Outcome, Permission, Problem, Recorded, Refusal, Registry, Request,
    Resource, Scope, Unavailable, read_section,
};

fn config(section: Value) -> AuthConfig {
    read_section(&section).unwrap_or_else(|p: Vec<Problem>| panic!("{p:?}"))
}

fn by_header() -> impl Authenticator {
    FnAuthenticator::new(|request: Request<'_>| {
        let name = request.headers.get("x-user").and_then(|v| v.to_str().ok());
        let name = name.ok_or(AuthError::Missing { expected: "send x-user" })?;
        Ok(Identity::new(name, Method::Custom))
    })
}

/// A01: off lets everybody in, as nobody.
#[tokio::test]
async fn a01_off_lets_nobody_in() {
    let auth = config(json!({})).build(&Registry::default()).unwrap().build().unwrap();
    assert!(!auth.is_authentication_on() && !auth.is_authorization_on());
    let who = auth.authenticate(Sent::get("/tasks").request()).await.unwrap();
    assert_eq!(who, Identity::nobody());
}

struct Configured {
    key: String,
}

impl Authenticator for Configured {
    fn authenticate<'a>(&'a self, _: Request<'a>) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async { Ok(Identity::new(self.key.clone(), Method::Custom)) })
    }
    fn problems(&self) -> Vec<Problem> {
        if self.key.is_empty() { vec![Problem::new("key", "must not be empty")] } else { vec![] }
    }
}

fn registry() -> Registry {
    Registry::default().authenticator("mine", |options| {
        let key = options.get("key").and_then(Value::as_str).unwrap_or_default();
        Ok(Configured { key: key.into() })
    })
}

/// A02, D-03: the options of the configuration reach the authenticator.
#[tokio::test]
async fn a02_d03_options_reach_the_authenticator() {
    let section = json!({
        "authentication_enabled": true, "authenticator": "mine", "authenticator_options": { "key": "value" },
    });
    let auth = config(section).build(&registry()).unwrap().build().unwrap();
    assert_eq!(auth.authenticate(Sent::get("/").request()).await.unwrap().subject, "value");
}

/// A03, A13, D-03, D-20: no name, an unknown name and the authenticator's own mistakes are errors at the start,
/// all of them at once.
#[test]
fn a03_a13_d20_every_mistake_is_an_error_at_the_start() {
    let build = |section| config(section).build(&registry()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        build(json!({ "authentication_enabled": true, "authorization_enabled": true,
            "authorization_coordinator": "nope", "open": ["tasker.task"], "audit": { "refusals_per_minute": 0 } })),
        "the configuration of authentication cannot be used:\n  \
         authenticator: is required, since `authentication_enabled` is true; name an authenticator\n  \
         open: tasker.task cannot be open; only tasker.health_status, tasker.metrics, tasker.analytics can\n  \
         audit.refusals_per_minute: must be at least 1\n  \
         authorization_coordinator: `nope` is not registered; known are deny_all, roles"
    );
    assert!(
        build(json!({ "authentication_enabled": true, "authenticator": "devise" }))
            .contains("authenticator: `devise` is not registered; known are ")
    );
    assert!(
        build(json!({ "authentication_enabled": true, "authenticator": "mine" }))
            .contains("authenticator_options.key: must not be empty")
    );
    assert!(Auth::builder().authenticator(Configured { key: String::new() }).build().is_err());
}

/// D-21: a key that is misspelt is an error, and so is every other one.
#[test]
fn d21_unknown_keys_are_errors() {
    let wrong = read_section::<AuthConfig>(&json!({
        "authentication_enabeld": true, "strategy": "none", "open": 7, "authorization_enabled": "yes",
    }));
    let keys: Vec<String> = wrong.unwrap_err().into_iter().map(|p| p.key).collect();
    assert_eq!(keys, ["authentication_enabeld", "authorization_enabled", "open", "strategy"]);
}

/// A04: by default an authenticator has no mistakes; who asks is whatever it answers.
#[tokio::test]
async fn a04_the_defaults_of_the_trait() {
    assert_eq!(by_header().problems(), []);
    assert!(Sent::get("/").to(&by_header()).await.is_err());
    assert_eq!(Sent::get("/").header("x-user", "bob").to(&by_header()).await.unwrap().subject, "bob");
}

/// A05, A12, Z08: a refusal is 401 with a challenge and comes before any 403; it is in the audit.
#[tokio::test]
async fn a05_a12_z08_a_refusal_is_a_401_before_any_403() {
    let records = Records::default();
    let auth = Auth::builder()
        .authenticator(by_header())
        .authorizer(tasker_auth::DenyAll)
        .audit(records.clone())
        .build()
        .unwrap();
    let sent = Sent::get("/tasks?token=never-recorded").header("x-correlation-id", "abc-1");
    let error = auth.authenticate(sent.request()).await.unwrap_err();
    assert_eq!((error.status(), error.title()), (401, "Unauthorized"));
    assert_eq!(error.challenge(), Some("Bearer realm=\"tasker\""));
    assert_eq!(error.body().message, "credentials are required: send x-user");
    let entry = records.0.lock().unwrap().pop().unwrap();
    assert_eq!((entry.outcome, entry.reason.as_str()), (Outcome::Refused, "credentials_missing"));
    assert_eq!((entry.operation.as_str(), entry.correlation_id.as_str()), ("GET /tasks", "abc-1"));
}

/// Z10: what a denial says, and that it does not say why.
#[tokio::test]
async fn z10_the_403_body() {
    let (records, id) = (Records::default(), CorrelationId::random());
    let auth = Auth::builder().authorizer(tasker_auth::DenyAll).audit(records.clone()).build().unwrap();
    let who = Identity::new("ada", Method::Custom);
    let scope = Scope::task("shop", 7, None);
    let error = auth.authorize(&who, Permission::TaskShow, &scope, asked(&id)).await.unwrap_err();
    assert_eq!(
        serde_json::to_value(error.body()).unwrap(),
        json!({ "error": "Forbidden", "message": "Not authorized to show on tasker.task", "code": "forbidden" })
    );
    assert_eq!((error.status(), error.challenge()), (403, None));
    let entry = records.0.lock().unwrap().pop().unwrap();
    assert_eq!((entry.subject.as_deref(), entry.outcome), (Some("ada"), Outcome::Denied));
    assert_eq!((entry.namespace.as_deref(), entry.task_id), (Some("shop"), Some(7)));
    assert_eq!(entry.reason, "nothing grants it");
}

/// Z10, Z11: a missing coordinator does not start; one that cannot decide is a 503, never an allowance.
#[tokio::test]
async fn z11_a_coordinator_that_fails_allows_nothing() {
    struct Broken;
    impl tasker_auth::Authorizer for Broken {
        fn check<'a>(
            &'a self,
            _: &'a Identity,
            _: Permission,
            _: &'a Scope,
        ) -> AuthFuture<'a, Result<tasker_auth::Decision, Unavailable>> {
            Box::pin(async { Err(Unavailable::new("the policy", "password=hunter2")) })
        }
    }
    let id = CorrelationId::random();
    let auth = Auth::builder().authorizer(Broken).build().unwrap();
    let who = Identity::new("ada", Method::Custom);
    for permission in [Permission::HealthStatusIndex, Permission::MetricsIndex] {
        let error = auth.authorize(&who, permission, &Scope::System, asked(&id)).await.unwrap_err();
        assert_eq!(error.status(), 503);
        assert_eq!(error.body().message, "the policy cannot be asked now; try again", "no detail leaves");
    }
}

/// Z08: whoever is not known gets a 401, whatever they may not do; with authorization off they get no 403 either.
#[tokio::test]
async fn z08_a_401_comes_before_any_403_and_off_refuses_nothing() {
    let id = CorrelationId::random();
    let nameless = Sent::get("/tasks");
    let closed = Auth::builder().authenticator(by_header()).authorizer(tasker_auth::DenyAll).build().unwrap();
    assert_eq!(closed.authenticate(nameless.request()).await.unwrap_err().status(), 401);
    let ada = closed.authenticate(Sent::get("/tasks").header("x-user", "ada").request()).await.unwrap();
    let denied = closed.authorize(&ada, Permission::TaskIndex, &Scope::System, asked(&id)).await;
    assert_eq!(denied.unwrap_err().status(), 403);
    let open = Auth::builder().build().unwrap();
    let nobody = open.authenticate(nameless.request()).await.unwrap();
    for permission in Permission::ALL {
        assert!(open.authorize(&nobody, *permission, &Scope::System, asked(&id)).await.is_ok());
    }
}

/// What is open, is open only where it was written.
#[test]
fn metrics_are_not_open_by_default() {
    let auth =
        config(json!({ "open": ["tasker.metrics"] })).build(&Registry::default()).unwrap().build().unwrap();
    assert!(auth.is_open(Resource::Metrics) && !auth.is_open(Resource::Analytics));
    let default = Auth::builder().build().unwrap();
    assert!(Resource::ALL.iter().all(|r| !default.is_open(*r)));
}

struct Users;

impl Directory for Users {
    fn find<'a>(&'a self, claimed: Identity) -> AuthFuture<'a, Result<Option<Identity>, Unavailable>> {
        let known = (claimed.subject != "999999")
            .then(|| Identity::new(claimed.subject, claimed.method).with_roles(["admin"]));
        Box::pin(async { Ok(known) })
    }
}

/// A08: a user whom the host does not know is refused; A09: a known one has the host's roles, within the limits
/// of the credentials.
#[tokio::test]
async fn a08_a09_the_directory_has_the_last_word() {
    let limited = FnAuthenticator::new(|request: Request<'_>| {
        let limit = Limit::new(None, Namespaces::only(["shop"]));
        let name = request.headers["x-user"].to_str().unwrap();
        Ok(Identity::new(name, Method::Custom).with_roles(["forged"]).limited(limit))
    });
    let auth = Auth::builder().authenticator(limited).directory(Users).build().unwrap();
    let unknown = auth.authenticate(Sent::get("/").header("x-user", "999999").request()).await;
    assert_eq!(unknown, Err(Refusal::UnknownUser.into()));
    let known = auth.authenticate(Sent::get("/").header("x-user", "1").request()).await.unwrap();
    assert_eq!(known.roles.into_iter().collect::<Vec<_>>(), ["admin"]);
    assert_eq!(known.limit.namespaces, Namespaces::only(["shop"]));
}

/// D-01, A10: 64 threads with an identity each, at once through one value, each see only their own; and a bad
/// request first does not lock anybody out.
#[test]
fn d01_sixty_four_threads_see_only_themselves() {
    let auth = Auth::builder().authenticator(by_header()).build().unwrap();
    let barrier = Arc::new(Barrier::new(64));
    let block_on = |future: std::pin::Pin<
        Box<dyn Future<Output = Result<Identity, AuthError>> + Send + '_>,
    >| { tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future) };
    assert!(block_on(Box::pin(auth.authenticate(Sent::get("/").request()))).is_err());
    std::thread::scope(|scope| {
        for n in 0..64 {
            let (auth, barrier) = (auth.clone(), Arc::clone(&barrier));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let name = format!("user-{n}");
                let sent = Sent::get("/").header("x-user", &name);
                let nameless = Sent::get("/");
                barrier.wait();
                for _ in 0..200 {
                    let who = runtime.block_on(auth.authenticate(sent.request())).unwrap();
                    assert_eq!(who.subject, name);
                    assert!(runtime.block_on(auth.authenticate(nameless.request())).is_err());
                }
            });
        }
    });
}

#[tokio::test]
async fn the_audit_records_what_is_configured_and_counts_the_rest() {
    let id = CorrelationId::random();
    let run = async |record: Recorded, permissions: &[Permission]| {
        let records = Records::default();
        let audit = tasker_auth::AuditConfig { record, refusals_per_minute: 2 };
        let policy = read_section(&json!({ "roles": { "reader": { "permissions":
            ["tasker.task:show", "tasker.task:cancel"] } }, "nobody": ["reader"] }));
        let policy = tasker_auth::RolePolicy::new(policy.unwrap()).unwrap();
        let auth =
            Auth::builder().authorizer(policy).audit(records.clone()).audit_config(audit).build().unwrap();
        for (n, p) in permissions.iter().enumerate() {
            let now = chrono::DateTime::from_timestamp(if n > 4 { 60 } else { 0 }, 0);
            let asked = tasker_auth::Asked { now, ..asked(&id) };
            let _ = auth.authorize(&Identity::nobody(), *p, &Scope::System, asked).await;
        }
        let entries = records.0.lock().unwrap().clone();
        entries.iter().map(|e| (e.permission.unwrap(), e.suppressed)).collect::<Vec<_>>()
    };
    use Permission::{MetricsIndex as Denied, TaskCancel as Change, TaskShow as Read};
    let three = [Read, Change, Denied];
    assert_eq!(run(Recorded::Refusals, &three).await, [(Denied, 0)]);
    assert_eq!(run(Recorded::Changes, &three).await, [(Change, 0), (Denied, 0)]);
    assert_eq!(run(Recorded::All, &three).await, [(Read, 0), (Change, 0), (Denied, 0)]);
    // Two a minute; the first of the next minute says how many are not there.
    assert_eq!(run(Recorded::Refusals, &[Denied; 6]).await, [(Denied, 0), (Denied, 0), (Denied, 3)]);
}
