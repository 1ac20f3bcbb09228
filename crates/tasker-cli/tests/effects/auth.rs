//! The section `auth`, by what its `Auth` decides.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use tasker_auth::{
    Asked, AuditEntry, AuditSink, Auth, AuthFuture, CorrelationId, FnAuthenticator, Identity, Method,
    Permission, Problem, Registry, Request, Resource, Scope, Unavailable, http,
};
use tasker_config::{Builder, Config};

/// A registry with an authenticator that knows everybody by the name that its options say.
fn registry() -> Registry {
    Registry::default().authenticator("named", |options| {
        let name = options.get("name").and_then(|name| name.as_str());
        let name = name.ok_or_else(|| vec![Problem::new("name", "is required")])?.to_owned();
        Ok(FnAuthenticator::new(move |_: Request<'_>| {
            Ok(Identity::new(name.clone(), Method::Custom).with_roles(["reader"]))
        }))
    })
}

fn with(values: &[(&str, &str)]) -> Builder {
    let all: String = values.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    Config::builder().toml("t", format!("[auth]\n{all}"))
}

fn auth(values: &[(&str, &str)]) -> Auth {
    let config = with(values).build().unwrap_or_else(|report| panic!("{report}"));
    config.auth().build(&registry()).unwrap().build().unwrap()
}

const ON: [(&str, &str); 3] = [
    ("authentication_enabled", "true"),
    ("authenticator", "\"named\""),
    ("authenticator_options", "{ name = \"ann\" }"),
];

const GUARDED: [(&str, &str); 3] = [
    ("authorization_enabled", "true"),
    ("authorization_coordinator", "\"roles\""),
    (
        "authorization_coordinator_options",
        "{ roles = { reader = { permissions = [\"tasker.task:show\"] } }, nobody = [\"reader\"] }",
    ),
];

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn who(auth: &Auth) -> Identity {
    let request = http::Request::builder().body(()).unwrap();
    now(auth.authenticate(Request::from(&request))).unwrap()
}

fn may(auth: &Auth, permission: Permission) -> bool {
    now(auth.decide(&Identity::nobody(), permission, &Scope::namespace("shop"))).unwrap().is_allowed()
}

pub(crate) fn authentication() {
    assert_eq!(who(&auth(&ON)).subject, "ann");
    assert_eq!(who(&auth(&ON[1..])), Identity::nobody());
}

pub(crate) fn authenticator() {
    let config = with(&[ON[0], ("authenticator", "\"nobody_s\"")]).build().unwrap();
    let error = config.auth().build(&registry()).unwrap_err().to_string();
    assert!(error.contains("`nobody_s` is not registered"), "{error}");
    assert!(auth(&ON).is_authentication_on());
}

pub(crate) fn authenticator_options() {
    assert_eq!(who(&auth(&[ON[0], ON[1], ("authenticator_options", "{ name = \"bob\" }")])).subject, "bob");
    assert!(with(&ON[..2]).build().unwrap().auth().build(&registry()).is_err());
}

pub(crate) fn authorization() {
    assert!(!may(&auth(&GUARDED), Permission::TaskCancel));
    assert!(may(&auth(&GUARDED[1..]), Permission::TaskCancel));
}

pub(crate) fn coordinator() {
    assert!(may(&auth(&GUARDED), Permission::TaskShow));
    assert!(!may(&auth(&GUARDED[..1]), Permission::TaskShow), "deny_all is the default");
}

pub(crate) fn coordinator_options() {
    let none = ("authorization_coordinator_options", "{ roles = {} }");
    assert!(!may(&auth(&[GUARDED[0], GUARDED[1], none]), Permission::TaskShow));
    assert!(may(&auth(&GUARDED), Permission::TaskShow));
}

pub(crate) fn open() {
    assert!(auth(&[("open", "[\"tasker.metrics\"]")]).is_open(Resource::Metrics));
    assert!(!auth(&[]).is_open(Resource::Metrics));
}

#[derive(Clone, Default)]
struct Records(Arc<Mutex<usize>>);

impl AuditSink for Records {
    fn record(&self, _: AuditEntry, _: Option<DateTime<Utc>>) -> AuthFuture<'_, Result<(), Unavailable>> {
        *self.0.lock().unwrap() += 1;
        Box::pin(async { Ok(()) })
    }
}

/// How many records so many questions leave behind.
fn recorded(values: &[(&str, &str)], permission: Permission, times: usize) -> usize {
    let config = with(&[&GUARDED, values].concat()).build().unwrap();
    let records = Records::default();
    let auth = config.auth().build(&registry()).unwrap().audit(records.clone()).build().unwrap();
    let at = DateTime::from_timestamp(1_000_000, 0);
    for _ in 0..times {
        let asked = Asked { operation: "a test", correlation_id: &CorrelationId::random(), now: at };
        let _either = now(auth.authorize(&Identity::nobody(), permission, &Scope::namespace("shop"), asked));
    }
    *records.0.lock().unwrap()
}

pub(crate) fn record() {
    assert_eq!(recorded(&[("audit.record", "\"all\"")], Permission::TaskShow, 1), 1);
    assert_eq!(recorded(&[], Permission::TaskShow, 1), 0);
}

pub(crate) fn refusals() {
    assert_eq!(recorded(&[("audit.refusals_per_minute", "2")], Permission::TaskCancel, 5), 2);
    assert_eq!(recorded(&[], Permission::TaskCancel, 5), 5);
}
