//! Signing in at a real provider on this machine, and the attacks on it.
#![cfg(feature = "oidc")]

use std::sync::Arc;

use crate::support::{
    Noise, Sent,
    keys::encode,
    pool,
    provider::{CLIENT, CLIENT_SECRET, Provider, form},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tasker_auth::{
    AuthError, Begun, FetchConfig, Finished, Identity, Method, OidcConfig, OidcLogin, Refusal, Secret,
    SecretSource, SessionConfig,
    pg::{PgLogins, PgSessions},
};
use tasker_testkit::TestDatabase;

fn config(provider: &Provider) -> OidcConfig {
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
    config
}

fn login(database: &TestDatabase, config: &OidcConfig) -> OidcLogin {
    let (logins, sessions) = (PgLogins::new(pool(database)), PgSessions::new(pool(database)));
    OidcLogin::new(config, Arc::new(logins), Arc::new(sessions)).unwrap()
}

/// A browser: it follows the provider's redirect and remembers the cookie.
struct Browser {
    cookie: String,
    callback: String,
}

impl Browser {
    async fn visit(begun: &Begun) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = client.get(begun.location.expose()).send().await.unwrap();
        assert_eq!(answer.status(), 302);
        let callback = answer.headers()["location"].to_str().unwrap();
        let path = callback.strip_prefix("https://tasker.example").unwrap();
        let cookie = begun.set_cookie.expose().split(';').next().unwrap();
        Self { cookie: cookie.into(), callback: path.into() }
    }

    fn sent(&self) -> Sent {
        Sent::get(&self.callback).header("cookie", &self.cookie)
    }
}

async fn begin(login: &OidcLogin, return_to: Option<&str>) -> Browser {
    Browser::visit(&login.begin(Sent::get("/auth/login").request(), return_to).await.unwrap()).await
}

async fn finish(login: &OidcLogin, browser: &Browser) -> Result<Finished, AuthError> {
    login.finish(browser.sent().request()).await
}

const REFUSED: AuthError = AuthError::Refused(Refusal::Login);

struct World {
    database: TestDatabase,
    provider: Provider,
    login: OidcLogin,
}

async fn world() -> World {
    let (database, provider) = (TestDatabase::new(), Provider::start().await);
    let login = login(&database, &config(&provider));
    World { database, provider, login }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_ends_in_a_session() {
    let World { login, database: _database, provider: _provider } = world().await;
    let browser = begin(&login, Some("/tasks/7?tab=steps")).await;
    let finished = finish(&login, &browser).await.unwrap();
    assert_eq!((finished.identity.subject.as_str(), finished.identity.method), ("ada", Method::Oidc));
    assert_eq!(finished.identity.name.as_deref(), Some("Ada L."));
    assert!(finished.identity.roles.contains("operator"));
    assert_eq!(finished.return_to, "/tasks/7?tab=steps");
    assert!(finished.clear_cookie.expose().contains("Max-Age=0"));
    let cookie = finished.session.set_cookie.expose().split(';').next().unwrap().to_owned();
    let who: Identity = Sent::get("/tasks").header("cookie", &cookie).to(&login).await.unwrap();
    assert_eq!((who.subject.as_str(), who.method), ("ada", Method::Session));
    // Without it, an API request gets a 401 and no redirect.
    let error = Sent::get("/tasks").to(&login).await.unwrap_err();
    assert_eq!(error.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_to_the_provider_carries_state_nonce_and_challenge() {
    let World { login, provider, database: _database } = world().await;
    let (one, two) = (
        login.begin(Sent::get("/").request(), None).await.unwrap(),
        login.begin(Sent::get("/").request(), None).await.unwrap(),
    );
    let query = |begun: &Begun| form(begun.location.expose().split_once('?').unwrap().1);
    let (first, second) = (query(&one), query(&two));
    assert!(one.location.expose().starts_with(&format!("{}/authorize?", provider.url)));
    assert_eq!(
        (first["scope"].as_str(), first["code_challenge_method"].as_str()),
        ("openid profile", "S256")
    );
    for name in ["state", "nonce", "code_challenge"] {
        assert!(first[name].len() >= 43 && first[name] != second[name], "{name}");
    }
    assert!(!format!("{one:?}").contains(&first["state"]), "not in Debug");
    assert!(one.set_cookie.expose().starts_with("__Host-tasker-login="));
}

/// Replay: an answer of the provider counts once, also for the two who come at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn replay_a_state_is_taken_once() {
    let World { login, database: _database, provider: _provider } = world().await;
    let login = Arc::new(login);
    let browser = begin(&login, None).await;
    assert!(finish(&login, &browser).await.is_ok());
    assert_eq!(finish(&login, &browser).await.unwrap_err(), REFUSED);
    let browser = Arc::new(begin(&login, None).await);
    let barrier = Arc::new(tokio::sync::Barrier::new(8));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (login, browser, barrier) = (Arc::clone(&login), Arc::clone(&browser), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                finish(&login, &browser).await.is_ok()
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += u32::from(task.await.unwrap());
    }
    assert_eq!(done, 1);
}

/// Login CSRF: the answer to a login that another browser began is refused, and the login stays good for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_belongs_to_the_browser_that_began_it() {
    let World { login, database: _database, provider: _provider } = world().await;
    let (mallory, victim) = (begin(&login, None).await, begin(&login, None).await);
    let lured = Browser { cookie: victim.cookie.clone(), callback: mallory.callback.clone() };
    assert_eq!(finish(&login, &lured).await.unwrap_err(), REFUSED);
    let without = Sent::get(&victim.callback);
    assert_eq!(login.finish(without.request()).await.unwrap_err(), REFUSED);
    assert!(finish(&login, &victim).await.is_ok() && finish(&login, &mallory).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_ends_in_time() {
    let World { login, database: _database, provider: _provider } = world().await;
    let start = Utc::now();
    let begun = login.begin(Sent::get("/").at(start).request(), None).await.unwrap();
    let browser = Browser::visit(&begun).await;
    let late: DateTime<Utc> = start + TimeDelta::seconds(601);
    assert_eq!(login.finish(browser.sent().at(late).request()).await.unwrap_err(), REFUSED);
    assert!(login.finish(browser.sent().at(start + TimeDelta::seconds(10)).request()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_no_answers() {
    let World { login, provider, database: _database } = world().await;
    let state = |b: &Browser| form(b.callback.split_once('?').unwrap().1)["state"].clone();
    let browser = begin(&login, None).await;
    let state = state(&browser);
    for query in [
        String::new(),
        "code=x".into(),
        "state=".into(),
        format!("state={state}&state={state}&code=x"),
        format!("state={state}x&code=x"),
    ] {
        let sent = Sent::get(&format!("/auth/callback?{query}")).header("cookie", &browser.cookie);
        assert_eq!(login.finish(sent.request()).await.unwrap_err(), REFUSED, "{query}");
    }
    // These take the login, since they name it.
    for query in ["error=access_denied", "code=made-up", "iss=https%3A%2F%2Fevil.example&code=x"] {
        let browser = begin(&login, None).await;
        let state = form(browser.callback.split_once('?').unwrap().1)["state"].clone();
        let sent =
            Sent::get(&format!("/auth/callback?{query}&state={state}")).header("cookie", &browser.cookie);
        assert_eq!(login.finish(sent.request()).await.unwrap_err(), REFUSED, "{query}");
        assert_eq!(finish(&login, &browser).await.unwrap_err(), REFUSED, "it is taken: {query}");
    }
    // A code that was meant for another login is refused by the provider, for want of its verifier.
    let (one, two) = (begin(&login, None).await, begin(&login, None).await);
    let code = form(two.callback.split_once('?').unwrap().1)["code"].clone();
    let state = form(one.callback.split_once('?').unwrap().1)["state"].clone();
    let injected =
        Browser { cookie: one.cookie, callback: format!("/auth/callback?code={code}&state={state}") };
    assert_eq!(finish(&login, &injected).await.unwrap_err(), REFUSED);
    provider.state().status = 500;
    let error = finish(&login, &two).await.unwrap_err();
    assert_eq!(error, REFUSED, "the code is gone, so the login is begun again");
}

/// Forged and replayed ID tokens.
#[tokio::test(flavor = "multi_thread")]
async fn id_tokens_that_are_refused() {
    let World { login, provider, database: _database } = world().await;
    let cases: [(fn(&mut Value), Refusal); 13] = [
        (|c| c["nonce"] = json!("the nonce of another login"), Refusal::Login),
        (|c| drop(c.as_object_mut().unwrap().remove("nonce")), Refusal::Login),
        (|c| c["nonce"] = json!(["x"]), Refusal::Login),
        (|c| drop(c.as_object_mut().unwrap().remove("iat")), Refusal::Login),
        (|c| c["iss"] = json!("https://evil.example"), Refusal::Invalid),
        (|c| c["aud"] = json!("another-client"), Refusal::Audience),
        (|c| c["aud"] = json!([CLIENT, "another-client"]), Refusal::Audience),
        (|c| c["azp"] = json!("another-client"), Refusal::Audience),
        (|c| c["exp"] = json!(1_000), Refusal::Expired),
        (|c| drop(c.as_object_mut().unwrap().remove("exp")), Refusal::Invalid),
        (|c| c["sub"] = json!(""), Refusal::Invalid),
        (|c| drop(c.as_object_mut().unwrap().remove("sub")), Refusal::Invalid),
        (|c| c["iat"] = json!(9_999_999_999_u64), Refusal::NotYet),
    ];
    for (n, (tamper, refusal)) in cases.into_iter().enumerate() {
        provider.state().tamper = tamper;
        let browser = begin(&login, None).await;
        assert_eq!(finish(&login, &browser).await.unwrap_err(), refusal.into(), "case {n}");
    }
    provider.state().tamper = |c| {
        c["aud"] = json!([CLIENT, "another-client"]);
        c["azp"] = json!(CLIENT);
    };
    let browser = begin(&login, None).await;
    assert!(finish(&login, &browser).await.is_ok());
}

/// An ID token of a login before, however genuine, does not finish another.
#[tokio::test(flavor = "multi_thread")]
async fn replay_an_id_token_has_the_nonce_of_its_login() {
    use std::sync::OnceLock;
    static BEFORE: OnceLock<String> = OnceLock::new();
    let World { login, provider, database: _database } = world().await;
    let browser = begin(&login, None).await;
    assert!(finish(&login, &browser).await.is_ok());
    BEFORE.set(provider.state().last_token.clone()).unwrap();
    provider.state().replace = |_| BEFORE.get().unwrap().clone();
    let browser = begin(&login, None).await;
    assert_eq!(finish(&login, &browser).await.unwrap_err(), REFUSED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_id_token_is_refused() {
    let World { login, provider, database: _database } = world().await;
    provider.state().replace = |token| {
        let payload = token.split('.').nth(1).unwrap().to_owned();
        format!("{}.{payload}.", encode(r#"{"alg":"none"}"#))
    };
    let browser = begin(&login, None).await;
    assert_eq!(finish(&login, &browser).await.unwrap_err(), Refusal::Invalid.into());
}

/// An open redirect would send users with a fresh session to anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_returns_to_this_service_only() {
    let World { login, database: _database, provider: _provider } = world().await;
    for place in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "",
        "tasks",
        "/a\nSet-Cookie: x=y",
        "/\t/evil.example",
    ] {
        let browser = begin(&login, Some(place)).await;
        assert_eq!(finish(&login, &browser).await.unwrap().return_to, "/", "{place:?}");
    }
}

/// The provider's description is believed only of itself, and leads nowhere inside the network.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_with_the_same_guard() {
    let (database, provider) = (TestDatabase::new(), Provider::start().await);
    let mut inside = config(&provider);
    inside.fetch.allow_hosts.clear();
    let (logins, sessions) = (PgLogins::new(pool(&database)), PgSessions::new(pool(&database)));
    let problems = OidcLogin::new(&inside, Arc::new(logins), Arc::new(sessions)).unwrap_err();
    assert_eq!(problems[0].key, "issuer");
    let mut renamed = config(&provider);
    renamed.issuer = format!("{}/", provider.url);
    let login = login(&database, &renamed);
    let error = login.begin(Sent::get("/").request(), None).await.unwrap_err();
    assert_eq!(error.to_string(), "the provider of identities cannot be asked now; try again");
    assert!(error.detail().contains("calls itself"));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_debug_and_not_at_rest() {
    let World { login, database, provider } = world().await;
    let begun = login.begin(Sent::get("/").request(), None).await.unwrap();
    let state = form(begun.location.expose().split_once('?').unwrap().1)["state"].clone();
    let browser = begun.set_cookie.expose().split(['=', ';']).nth(1).unwrap().to_owned();
    #[derive(diesel::QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text)]
        line: String,
    }
    let rows: Vec<Line> = diesel::RunQueryDsl::load(
        diesel::sql_query("select l::text as line from tasker.logins l"),
        &mut database.connection(),
    )
    .unwrap();
    let shown = format!("{login:?} {begun:?} {:?} {}", config(&provider), rows[0].line);
    for secret in [CLIENT_SECRET, "a secret for the sessions", &state, &browser] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn every_mistake_in_the_options_is_reported_at_once() {
    let keys: Vec<String> = OidcConfig {
        scopes: vec![],
        algorithms: vec![tasker_auth::jwt::Algorithm::HS256],
        login_seconds: 1,
        after_login: "//evil.example".into(),
        ..OidcConfig::default()
    }
    .problems()
    .into_iter()
    .map(|p| p.key)
    .collect();
    assert_eq!(
        keys,
        [
            "session.secret",
            "issuer",
            "client_id",
            "redirect_url",
            "scopes",
            "algorithms",
            "login_seconds",
            "after_login"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_random_answers_do_not_panic() {
    let World { login, database: _database, provider: _provider } = world().await;
    let mut noise = Noise(11);
    for _ in 0..10_000 {
        let text = noise.text(&["state=ab&code=cd"]);
        let Ok(uri) = format!("/auth/callback?{text}").parse() else { continue };
        // Without its cookie, nothing is looked up.
        let sent = Sent { uri, ..Sent::get("/") };
        assert!(login.finish(sent.request()).await.is_err());
    }
}
