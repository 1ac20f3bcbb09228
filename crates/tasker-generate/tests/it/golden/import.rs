//! The authenticator `import`: knows whoever sends an API token of `tasker.api_tokens`.
//!
//! What a token must be is checked by `ApiTokenAuthenticator`. Whom this service lets in, of those
//! whose token is genuine, is said in `admit`.

use std::sync::Arc;

use tasker_auth::{
    ApiTokenAuthenticator, ApiTokenConfig, AuthError, AuthFuture, Authenticator, Identity, Problem,
    Registry, Request,
    pg::{Connections, PgTokens},
    read_section,
};

/// The name in the configuration.
pub const NAME: &str = "import";

/// Serves all requests at once and keeps nothing of them.
#[derive(Debug)]
pub struct Import {
    tokens: ApiTokenAuthenticator,
}

/// Registers it for use by its name. Each request borrows a connection.
pub fn register(registry: Registry, connections: impl Connections + Clone) -> Registry {
    registry.authenticator(NAME, move |options| {
        let config = read_section(options)?;
        Import::new(&config, connections.clone())
    })
}

impl Import {
    /// The authenticator.
    ///
    /// # Errors
    /// Every mistake in the options.
    pub fn new(
        config: &ApiTokenConfig,
        connections: impl Connections,
    ) -> Result<Self, Vec<Problem>> {
        let store = Arc::new(PgTokens::new(connections));
        Ok(Self {
            tokens: ApiTokenAuthenticator::new(config, store)?,
        })
    }

    /// Whom this service lets in, of those who are known: everybody, until more is said here. For
    /// one who is blocked, return `Err(Refusal::UnknownUser.into())`.
    fn admit(&self, who: Identity) -> Result<Identity, AuthError> {
        Ok(who)
    }
}

impl Authenticator for Import {
    fn authenticate<'a>(
        &'a self,
        request: Request<'a>,
    ) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move { self.admit(self.tokens.authenticate(request).await?) })
    }
}

#[cfg(test)]
mod tests {
    use diesel::{
        PgConnection,
        r2d2::{ConnectionManager, Pool},
    };
    use serde_json::{Value, json};
    use tasker_auth::{
        AuthConfig, Refusal, http,
        pg::{IssuedToken, NewToken, issue_token, revoke_token},
    };
    use tasker_testkit::TestDatabase;

    use super::*;

    fn pool(database: &TestDatabase) -> Pool<ConnectionManager<PgConnection>> {
        let manager = ConnectionManager::new(database.url());
        Pool::builder().max_size(2).build(manager).unwrap()
    }

    fn authenticator(database: &TestDatabase) -> Import {
        Import::new(&ApiTokenConfig::default(), pool(database)).unwrap()
    }

    fn issue(database: &TestDatabase, subject: &str) -> IssuedToken {
        let mut new = NewToken::new(subject, "for a test", "test");
        new.roles.insert("importer".into());
        let conn = &mut database.connection();
        issue_token(conn, &ApiTokenConfig::default().prefix, &new).unwrap()
    }

    async fn present(to: &Import, token: &str) -> Result<Identity, AuthError> {
        let request = http::Request::get("/tasks").header("x-api-token", token);
        to.authenticate(Request::from(&request.body(()).unwrap()))
            .await
    }

    #[tokio::test]
    async fn a_genuine_token_is_known_and_no_other() {
        let database = TestDatabase::new();
        let to = authenticator(&database);
        for subject in ["nightly", "hourly"] {
            let issued = issue(&database, subject);
            let text = issued.text.expose();
            let who = present(&to, text).await.unwrap();
            assert_eq!(who.subject, subject);
            assert!(who.roles.contains("importer"));
            let last = if text.ends_with('0') { "1" } else { "0" };
            let forged = format!("{}{last}", &text[..text.len() - 1]);
            let refused = present(&to, &forged).await;
            assert_eq!(refused, Err(Refusal::Invalid.into()));
        }
        let request = http::Request::get("/tasks").body(()).unwrap();
        let refused = to.authenticate(Request::from(&request)).await;
        assert!(matches!(refused, Err(AuthError::Missing { .. })));
    }

    #[tokio::test]
    async fn a_token_that_was_taken_back_is_refused() {
        let database = TestDatabase::new();
        let to = authenticator(&database);
        let issued = issue(&database, "nightly");
        let conn = &mut database.connection();
        assert!(revoke_token(conn, issued.id, "test", None).unwrap());
        let refused = present(&to, issued.text.expose()).await;
        assert_eq!(refused, Err(Refusal::Revoked.into()));
    }

    #[test]
    fn it_is_configured_by_name_and_every_mistake_is_told() {
        let database = TestDatabase::new();
        let registry = register(Registry::default(), pool(&database));
        let configured = |options: Value| {
            let section = json!({
                "authentication_enabled": true, "authenticator": NAME,
                "authenticator_options": options,
            });
            let config: AuthConfig = read_section(&section).unwrap();
            config.build(&registry).map(drop).map_err(|e| e.to_string())
        };
        configured(json!({ "prefix": "shop" })).unwrap();
        for (key, value) in [("prefix", "A"), ("header", "no header"), ("unheard_of", "")] {
            let said = configured(json!({ key: value })).unwrap_err();
            assert!(said.contains(key), "{key}: {said}");
        }
    }
}
