//! Sessions in PostgreSQL: fixation, CSRF, and that nothing but the signed cookie of a living session counts.

use std::sync::Arc;

use crate::support::{Noise, Sent, pool};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{RunQueryDsl, sql_types::Text};
use serde_json::json;
use tasker_auth::{
    AuthError, Identity, Method, Refusal, Secret, SecretSource, SessionConfig, Sessions, Started,
    pg::{PgSessions, prune_sessions},
};
use tasker_testkit::TestDatabase;

const SECRET: &str = "thirty-two bytes or more, signing";

fn config() -> SessionConfig {
    SessionConfig { secret: Some(SecretSource::Text(Secret::new(SECRET))), ..SessionConfig::default() }
}

fn sessions(database: &TestDatabase, config: &SessionConfig) -> Sessions {
    Sessions::new(config, Arc::new(PgSessions::new(pool(database)))).unwrap()
}

/// The cookie as a browser sends it.
fn cookie(started: &Started) -> String {
    started.set_cookie.expose().split(';').next().unwrap().to_owned()
}

fn ada() -> Identity {
    Identity::new("ada", Method::Oidc).with_roles(["operator"])
}

async fn sign_in(sessions: &Sessions) -> Started {
    sessions.start(Sent::new("POST", "/login").request(), ada()).await.unwrap()
}

fn lines(database: &TestDatabase, sql: &str) -> Vec<String> {
    #[derive(diesel::QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let rows: Vec<Line> = diesel::sql_query(sql).load(&mut database.connection()).unwrap();
    rows.into_iter().map(|l| l.line).collect()
}

#[tokio::test]
async fn a_session_is_known_by_its_cookie() {
    let database = TestDatabase::new();
    let sessions = sessions(&database, &config());
    let started = sign_in(&sessions).await;
    let text = started.set_cookie.expose();
    assert!(text.starts_with("__Host-tasker-session="));
    assert!(text.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=43200; Secure"), "{text}");
    let who = Sent::get("/tasks")
        .header("cookie", &format!("other=1; {}", cookie(&started)))
        .to(&sessions)
        .await
        .unwrap();
    assert_eq!((who.subject.as_str(), who.method), ("ada", Method::Session));
    assert!(who.roles.contains("operator"));
    assert!(matches!(Sent::get("/tasks").to(&sessions).await, Err(AuthError::Missing { .. })));
}

/// At rest there is a digest; neither cookie nor CSRF token is in the database or in a text that can be logged.
#[tokio::test]
async fn secrets_are_neither_at_rest_nor_in_debug() {
    let database = TestDatabase::new();
    let sessions = sessions(&database, &config());
    let started = sign_in(&sessions).await;
    let value = cookie(&started).split_once('=').unwrap().1.to_owned();
    let (id, signature) = value.split_once('.').unwrap();
    let shown = [
        lines(&database, "select s::text as line from tasker.sessions s").join(""),
        format!("{started:?} {sessions:?} {:?}", config()),
        tasker_auth::show_section(&config()).to_string(),
    ];
    for text in shown {
        for secret in [id, signature, started.csrf.expose(), SECRET] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// Fixation: an id that somebody else knows before the login is worth nothing after it.
#[tokio::test]
async fn fixation_a_login_never_keeps_the_id_of_the_request() {
    let database = TestDatabase::new();
    let sessions = sessions(&database, &config());
    let planted =
        sessions.start(Sent::get("/").request(), Identity::new("mallory", Method::Oidc)).await.unwrap();
    let victim = Sent::new("POST", "/login").header("cookie", &cookie(&planted));
    let started = sessions.start(victim.request(), ada()).await.unwrap();
    assert_ne!(cookie(&planted), cookie(&started));
    let old = Sent::get("/").header("cookie", &cookie(&planted)).to(&sessions).await;
    assert_eq!(old, Err(Refusal::Expired.into()), "the session before is over");
    // One that was made up is not taken up.
    let made_up = format!("__Host-tasker-session={}.{}", "ab".repeat(32), "cd".repeat(32));
    let started = sessions.start(Sent::get("/").header("cookie", &made_up).request(), ada()).await.unwrap();
    assert!(!started.set_cookie.expose().contains("abababab"));
    let refused = Sent::get("/").header("cookie", &made_up).to(&sessions).await;
    assert_eq!(refused, Err(Refusal::Invalid.into()));
    // A cookie that somebody put beside ours makes neither count.
    let both = format!("{made_up}; {}", cookie(&started));
    assert_eq!(Sent::get("/").header("cookie", &both).to(&sessions).await, Err(Refusal::Invalid.into()));
}

/// CSRF: whatever may change something needs the token of its own session.
#[tokio::test]
async fn csrf_a_change_needs_the_token_of_its_session() {
    let database = TestDatabase::new();
    let sessions = sessions(&database, &config());
    let (started, other) = (sign_in(&sessions).await, sign_in(&sessions).await);
    let refused = Err(AuthError::Csrf { header: "x-csrf-token" });
    let sent = |method: &str| Sent::new(method, "/tasks").header("cookie", &cookie(&started));
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert!(sent(method).to(&sessions).await.is_ok(), "{method}");
    }
    let csrf = started.csrf.expose();
    for method in ["POST", "PUT", "PATCH", "DELETE", "BREW"] {
        assert_eq!(sent(method).to(&sessions).await, refused, "{method}");
        for wrong in [
            "",
            "x",
            other.csrf.expose(),
            &csrf[1..],
            &csrf.to_uppercase(),
            cookie(&started).rsplit('.').next().unwrap(),
        ] {
            if wrong != csrf {
                assert_eq!(
                    sent(method).header("x-csrf-token", wrong).to(&sessions).await,
                    refused,
                    "{method} {wrong}"
                );
            }
        }
        assert!(sent(method).header("x-csrf-token", csrf).to(&sessions).await.is_ok(), "{method}");
        let cross = sent(method).header("x-csrf-token", csrf).header("sec-fetch-site", "cross-site");
        assert_eq!(cross.to(&sessions).await, refused);
    }
    let again = sessions.csrf(sent("GET").request()).unwrap();
    assert_eq!(again.expose(), csrf, "a page can ask for it");
    let error = sent("POST").to(&sessions).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (403, "csrf_token_missing"));
}

#[tokio::test]
async fn a_session_ends_by_idleness_by_age_and_by_hand() {
    let database = TestDatabase::new();
    let sessions = sessions(&database, &config());
    let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let sign_in = async || sessions.start(Sent::get("/").at(start).request(), ada()).await.unwrap();
    let seen = async |started: &Started, seconds: i64| {
        let now: DateTime<Utc> = start + TimeDelta::seconds(seconds);
        Sent::get("/").header("cookie", &cookie(started)).at(now).to(&sessions).await.is_ok()
    };
    let idle = sign_in().await;
    assert!(seen(&idle, 1_799).await);
    assert!(seen(&idle, 1_799 + 1_799).await, "each request keeps it");
    assert!(!seen(&idle, 1_799 + 1_799 + 1_800).await);
    let old = sign_in().await;
    for n in 1..=28 {
        assert!(seen(&old, n * 1_500).await);
    }
    assert!(seen(&old, 43_199).await && !seen(&old, 43_200).await, "however often it is seen");
    let ended = sign_in().await;
    let sent = Sent::new("POST", "/logout").header("cookie", &cookie(&ended));
    let removes = sessions.end(sent.request()).await.unwrap();
    assert!(
        removes.expose().starts_with("__Host-tasker-session=; ") && removes.expose().contains("Max-Age=0")
    );
    assert!(!seen(&ended, 1).await);
    let (one, two) = (sign_in().await, sign_in().await);
    assert!(sessions.end_all("ada").await.unwrap() >= 2);
    assert!(!seen(&one, 1).await && !seen(&two, 1).await);
    sign_in().await;
    let later = Some(start + TimeDelta::days(1));
    assert_eq!(prune_sessions(&mut database.connection(), 100, later).unwrap(), 1);
    assert_eq!(lines(&database, "select count(*)::text as line from tasker.sessions"), ["0"]);
}

#[tokio::test]
async fn a_secret_can_be_replaced_and_another_service_is_not_believed() {
    let database = TestDatabase::new();
    let old = sessions(&database, &config());
    let started = sign_in(&old).await;
    let new_secret = || Some(SecretSource::Text(Secret::new("another secret of thirty-two bytes or more")));
    let replaced = SessionConfig {
        secret: new_secret(),
        previous_secrets: vec![SecretSource::Text(Secret::new(SECRET))],
        ..SessionConfig::default()
    };
    let sent = || {
        Sent::new("POST", "/")
            .header("cookie", &cookie(&started))
            .header("x-csrf-token", started.csrf.expose())
    };
    assert!(sent().to(&sessions(&database, &replaced)).await.is_ok());
    let foreign = SessionConfig { secret: new_secret(), ..SessionConfig::default() };
    assert_eq!(sent().to(&sessions(&database, &foreign)).await, Err(Refusal::Invalid.into()));
}

#[test]
fn every_mistake_in_the_options_is_reported_at_once() {
    let config: SessionConfig = tasker_auth::read_section(&json!({
        "secure": false, "idle_seconds": 1, "lifetime_seconds": 0,
    }))
    .unwrap();
    let keys: Vec<String> = config.problems().into_iter().map(|p| p.key).collect();
    assert_eq!(keys, ["secret", "cookie", "idle_seconds", "lifetime_seconds"]);
    let short =
        SessionConfig { secret: Some(SecretSource::Text(Secret::new("short"))), ..SessionConfig::default() };
    assert_eq!(short.problems()[0].to_string(), "secret: must have at least 32 bytes");
}

#[tokio::test]
async fn ten_thousand_random_cookies_do_not_panic() {
    let database = TestDatabase::new();
    let sessions = sessions(&database, &config());
    let good = cookie(&sign_in(&sessions).await);
    let mut noise = Noise(5);
    for _ in 0..10_000 {
        let text = noise.text(&[&good]);
        let sent = Sent::get("/");
        let Ok(value) = tasker_auth::http::HeaderValue::from_str(&text) else { continue };
        let mut headers = sent.headers.clone();
        headers.insert("cookie", value);
        let sent = Sent { headers, ..sent };
        let changed = text.split(';').all(|pair| pair.trim() != good);
        if changed {
            assert!(sessions.csrf(sent.request()).is_none(), "{text}");
        }
    }
}
