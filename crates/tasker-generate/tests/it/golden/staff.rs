//! The authenticator `staff`: knows whoever has signed in at a provider of OpenID Connect, by the
//! session in which the login ended.
//!
//! The routes of the login are made of `login()`. Whom this service lets in, of those who have signed
//! in, is said in `admit`.

use std::sync::Arc;

use tasker_auth::{
    AuthError, AuthFuture, Authenticator, Identity, OidcConfig, OidcLogin, Problem, Registry,
    Request,
    pg::{Connections, PgLogins, PgSessions},
};

/// The name in the configuration.
pub const NAME: &str = "staff";

/// Serves all requests at once and keeps nothing of them.
#[derive(Debug)]
pub struct Staff {
    login: Arc<OidcLogin>,
}

/// Registers it for use by its name. The routes of the login share the value.
pub fn register(registry: Registry, value: Arc<Staff>) -> Registry {
    registry.authenticator_value(NAME, value)
}

impl Staff {
    /// The authenticator. The provider is asked when the first login begins.
    ///
    /// # Errors
    /// Every mistake in the options.
    pub fn new(
        config: &OidcConfig,
        connections: impl Connections + Clone,
    ) -> Result<Self, Vec<Problem>> {
        let logins = Arc::new(PgLogins::new(connections.clone()));
        let sessions = Arc::new(PgSessions::new(connections));
        let login = Arc::new(OidcLogin::new(config, logins, sessions)?);
        Ok(Self { login })
    }

    /// For the routes: `tasker_auth::web::login_routes(value.login())`.
    pub fn login(&self) -> Arc<OidcLogin> {
        Arc::clone(&self.login)
    }

    /// Whom this service lets in, of those who are known: everybody, until more is said here. For
    /// one who is blocked, return `Err(Refusal::UnknownUser.into())`.
    fn admit(&self, who: Identity) -> Result<Identity, AuthError> {
        Ok(who)
    }
}

impl Authenticator for Staff {
    fn authenticate<'a>(
        &'a self,
        request: Request<'a>,
    ) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move { self.admit(self.login.authenticate(request).await?) })
    }
}

#[cfg(test)]
mod tests {
    use diesel::{
        PgConnection,
        r2d2::{ConnectionManager, Pool},
    };
    use serde_json::{Value, json};
    use tasker_auth::{AuthConfig, Method, Refusal, http, read_section};
    use tasker_testkit::TestDatabase;

    use super::*;

    fn pool(database: &TestDatabase) -> Pool<ConnectionManager<PgConnection>> {
        let manager = ConnectionManager::new(database.url());
        Pool::builder().max_size(2).build(manager).unwrap()
    }

    fn options() -> Value {
        json!({
            "issuer": "https://provider.example", "client_id": "tasker",
            "redirect_url": "https://tasker.example/auth/callback",
            "session": { "secret": "for tests: thirty-two bytes or more" },
        })
    }

    fn authenticator(database: &TestDatabase) -> Staff {
        let config = read_section(&options()).unwrap();
        Staff::new(&config, pool(database)).unwrap()
    }

    #[tokio::test]
    async fn whoever_has_signed_in_is_known_by_their_session() {
        let database = TestDatabase::new();
        let to = authenticator(&database);
        for subject in ["ada", "grace"] {
            let request = http::Request::get("/auth/callback").body(()).unwrap();
            let who = Identity::new(subject, Method::Oidc);
            let login = to.login();
            let started = login.sessions().start(Request::from(&request), who).await;
            let started = started.unwrap();
            let cookie = started.set_cookie.expose().split(';').next().unwrap();
            let request = http::Request::get("/tasks").header("cookie", cookie);
            let request = request.body(()).unwrap();
            let who = to.authenticate(Request::from(&request)).await.unwrap();
            assert_eq!(who.subject, subject);
        }
    }

    #[tokio::test]
    async fn a_request_without_a_session_is_refused_and_not_redirected() {
        let database = TestDatabase::new();
        let request = http::Request::get("/tasks").body(()).unwrap();
        let refused = authenticator(&database)
            .authenticate(Request::from(&request))
            .await;
        assert_eq!(refused.unwrap_err().status(), 401);
    }

    #[tokio::test]
    async fn a_login_that_was_not_begun_here_is_refused() {
        let database = TestDatabase::new();
        let login = authenticator(&database).login();
        let request = http::Request::get("/auth/callback?state=s&code=c");
        let request = request
            .header("cookie", "__Host-tasker-login=b")
            .body(())
            .unwrap();
        let refused = login.finish(Request::from(&request)).await;
        assert_eq!(refused.unwrap_err(), Refusal::Login.into());
    }

    #[test]
    fn it_is_configured_by_name_and_every_mistake_is_told() {
        let database = TestDatabase::new();
        let section = json!({ "authentication_enabled": true, "authenticator": NAME });
        let config: AuthConfig = read_section(&section).unwrap();
        let registry = register(Registry::default(), Arc::new(authenticator(&database)));
        assert!(config.build(&registry).is_ok());
        for (key, value) in [
            ("issuer", json!("http://169.254.169.254")),
            ("client_id", json!("")),
            ("algorithms", json!(["HS256"])),
            ("scopes", json!(["profile"])),
            ("session", json!({ "secret": "short" })),
        ] {
            let mut wrong = options();
            wrong[key] = value;
            let wrong = read_section(&wrong).unwrap();
            let problems = Staff::new(&wrong, pool(&database)).unwrap_err();
            assert!(
                problems.iter().any(|p| p.key.starts_with(key)),
                "{problems:?}"
            );
        }
    }
}
