//! Published keys: rotation, cool-down, and that a URL does not lead inside the network.
#![cfg(feature = "jwks-url")]

use std::sync::Arc;

use crate::support::{Sent, keys::SigningKey, provider::Provider};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tasker_auth::{
    AuthError, FetchConfig, Identity, Refusal,
    jwt::{Algorithm, JwtAuthenticator, JwtConfig},
};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn config(url: String, allow: &[&str]) -> JwtConfig {
    JwtConfig {
        algorithms: vec![Algorithm::RS256],
        issuer: "issuer".into(),
        audience: vec!["api".into()],
        jwks_url: Some(url),
        fetch: FetchConfig {
            allow_hosts: allow.iter().map(|h| (*h).to_owned()).collect(),
            ..FetchConfig::default()
        },
        ..JwtConfig::default()
    }
}

fn local(provider: &Provider) -> JwtAuthenticator {
    JwtAuthenticator::new(&config(provider.jwks_url(), &["127.0.0.1"])).unwrap()
}

fn claims() -> Value {
    json!({ "iss": "issuer", "aud": "api", "sub": "ada", "exp": start().timestamp() + 1_000_000 })
}

async fn at(auth: &JwtAuthenticator, seconds: i64, text: &str) -> Result<Identity, AuthError> {
    Sent::get("/").bearer(text).at(start() + TimeDelta::seconds(seconds)).to(auth).await
}

fn rotate(provider: &Provider, id: &str, number: u8) {
    provider.state().keys = vec![(id.into(), SigningKey::rsa(number))];
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_found_and_an_old_one_forgotten() {
    let provider = Provider::start().await;
    let auth = local(&provider);
    let old = provider.token(&claims());
    assert_eq!(at(&auth, 0, &old).await.unwrap().subject, "ada");
    rotate(&provider, "key-2", 2);
    let new = provider.token(&claims());
    assert_eq!(at(&auth, 10, &new).await, Err(Refusal::Invalid.into()), "within the cool-down");
    assert!(at(&auth, 31, &new).await.is_ok(), "after it, an unknown id makes it look again");
    assert_eq!(at(&auth, 32, &old).await, Err(Refusal::Invalid.into()), "no longer published");
    assert_eq!(provider.state().key_requests, 2);
}

/// A key that was taken away is forgotten although nobody sends a token with a new id.
#[tokio::test(flavor = "multi_thread")]
async fn published_keys_are_looked_at_again_in_time() {
    let provider = Provider::start().await;
    let auth = local(&provider);
    let old = provider.token(&claims());
    assert!(at(&auth, 0, &old).await.is_ok());
    rotate(&provider, "key-2", 2);
    assert!(at(&auth, 299, &old).await.is_ok());
    assert_eq!(at(&auth, 300, &old).await, Err(Refusal::Invalid.into()));
}

/// However many unknown ids are sent, the issuer is asked once a cool-down; by many at once, once.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_ids_do_not_make_a_flood() {
    let provider = Provider::start().await;
    let auth = Arc::new(local(&provider));
    let attacker = SigningKey::rsa(2);
    let mut tasks = vec![];
    for n in 0..64 {
        let text = attacker.token(&json!({ "alg": "RS256", "kid": format!("unknown-{n}") }), &claims());
        let auth = Arc::clone(&auth);
        tasks.push(tokio::spawn(async move { at(&auth, 0, &text).await }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), Err(Refusal::Invalid.into()));
    }
    assert_eq!(provider.state().key_requests, 1);
}

/// An issuer that is down is a 503 at first, and later the keys that it gave before, up to their age.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_down() {
    let provider = Provider::start().await;
    let auth = local(&provider);
    let text = provider.token(&claims());
    provider.state().status = 500;
    let error = at(&auth, 0, &text).await.unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (503, "the keys of the issuer cannot be asked now; try again")
    );
    provider.state().status = 200;
    assert_eq!(at(&auth, 29, &text).await.unwrap_err().status(), 503, "asked no sooner because it failed");
    assert!(at(&auth, 30, &text).await.is_ok());
    provider.state().status = 500;
    assert!(at(&auth, 80_000, &text).await.is_ok(), "by the keys of before");
    assert_eq!(at(&auth, 30 + 86_400, &text).await.unwrap_err().status(), 503, "but not forever");
}

/// URLs inside the network are refused at the start where the host is an address.
#[test]
fn ssrf_addresses_are_refused_at_the_start() {
    for url in [
        "http://127.0.0.1/jwks",
        "https://127.0.0.1/jwks",
        "https://127.1/jwks",
        "https://0x7f000001/jwks",
        "https://2130706433/jwks",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.7/jwks",
        "https://[::1]/jwks",
        "https://[::ffff:127.0.0.1]/jwks",
        "https://[fe80::1]/jwks",
        "https://0.0.0.0/jwks",
        "file:///etc/passwd",
        "http://issuer.example/jwks",
        "https://user:pass@issuer.example/jwks",
        "jwks",
    ] {
        let problems = JwtAuthenticator::new(&config(url.into(), &[])).unwrap_err();
        assert_eq!(problems[0].key, "jwks_url", "{url}");
    }
    assert!(JwtAuthenticator::new(&config("https://127.0.0.1/jwks".into(), &["127.0.0.1"])).is_ok());
}

/// A name that leads to loopback is refused when it is resolved, and the request goes nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn ssrf_a_name_that_leads_inside_is_refused() {
    let provider = Provider::start().await;
    let text = provider.token(&claims());
    let by_name = provider.jwks_url().replace("http://127.0.0.1", "https://localhost");
    let auth = JwtAuthenticator::new(&config(by_name, &[])).unwrap();
    assert_eq!(at(&auth, 0, &text).await.unwrap_err().status(), 503);
    assert_eq!(provider.state().connections, 0, "nobody even connected");
    let allowed = provider.jwks_url().replace("127.0.0.1", "localhost");
    let auth = JwtAuthenticator::new(&config(allowed, &["localhost"])).unwrap();
    assert!(at(&auth, 0, &text).await.is_ok(), "where it is meant");
}

/// A redirect is not followed: it could lead anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn ssrf_redirects_are_not_followed() {
    let provider = Provider::start().await;
    let text = provider.token(&claims());
    let url = format!("{}/redirect", provider.url);
    let auth = JwtAuthenticator::new(&config(url, &["127.0.0.1"])).unwrap();
    assert_eq!(at(&auth, 0, &text).await.unwrap_err().status(), 503);
    assert_eq!(provider.state().key_requests, 0);
}
