//! The authenticator `portal`: knows whoever has signed in, by a signed cookie. The rest of a session
//! is a row of `tasker.sessions`.
//!
//! The routes that sign in and out use `sessions()`. Whom this service lets in, of those who have a
//! session, is said in `admit`.

use std::sync::Arc;

use tasker_auth::{
    AuthError, AuthFuture, Authenticator, Identity, Problem, Registry, Request, SessionConfig,
    Sessions,
    pg::{Connections, PgSessions},
};

/// The name in the configuration.
pub const NAME: &str = "portal";

/// Serves all requests at once and keeps nothing of them.
#[derive(Debug)]
pub struct Portal {
    sessions: Sessions,
}

/// Registers it for use by its name. The routes that sign in and out share the value.
pub fn register(registry: Registry, value: Arc<Portal>) -> Registry {
    registry.authenticator_value(NAME, value)
}

impl Portal {
    /// The authenticator.
    ///
    /// # Errors
    /// Every mistake in the options.
    pub fn new(
        config: &SessionConfig,
        connections: impl Connections,
    ) -> Result<Self, Vec<Problem>> {
        let sessions = Sessions::new(config, Arc::new(PgSessions::new(connections)))?;
        Ok(Self { sessions })
    }

    /// Starts and ends sessions: `start` once somebody has proved who they are, `end` to sign out,
    /// `csrf` for the pages that change something.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Whom this service lets in, of those who are known: everybody, until more is said here. For
    /// one who is blocked, return `Err(Refusal::UnknownUser.into())`.
    fn admit(&self, who: Identity) -> Result<Identity, AuthError> {
        Ok(who)
    }
}

impl Authenticator for Portal {
    fn authenticate<'a>(
        &'a self,
        request: Request<'a>,
    ) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move { self.admit(self.sessions.authenticate(request).await?) })
    }
}

#[cfg(test)]
mod tests {
    use diesel::{
        PgConnection,
        r2d2::{ConnectionManager, Pool},
    };
    use serde_json::{Value, json};
    use tasker_auth::{AuthConfig, Method, Refusal, Started, http, read_section};
    use tasker_testkit::TestDatabase;

    use super::*;

    fn pool(database: &TestDatabase) -> Pool<ConnectionManager<PgConnection>> {
        let manager = ConnectionManager::new(database.url());
        Pool::builder().max_size(2).build(manager).unwrap()
    }

    fn options() -> Value {
        json!({ "secret": "for tests: thirty-two bytes or more" })
    }

    fn authenticator(database: &TestDatabase) -> Portal {
        let config = read_section(&options()).unwrap();
        Portal::new(&config, pool(database)).unwrap()
    }

    fn request(method: &str, headers: &[(&str, &str)]) -> http::Request<()> {
        let mut request = http::Request::builder().method(method).uri("/tasks");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    async fn sign_in(to: &Portal, subject: &str) -> Started {
        let who = Identity::new(subject, Method::Session);
        let request = request("POST", &[]);
        to.sessions()
            .start(Request::from(&request), who)
            .await
            .unwrap()
    }

    fn cookie(started: &Started) -> String {
        started
            .set_cookie
            .expose()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    }

    #[tokio::test]
    async fn whoever_has_signed_in_is_known_and_nobody_else() {
        let database = TestDatabase::new();
        let to = authenticator(&database);
        for subject in ["ada", "grace"] {
            let cookie = cookie(&sign_in(&to, subject).await);
            let with = request("GET", &[("cookie", &cookie)]);
            let who = to.authenticate(Request::from(&with)).await.unwrap();
            assert_eq!(who.subject, subject);
            let forged = request("GET", &[("cookie", &format!("{cookie}0"))]);
            let refused = to.authenticate(Request::from(&forged)).await;
            assert_eq!(refused, Err(Refusal::Invalid.into()));
            let without = request("GET", &[]);
            let refused = to.authenticate(Request::from(&without)).await;
            assert!(matches!(refused, Err(AuthError::Missing { .. })));
        }
    }

    #[tokio::test]
    async fn a_change_needs_the_token_of_its_session() {
        let database = TestDatabase::new();
        let to = authenticator(&database);
        let started = sign_in(&to, "ada").await;
        let cookie = cookie(&started);
        let forged = request("POST", &[("cookie", &cookie)]);
        let refused = to.authenticate(Request::from(&forged)).await;
        assert!(matches!(refused, Err(AuthError::Csrf { .. })));
        let token = ("x-csrf-token", started.csrf.expose());
        let ours = request("POST", &[("cookie", &cookie), token]);
        assert!(to.authenticate(Request::from(&ours)).await.is_ok());
    }

    #[tokio::test]
    async fn a_session_ends_with_its_row() {
        let database = TestDatabase::new();
        let to = authenticator(&database);
        let cookie = cookie(&sign_in(&to, "ada").await);
        let request = request("GET", &[("cookie", &cookie)]);
        to.sessions().end(Request::from(&request)).await.unwrap();
        let refused = to.authenticate(Request::from(&request)).await;
        assert_eq!(refused, Err(Refusal::Expired.into()));
    }

    #[test]
    fn it_is_configured_by_name_and_every_mistake_is_told() {
        let database = TestDatabase::new();
        let section = json!({ "authentication_enabled": true, "authenticator": NAME });
        let config: AuthConfig = read_section(&section).unwrap();
        let registry = register(Registry::default(), Arc::new(authenticator(&database)));
        assert!(config.build(&registry).is_ok());
        let wrong = json!({ "secret": "short", "idle_seconds": 1 });
        let wrong = read_section(&wrong).unwrap();
        let problems = Portal::new(&wrong, pool(&database)).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["idle_seconds", "secret"]);
    }
}
