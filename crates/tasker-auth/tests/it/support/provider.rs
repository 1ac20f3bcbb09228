//! An OpenID Connect provider on 127.0.0.1: it publishes keys, lets its one user in, and gives codes and tokens.
//! It checks what a provider checks (client, redirect, PKCE, a code is used once), and misbehaves on request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use chrono::Utc;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::keys::{SigningKey, encode};

pub(crate) const CLIENT: &str = "tasker";
pub(crate) const CLIENT_SECRET: &str = "the secret of the client: a+b/c=%";

/// What a test changes while the provider runs.
pub(crate) struct State {
    /// The keys that are published, by id; the first signs.
    pub(crate) keys: Vec<(String, SigningKey)>,
    /// How often the keys were asked for.
    pub(crate) key_requests: u32,
    /// How often somebody connected, whatever they said then.
    pub(crate) connections: u32,
    /// What is answered instead, if anything.
    pub(crate) status: u16,
    /// Changes the claims of an ID token before it is signed.
    pub(crate) tamper: fn(&mut Value),
    /// Replaces an ID token by another text.
    pub(crate) replace: fn(String) -> String,
    /// The last ID token.
    pub(crate) last_token: String,
    codes: HashMap<String, HashMap<String, String>>,
    count: u32,
}

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            keys: vec![("key-1".into(), SigningKey::rsa(1))],
            key_requests: 0,
            connections: 0,
            status: 200,
            tamper: |_| {},
            replace: |text| text,
            last_token: String::new(),
            codes: HashMap::new(),
            count: 0,
        };
        let provider = Self { url, state: Arc::new(Mutex::new(state)) };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.state().connections += 1;
                let provider = serving.clone();
                let service = service_fn(move |request| provider.clone().answer(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        provider
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn jwks_url(&self) -> String {
        format!("{}/jwks", self.url)
    }

    /// A token as the provider signs it, for its API.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let state = self.state();
        let (id, key) = &state.keys[0];
        key.token(&json!({ "alg": "RS256", "kid": id }), claims)
    }

    async fn answer(self, request: Request<hyper::body::Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
        let (parts, body) = request.into_parts();
        let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
        let status = self.state().status;
        let (status, location, text) = match parts.uri.path() {
            _ if status != 200 => (status, None, "{}".into()),
            "/.well-known/openid-configuration" => (200, None, self.discovery().to_string()),
            "/jwks" => (200, None, self.jwks().to_string()),
            "/authorize" => {
                (302, Some(self.authorize(&form(parts.uri.query().unwrap_or_default()))), String::new())
            }
            "/token" => {
                let basic = parts.headers.get("authorization").and_then(|v| v.to_str().ok());
                match self.exchange(&form(&body), basic) {
                    Some(answer) => (200, None, answer.to_string()),
                    None => (400, None, json!({ "error": "invalid_grant" }).to_string()),
                }
            }
            "/redirect" => (302, Some(self.jwks_url()), String::new()),
            _ => (404, None, "{}".into()),
        };
        let mut response = Response::builder().status(status).header("content-type", "application/json");
        if let Some(location) = location {
            response = response.header("location", location);
        }
        Ok(response.body(Full::from(text)).unwrap())
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url);
        json!({
            "issuer": self.url, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"), "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        })
    }

    fn jwks(&self) -> Value {
        let mut state = self.state();
        state.key_requests += 1;
        json!({ "keys": state.keys.iter().map(|(id, key)| key.jwk(id)).collect::<Vec<_>>() })
    }

    /// Lets the user in and sends the browser back with a code.
    fn authorize(&self, query: &HashMap<String, String>) -> String {
        let code = self.let_in(query);
        format!("{}?code={code}&state={}", query["redirect_uri"], query["state"])
    }

    /// Lets the user in: the code for what was asked.
    pub(crate) fn let_in(&self, query: &HashMap<String, String>) -> String {
        let mut state = self.state();
        state.count += 1;
        let code = format!("code-{}-of-the-provider", state.count);
        state.codes.insert(code.clone(), query.clone());
        code
    }

    fn exchange(&self, form: &HashMap<String, String>, basic: Option<&str>) -> Option<Value> {
        let mut state = self.state();
        let asked = state.codes.remove(form.get("code")?)?;
        let challenge = encode(Sha256::digest(form.get("code_verifier")?));
        let expected = base64::Engine::encode(
            &base64::prelude::BASE64_STANDARD,
            format!("{CLIENT}:the+secret+of+the+client%3A+a%2Bb%2Fc%3D%25"),
        );
        let is_right = basic? == format!("Basic {expected}")
            && asked["client_id"] == CLIENT
            && asked["response_type"] == "code"
            && asked["code_challenge_method"] == "S256"
            && asked["code_challenge"] == challenge
            && form.get("grant_type")? == "authorization_code"
            && *form.get("redirect_uri")? == asked["redirect_uri"];
        is_right.then_some(())?;
        let now = Utc::now().timestamp();
        let mut claims = json!({
            "iss": self.url, "aud": CLIENT, "sub": "ada", "name": "Ada L.", "roles": ["operator"],
            "nonce": asked["nonce"], "iat": now, "exp": now + 300,
        });
        (state.tamper)(&mut claims);
        let (id, key) = &state.keys[0];
        let token = (state.replace)(key.token(&json!({ "alg": "RS256", "kid": id }), &claims));
        state.last_token.clone_from(&token);
        Some(json!({ "access_token": "opaque", "token_type": "Bearer", "id_token": token }))
    }
}

/// The pairs of a query or a form.
pub(crate) fn form(text: &str) -> HashMap<String, String> {
    reqwest::Url::parse(&format!("http://form/?{text}")).unwrap().query_pairs().into_owned().collect()
}
