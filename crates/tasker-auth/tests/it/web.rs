//! The layer and the routes of a login, in a server on axum; A12, A13, Z08, Z11.
#![cfg(all(feature = "axum", feature = "oidc"))]

use std::sync::Arc;

use crate::support::{
    Records, pool,
    provider::{CLIENT, CLIENT_SECRET, Provider},
};
use axum::{Router, body::Body, extract::Path, routing::get};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tasker_auth::{
    Auth, AuthError, FetchConfig, FnAuthenticator, Guard, Identity, Method, OidcConfig, OidcLogin,
    Operations, Outcome, Resource, RolePolicy, Scope, Secret, SecretSource, SessionConfig,
    http::{self, Request, Response, StatusCode},
    pg::{PgLogins, PgSessions},
    read_section,
    web::{AuthLayer, login_routes},
};
use tasker_testkit::TestDatabase;
use tower::ServiceExt;

fn policy() -> RolePolicy {
    let section = json!({
        "roles": {
            "reader": { "permissions": ["tasker.task:index", "tasker.task:show"], "namespaces": ["shop"] },
            "metrics": { "permissions": ["tasker.metrics:index"] },
        },
    });
    RolePolicy::new(read_section(&section).unwrap()).unwrap()
}

/// Knows whoever says `x-user`, with the roles in `x-roles`.
fn by_header() -> impl tasker_auth::Authenticator {
    FnAuthenticator::new(|request: tasker_auth::Request<'_>| {
        let text = |name| request.headers.get(name).and_then(|v| v.to_str().ok());
        let name = text("x-user").ok_or(AuthError::Missing { expected: "send x-user" })?;
        Ok(Identity::new(name, Method::Custom).with_roles(text("x-roles").unwrap_or_default().split(',')))
    })
}

async fn list(guard: Guard) -> Result<String, AuthError> {
    Ok(format!("{:?}", guard.check(&Scope::Listing).await?.namespaces))
}

async fn show(guard: Guard, Path(id): Path<i64>) -> Result<String, AuthError> {
    let namespace = if id == 7 { "shop" } else { "bank" };
    guard.check(&Scope::task(namespace, id, None)).await?;
    Ok(format!("{} sees {id}", guard.identity().subject))
}

/// A handler whose author forgot to ask.
async fn forgotten() -> &'static str {
    "what nobody was asked for"
}

fn server(auth: Auth) -> Router {
    let routes = [
        ("GET", "/health/live"),
        ("GET", "/metrics"),
        ("GET", "/tasks"),
        ("GET", "/tasks/{id}"),
        ("GET", "/tasks/{id}/diagram"),
    ];
    let layer = AuthLayer::new(auth, Operations::default(), routes, []).unwrap();
    Router::new()
        .route("/health/live", get(async || "alive"))
        .route("/metrics", get(async || "metrics"))
        .route("/tasks", get(list))
        .route("/tasks/{id}", get(show))
        .route("/tasks/{id}/diagram", get(forgotten))
        .route("/undeclared", get(async || "undeclared"))
        .layer(layer)
}

async fn call(
    server: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, Response<String>) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = server.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (parts.status, Response::from_parts(parts, text))
}

const ADA: (&str, &str) = ("x-user", "ada");
const READER: (&str, &str) = ("x-roles", "reader");

#[tokio::test]
async fn a12_z08_requests_are_401_then_403_then_served() {
    let records = Records::default();
    let auth = Auth::builder()
        .authenticator(by_header())
        .authorizer(policy())
        .audit(records.clone())
        .build()
        .unwrap();
    let server = server(auth);
    for (path, headers, status) in [
        ("/health/live", &[][..], 200),
        ("/tasks", &[], 401),
        ("/tasks/7", &[], 401),
        ("/metrics", &[], 401),
        ("/tasks", &[ADA], 403),
        ("/tasks/7", &[ADA], 403),
        ("/tasks/8", &[ADA], 403),
        ("/tasks", &[ADA, READER], 200),
        ("/tasks/7", &[ADA, READER], 200),
        ("/tasks/8", &[ADA, READER], 403),
        ("/metrics", &[ADA, READER], 403),
        ("/metrics", &[ADA, ("x-roles", "metrics")], 200),
        ("/undeclared", &[ADA, READER], 404),
        ("/tasks/7/", &[ADA, READER], 404),
        ("/nothing", &[ADA, READER], 404),
    ] {
        let (found, answer) = call(&server, "GET", path, headers).await;
        assert_eq!(found, status, "{path} {headers:?}: {}", answer.body());
        assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401, "{path}");
        assert!(answer.headers().contains_key("x-correlation-id"));
        if status >= 400 {
            let body: Value = serde_json::from_str(answer.body()).unwrap();
            assert!(body["error"].is_string() && body["message"].is_string() && body["code"].is_string());
        }
    }
    let (_, listed) = call(&server, "GET", "/tasks", &[ADA, READER]).await;
    assert_eq!(listed.body(), r#"Only({"shop"})"#);
    let denied = records.0.lock().unwrap().iter().filter(|e| e.outcome == Outcome::Denied).count();
    assert_eq!(denied, 5, "each denial once");
}

/// A12: everything is served where both are off.
#[tokio::test]
async fn a12_off_serves_everybody() {
    let server = server(Auth::builder().build().unwrap());
    for path in ["/tasks", "/tasks/8", "/metrics"] {
        assert_eq!(call(&server, "GET", path, &[]).await.0, 200, "{path}");
    }
}

/// A handler that forgets to ask does not answer.
#[tokio::test]
async fn a_forgotten_check_is_a_500() {
    let auth = Auth::builder().authenticator(by_header()).authorizer(policy()).build().unwrap();
    let (status, answer) = call(&server(auth), "GET", "/tasks/7/diagram", &[ADA, READER]).await;
    assert_eq!(status, 500);
    assert!(!answer.body().contains("nobody was asked") && answer.body().contains("unchecked_operation"));
}

/// Z11 and the gate of metrics: closed unless it was opened in words.
#[tokio::test]
async fn z11_metrics_are_closed_unless_opened() {
    let builder = || Auth::builder().authenticator(by_header()).authorizer(policy());
    let closed = server(builder().build().unwrap());
    let open = server(builder().open([Resource::Metrics]).build().unwrap());
    assert_eq!(call(&closed, "GET", "/metrics", &[]).await.0, 401);
    assert_eq!(call(&open, "GET", "/metrics", &[]).await.0, 200);
    assert_eq!(call(&open, "GET", "/tasks", &[]).await.0, 401);
}

/// The caller's correlation id comes back and is in the audit; one that could be written into a log is not taken.
#[tokio::test]
async fn d13_the_correlation_id_is_taken_up() {
    let records = Records::default();
    let auth = Auth::builder().authenticator(by_header()).audit(records.clone()).build().unwrap();
    let server = server(auth);
    let (_, answer) = call(&server, "GET", "/tasks", &[("x-correlation-id", "abc-1")]).await;
    assert_eq!(answer.headers()["x-correlation-id"], "abc-1");
    assert_eq!(records.0.lock().unwrap()[0].correlation_id.as_str(), "abc-1");
    let (_, answer) = call(&server, "GET", "/tasks", &[("x-correlation-id", "a b\tc")]).await;
    let made = answer.headers()["x-correlation-id"].to_str().unwrap();
    assert_eq!(made.len(), 32);
    assert_eq!(records.0.lock().unwrap()[1].correlation_id.as_str(), made, "the same one throughout");
}

/// A13: a server that serves what is not declared does not start.
#[test]
fn a13_undeclared_routes_do_not_start() {
    let auth = Auth::builder().build().unwrap();
    let error = AuthLayer::new(auth, Operations::default(), [("GET", "/undeclared")], []).unwrap_err();
    assert!(error.to_string().contains("GET /undeclared"));
}

/// 64 tasks with an identity each, at once through one server, each see their own.
#[tokio::test(flavor = "multi_thread")]
async fn d01_sixty_four_at_once_see_themselves() {
    let auth = Auth::builder().authenticator(by_header()).authorizer(policy()).build().unwrap();
    let (server, barrier) = (server(auth), Arc::new(tokio::sync::Barrier::new(64)));
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (server, barrier) = (server.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                let name = format!("user-{n}");
                barrier.wait().await;
                for _ in 0..20 {
                    let (_, answer) = call(&server, "GET", "/tasks/7", &[("x-user", &name), READER]).await;
                    assert_eq!(answer.body(), &format!("{name} sees 7"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// From the first redirect to the logout, through the routes.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_through_the_routes() {
    let (database, provider) = (TestDatabase::new(), Provider::start().await);
    let session = SessionConfig {
        secret: Some(SecretSource::Text(Secret::new("a secret for the sessions of this test"))),
        ..SessionConfig::default()
    };
    let mut config = OidcConfig {
        issuer: provider.url.clone(),
        client_id: CLIENT.into(),
        client_secret: Some(SecretSource::Text(Secret::new(CLIENT_SECRET))),
        redirect_url: "https://tasker.example/auth/callback".into(),
        fetch: FetchConfig { allow_hosts: ["127.0.0.1".to_owned()].into(), ..FetchConfig::default() },
        session,
        ..OidcConfig::default()
    };
    config.claims.roles = Some("roles".into());
    let (logins, sessions) = (PgLogins::new(pool(&database)), PgSessions::new(pool(&database)));
    let login = Arc::new(OidcLogin::new(&config, Arc::new(logins), Arc::new(sessions)).unwrap());
    let auth = Auth::builder().authenticator_arc(login.clone()).authorizer(policy()).build().unwrap();
    let routes =
        [("GET", "/auth/login"), ("GET", "/auth/callback"), ("POST", "/auth/logout"), ("GET", "/auth/me")];
    let server = login_routes(login).layer(AuthLayer::new(auth, Operations::default(), routes, []).unwrap());

    let (status, begun) = call(&server, "GET", "/auth/login?return_to=/tasks", &[]).await;
    assert_eq!(
        (status, &begun.headers()["cache-control"]),
        (StatusCode::SEE_OTHER, &http::HeaderValue::from_static("no-store"))
    );
    let crumb = |response: &Response<String>| {
        let first = response.headers().get_all("set-cookie").iter().next().unwrap();
        first.to_str().unwrap().split(';').next().unwrap().to_owned()
    };
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client.get(begun.headers()["location"].to_str().unwrap()).send().await.unwrap();
    let callback = answer.headers()["location"].to_str().unwrap().replace("https://tasker.example", "");
    let (status, finished) = call(&server, "GET", &callback, &[("cookie", &crumb(&begun))]).await;
    assert_eq!((status, finished.headers()["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, "/tasks"));
    let session = crumb(&finished);

    let (status, me) = call(&server, "GET", "/auth/me", &[("cookie", &session)]).await;
    let me: Value = serde_json::from_str(me.body()).unwrap();
    assert_eq!((status, &me["subject"], &me["roles"]), (StatusCode::OK, &json!("ada"), &json!(["operator"])));
    assert_eq!(
        call(&server, "POST", "/auth/logout", &[("cookie", &session)]).await.0,
        403,
        "without the token"
    );
    let csrf = me["csrf_token"].as_str().unwrap();
    let (status, _) =
        call(&server, "POST", "/auth/logout", &[("cookie", &session), ("x-csrf-token", csrf)]).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(call(&server, "GET", "/auth/me", &[("cookie", &session)]).await.0, 401);
}
