//! Everything that is logged, at every level and by every library, while each authenticator is used well and
//! badly, is read through for every secret that was in use.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;
use tasker_auth::{
    ApiTokenAuthenticator, ApiTokenConfig, Auth, FetchConfig, Method, OidcConfig, OidcLogin, Secret,
    SecretSource, SessionConfig, TokenText,
    jwt::{Algorithm, HmacSigner, JwtAuthenticator, JwtConfig, TestToken},
    pg::{NewToken, PgAudit, PgLogins, PgSessions, PgTokens, issue_token},
};
use tasker_testkit::TestDatabase;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{
    Sent, pool,
    provider::{CLIENT, CLIENT_SECRET, Provider, form},
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// For the libraries that log without `tracing`.
impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {} {}\n", record.level(), record.target(), record.args());
        let _writing_to_memory_succeeds = self.clone().write_all(line.as_bytes());
    }
    fn flush(&self) {}
}

const JWT_SECRET: &str = "the secret of the tokens, thirty-two bytes";
const SESSION_SECRET: &str = "the secret of the sessions, long enough";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_in_use_is_ever_logged() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .try_init()
        .unwrap();
    log::set_boxed_logger(Box::new(log.clone())).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let (database, provider) = (TestDatabase::new(), Provider::start().await);
    let mut secrets: Vec<String> = [JWT_SECRET, SESSION_SECRET, CLIENT_SECRET].map(Into::into).to_vec();
    api_tokens(&database, &mut secrets).await;
    tokens(&database, &mut secrets).await;
    logins(&database, &provider, &mut secrets).await;

    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("AUTHORIZATION IS OFF") && text.contains("TRACE reqwest"), "{} bytes", text.len());
    for secret in &secrets {
        assert!(secret.len() >= 16, "`{secret}` is no secret");
        let line = text.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "a secret is in the log");
    }
    assert!(secrets.len() >= 16);
}

fn audited(database: &TestDatabase, authenticator: impl tasker_auth::Authenticator + 'static) -> Auth {
    Auth::builder().authenticator(authenticator).audit(PgAudit::new(pool(database))).build().unwrap()
}

/// Sends a token in every way, good and bad, in the path as well, where a careless client puts it.
async fn send(auth: &Auth, text: &str) {
    for sent in [
        Sent::get(&format!("/tasks?access_token={text}")).bearer(text),
        Sent::get("/tasks").bearer(&format!("{text}x")),
        Sent::get("/tasks").header("authorization", text),
        Sent::get("/tasks").header("x-api-token", text).header("x-api-token", text),
    ] {
        let result = auth.authenticate(sent.request()).await;
        tracing::info!(?result, request = ?sent.request(), "answered");
    }
}

async fn api_tokens(database: &TestDatabase, secrets: &mut Vec<String>) {
    let new = NewToken::new("robot", "a test", "ada");
    let issued = issue_token(&mut database.connection(), "tasker", &new).unwrap();
    tracing::info!(?issued, ?new, "issued");
    let store = Arc::new(PgTokens::new(pool(database)));
    let auth = audited(database, ApiTokenAuthenticator::new(&ApiTokenConfig::default(), store).unwrap());
    for text in [issued.text, TokenText::random("tasker")] {
        send(&auth, text.expose()).await;
        secrets.push(text.expose().rsplit('_').next().unwrap().to_owned());
    }
}

async fn tokens(database: &TestDatabase, secrets: &mut Vec<String>) {
    let config = JwtConfig {
        issuer: "tasker-test".into(),
        audience: vec!["tasker-api".into()],
        secret: Some(SecretSource::Text(Secret::new(JWT_SECRET))),
        ..JwtConfig::default()
    };
    tracing::info!(?config, "configured");
    let auth = audited(database, JwtAuthenticator::new(&config).unwrap());
    let signer = HmacSigner::new(Algorithm::HS256, &Secret::new(JWT_SECRET)).unwrap();
    for token in [TestToken::of("1"), TestToken::of("2").claim("aud", json!("other"))] {
        let text = token.sign(&signer);
        send(&auth, &text).await;
        secrets.push(text.rsplit('.').next().unwrap().to_owned());
    }
}

async fn logins(database: &TestDatabase, provider: &Provider, secrets: &mut Vec<String>) {
    let config = OidcConfig {
        issuer: provider.url.clone(),
        client_id: CLIENT.into(),
        client_secret: Some(SecretSource::Text(Secret::new(CLIENT_SECRET))),
        redirect_url: "https://tasker.example/auth/callback".into(),
        fetch: FetchConfig { allow_hosts: ["127.0.0.1".to_owned()].into(), ..FetchConfig::default() },
        session: SessionConfig {
            secret: Some(SecretSource::Text(Secret::new(SESSION_SECRET))),
            ..SessionConfig::default()
        },
        ..OidcConfig::default()
    };
    let stores = (Arc::new(PgLogins::new(pool(database))), Arc::new(PgSessions::new(pool(database))));
    let login = OidcLogin::new(&config, stores.0, stores.1).unwrap();
    tracing::info!(?config, ?login, "configured");
    for is_good in [true, false] {
        let begun = login.begin(Sent::get("/auth/login").request(), None).await.unwrap();
        tracing::info!(?begun, "begun");
        let query = form(begun.location.expose().split_once('?').unwrap().1);
        let value = |set_cookie: &str| set_cookie.split(['=', ';']).nth(1).unwrap().to_owned();
        secrets.extend([query["state"].clone(), query["nonce"].clone(), value(begun.set_cookie.expose())]);
        // What a browser would do, without a client that logs what it is asked for.
        let code = if is_good { provider.let_in(&query) } else { "a code that nobody gave".into() };
        let encoded = code.replace(' ', "+");
        let sent = Sent::get(&format!("/auth/callback?code={encoded}&state={}", query["state"]))
            .header("cookie", begun.set_cookie.expose().split(';').next().unwrap());
        let finished = login.finish(sent.request()).await;
        tracing::info!(?finished, request = ?sent.request(), "finished");
        secrets.push(code);
        let Ok(finished) = finished else { continue };
        assert_eq!(finished.identity.method, Method::Oidc);
        let cookie = value(finished.session.set_cookie.expose());
        secrets.extend(cookie.split('.').map(Into::into));
        secrets.push(finished.session.csrf.expose().to_owned());
        secrets.push(provider.state().last_token.rsplit('.').next().unwrap().to_owned());
    }
    assert_eq!(secrets.iter().filter(|s| s.starts_with("code-")).count(), 1);
}

/// Time tells nothing: what is secret has no `==`, so the only ways to compare it are those in constant time.
#[test]
fn timing_secrets_are_compared_in_one_place() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut sources = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    for name in
        ["Secret(", "Digest(", "SetCookie(", "TokenText ", "TokenParts<", "Started ", "Begun ", "HmacSigner "]
    {
        let (before, _) = sources.split_once(&format!("pub struct {name}")).expect(name);
        let derived = before.rsplit("\n\n").next().unwrap();
        assert!(!derived.contains("PartialEq"), "{name} can be compared with ==");
        let implemented = format!("PartialEq for {}", name.trim_end_matches(['(', ' ', '<']));
        assert!(!sources.contains(&implemented), "{implemented}");
    }
    let compared = sources.lines().filter(|line| line.contains("expose()") && line.contains("=="));
    assert_eq!(compared.collect::<Vec<_>>(), [""; 0]);
    let ways = ["ct_eq(", "verify_slice(", "hmac::verify("].map(|way| sources.matches(way).count());
    assert_eq!(ways, [1, 1, 1], "each way in one place");
}
