//! Asks once whether somebody may do something.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use tasker_auth::{
    Auth, AuthError, FnAuthenticator, Identity, Method, Permission, Request, RolePolicy, Scope, http, read_section,
};

fn main() {
    let policy = serde_json::json!({ "roles": { "reader": { "permissions": ["tasker.task:show"] } } });
    let by_header = FnAuthenticator::new(|request: Request<'_>| {
        let name = request.headers.get("x-user").and_then(|v| v.to_str().ok());
        let name = name.ok_or(AuthError::Missing { expected: "send x-user" })?;
        Ok(Identity::new(name, Method::Custom).with_roles(["reader"]))
    });
    let policy = RolePolicy::new(read_section(&policy).expect("a section")).expect("a policy");
    let auth = Auth::builder().authenticator(by_header).authorizer(policy).build().expect("a configuration");
    let request = http::Request::builder().header("x-user", "ada").body(()).expect("a request");
    let who = now(auth.authenticate(Request::from(&request))).expect("an identity");
    let may = |p| now(auth.decide(&who, p, &Scope::namespace("shop"))).expect("a decision").is_allowed();
    println!("{} {} {}", who.subject, may(Permission::TaskShow), may(Permission::TaskCancel));
}

/// The value of a future that does not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
