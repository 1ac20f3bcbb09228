//! A login in two requests: the first sends the browser to the provider, the second takes it back.
//!
//! What ties the two together is random and kept for one use: the state (in the URL, and found only with the
//! cookie of the same browser), the nonce (which the token must repeat) and the code verifier (without which the
//! provider gives no token for the code).

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, Utc};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Login, LoginStore, OidcConfig, config::is_local, discovery::Discovery};
use crate::{
    AuthError, AuthFuture, Authenticator, Digest, Identity, Method, Problem, Refusal, Request, Secret,
    SessionStore, Sessions, SetCookie, Started, Unavailable,
    fetch::Fetcher,
    jwt::{Expected, verify},
    random,
    session::{cookie, set_cookie},
};

/// Signs users in at a provider, and knows them by their session afterwards.
pub struct OidcLogin {
    config: OidcConfig,
    secret: Option<Secret>,
    discovery: Discovery,
    logins: Arc<dyn LoginStore>,
    sessions: Arc<Sessions>,
}

/// Where to send the browser.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Begun {
    /// The value of `Location`. It holds the state, so it stays out of logs.
    pub location: Secret,
    /// The value of `Set-Cookie`.
    pub set_cookie: SetCookie,
}

/// A login that is done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finished {
    /// Who.
    pub identity: Identity,
    /// Their session.
    pub session: Started,
    /// A path of this service to go to.
    pub return_to: String,
    /// Removes the cookie of the login.
    pub clear_cookie: SetCookie,
}

/// The answer of the provider to a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl OidcLogin {
    /// The login, or every mistake in the options. The provider is asked when the first login begins.
    pub fn new(
        config: &OidcConfig,
        logins: Arc<dyn LoginStore>,
        sessions: Arc<dyn SessionStore>,
    ) -> Result<Self, Vec<Problem>> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let wrong = |key: &'static str| move |reason: String| vec![Problem::new(key, reason)];
        let fetcher = Fetcher::new(&config.fetch).map_err(wrong("fetch"))?;
        Url::parse(&config.redirect_url).map_err(|e| wrong("redirect_url")(format!("is no URL: {e}")))?;
        Ok(Self {
            config: config.clone(),
            secret: config.secret().map_err(wrong("client_secret"))?,
            discovery: Discovery::new(&config.issuer, fetcher).map_err(wrong("issuer"))?,
            logins,
            sessions: Arc::new(Sessions::new(&config.session, sessions)?),
        })
    }

    /// The sessions in which logins end.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Begins a login. `return_to` is kept where it is a path of this service, and otherwise left out.
    pub async fn begin(&self, request: Request<'_>, return_to: Option<&str>) -> Result<Begun, Unavailable> {
        let provider = self.discovery.provider(request.instant()).await?;
        let [state, browser, nonce, code_verifier] = std::array::from_fn(|_| random::hex::<32>());
        let challenge = BASE64.encode(Sha256::digest(&code_verifier));
        let location = self.location(&provider.authorization_endpoint, &state, &nonce, &challenge)?;
        let return_to =
            return_to.filter(|path| is_local(path)).unwrap_or(&self.config.after_login).to_owned();
        let login = Login::new(Digest::of(&state), Digest::of(&browser), nonce, code_verifier, return_to);
        let seconds = self.config.login_seconds;
        self.logins.insert(login, seconds, request.now).await?;
        let set_cookie = set_cookie(self.cookie(), &browser, seconds, self.sessions.is_secure());
        Ok(Begun { location: Secret::new(location), set_cookie: SetCookie(set_cookie) })
    }

    fn location(
        &self,
        endpoint: &str,
        state: &str,
        nonce: &str,
        challenge: &str,
    ) -> Result<String, Unavailable> {
        let wrong = |e: url::ParseError| Unavailable::new("the provider of identities", e.to_string());
        let mut url = Url::parse(endpoint).map_err(wrong)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.config.redirect_url)
            .append_pair("scope", &self.config.scopes.join(" "))
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Finishes a login with the request that the provider sent the browser back with. [`Refusal::Login`] where it
    /// was not begun by this browser, was finished before, took too long, or the provider refused.
    pub async fn finish(&self, request: Request<'_>) -> Result<Finished, AuthError> {
        let answer = CallbackQuery::of(&request).ok_or(Refusal::Login)?;
        let browser = cookie(&request, self.cookie())?.ok_or(Refusal::Login)?;
        let taken = self.logins.take(Digest::of(&answer.state), Digest::of(browser), request.now).await?;
        let login = taken.ok_or(Refusal::Login)?;
        // Taken first, so that an answer counts once, whatever it says.
        let code = answer.code.ok_or(Refusal::Login)?;
        if answer.issuer.is_some_and(|issuer| issuer != self.config.issuer) {
            return Err(Refusal::Login.into());
        }
        let identity = self.redeem(&code, &login, request.instant()).await?;
        let session = self.sessions.start(request, identity.clone()).await?;
        let clear_cookie = SetCookie(set_cookie(self.cookie(), "", 0, self.sessions.is_secure()));
        Ok(Finished { identity, session, return_to: login.return_to, clear_cookie })
    }

    async fn redeem(&self, code: &str, login: &Login, now: DateTime<Utc>) -> Result<Identity, AuthError> {
        let provider = self.discovery.provider(now).await?;
        let form = self.form(code, &login.code_verifier);
        let id = encoded(&self.config.client_id);
        let secret = self.secret.as_ref().map(|secret| encoded(secret.expose()));
        let basic = secret.as_deref().map(|secret| (id.as_str(), secret));
        let answer = self.discovery.fetcher().post(&provider.token_endpoint, form, basic).await;
        let text = answer.map_err(|reason| {
            tracing::warn!(reason, "the provider gave no token for a code");
            Refusal::Login
        })?;
        let tokens: Tokens = serde_json::from_str(&text).map_err(|_| Refusal::Login)?;
        let expected = Expected {
            algorithms: &self.config.algorithms,
            issuer: &self.config.issuer,
            audiences: std::slice::from_ref(&self.config.client_id),
            leeway_seconds: self.config.leeway_seconds,
        };
        let claims = verify(&tokens.id_token, &provider.keys, &expected, now).await?;
        self.check(&claims, login)?;
        Ok(self.config.claims.identity(&claims, Method::Oidc)?)
    }

    fn form(&self, code: &str, verifier: &str) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.config.redirect_url)
            .append_pair("code_verifier", verifier);
        if self.secret.is_none() {
            form.append_pair("client_id", &self.config.client_id);
        }
        form.finish()
    }

    /// What an ID token must say beside what every token must.
    fn check(&self, claims: &Map<String, Value>, login: &Login) -> Result<(), Refusal> {
        let text = |name| claims.get(name).and_then(Value::as_str);
        let is_ours = text("azp").map(|party| party == self.config.client_id);
        let several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
        if is_ours == Some(false) || (several && is_ours.is_none()) {
            return Err(Refusal::Audience);
        }
        let nonce = text("nonce").ok_or(Refusal::Login)?;
        let is_same = Digest::of(nonce).matches(&Digest::of(&login.nonce));
        if is_same && claims.contains_key("iat") { Ok(()) } else { Err(Refusal::Login) }
    }

    fn cookie(&self) -> &'static str {
        if self.sessions.is_secure() { "__Host-tasker-login" } else { "tasker-login" }
    }
}

/// The form in which the standard wants client id and secret before they are put into `Authorization`.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What the provider sent the browser back with.
struct CallbackQuery {
    state: String,
    code: Option<String>,
    issuer: Option<String>,
}

impl CallbackQuery {
    /// `None` without a state, or with anything twice.
    fn of(request: &Request<'_>) -> Option<Self> {
        let (mut state, mut code, mut issuer) = (None, None, None);
        for (key, value) in url::form_urlencoded::parse(request.uri.query()?.as_bytes()) {
            let place = match &*key {
                "state" => &mut state,
                "code" => &mut code,
                "iss" => &mut issuer,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self { state: state?, code, issuer })
    }
}

impl Authenticator for OidcLogin {
    fn authenticate<'a>(&'a self, request: Request<'a>) -> AuthFuture<'a, Result<Identity, AuthError>> {
        self.sessions.authenticate(request)
    }
}

impl fmt::Debug for OidcLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcLogin").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}
