//! The authenticator `partner`: knows whoever sends a JSON Web Token of the configured issuer.
//!
//! What a token must be is checked by `JwtAuthenticator`. Whom this service lets in, of those whose
//! token is genuine, is said in `admit`.

use tasker_auth::{
    AuthError, AuthFuture, Authenticator, Identity, Problem, Registry, Request,
    jwt::{JwtAuthenticator, JwtConfig},
    read_section,
};

/// The name in the configuration.
pub const NAME: &str = "partner";

/// Serves all requests at once and keeps nothing of them.
#[derive(Debug)]
pub struct Partner {
    tokens: JwtAuthenticator,
}

/// Registers it for use by its name.
pub fn register(registry: Registry) -> Registry {
    registry.authenticator(NAME, |options| {
        let config = read_section(options)?;
        Partner::new(&config)
    })
}

impl Partner {
    /// The authenticator.
    ///
    /// # Errors
    /// Every mistake in the options.
    pub fn new(config: &JwtConfig) -> Result<Self, Vec<Problem>> {
        let tokens = JwtAuthenticator::new(config)?;
        Ok(Self { tokens })
    }

    /// Whom this service lets in, of those who are known: everybody, until more is said here. For
    /// one who is blocked, return `Err(Refusal::UnknownUser.into())`.
    fn admit(&self, who: Identity) -> Result<Identity, AuthError> {
        Ok(who)
    }
}

impl Authenticator for Partner {
    fn authenticate<'a>(
        &'a self,
        request: Request<'a>,
    ) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move { self.admit(self.tokens.authenticate(request).await?) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tasker_auth::{
        AuthConfig, Refusal, Secret, http,
        jwt::{Algorithm, HmacSigner, TestToken},
    };

    use super::*;

    const SECRET: &str = "for tests: thirty-two bytes or more";

    fn options() -> Value {
        json!({
            "issuer": "tasker-test", "audience": ["tasker-api"], "secret": SECRET,
            "claims": { "roles": "roles" },
        })
    }

    fn authenticator() -> Partner {
        Partner::new(&read_section(&options()).unwrap()).unwrap()
    }

    fn signed(token: TestToken, secret: &str) -> String {
        let signer = HmacSigner::new(Algorithm::HS256, &Secret::new(secret));
        token.sign(&signer.unwrap())
    }

    async fn present(to: &Partner, token: &str) -> Result<Identity, AuthError> {
        let request = http::Request::get("/tasks");
        let request = request.header("authorization", format!("Bearer {token}"));
        to.authenticate(Request::from(&request.body(()).unwrap()))
            .await
    }

    #[tokio::test]
    async fn a_genuine_token_is_known() {
        let token = TestToken::of("ada").claim("roles", json!(["operator"]));
        let who = present(&authenticator(), &signed(token, SECRET)).await;
        let who = who.unwrap();
        assert_eq!(who.subject, "ada");
        assert!(who.roles.contains("operator"));
    }

    #[tokio::test]
    async fn no_other_is() {
        let ada = || TestToken::of("ada");
        let good = signed(ada(), SECRET);
        let other = SECRET.replace("tests", "thieves");
        for (text, refusal) in [
            ("not.a.token".to_owned(), Refusal::Invalid),
            (
                good.rsplit_once('.').unwrap().0.to_owned() + ".",
                Refusal::Invalid,
            ),
            (signed(ada(), &other), Refusal::Invalid),
            (
                signed(ada().claim("iss", json!("else")), SECRET),
                Refusal::Invalid,
            ),
            (
                signed(ada().claim("aud", json!("else")), SECRET),
                Refusal::Audience,
            ),
            (
                signed(ada().claim("exp", json!(1)), SECRET),
                Refusal::Expired,
            ),
        ] {
            let refused = present(&authenticator(), &text).await;
            assert_eq!(refused, Err(refusal.into()), "{text}");
        }
    }

    #[tokio::test]
    async fn nothing_of_a_request_stays_for_the_next() {
        let to = authenticator();
        for subject in ["ada", "grace", "ada"] {
            let token = signed(TestToken::of(subject), SECRET);
            assert_eq!(present(&to, &token).await.unwrap().subject, subject);
            assert!(present(&to, "not.a.token").await.is_err());
        }
        let request = http::Request::get("/tasks").body(()).unwrap();
        let refused = to.authenticate(Request::from(&request)).await;
        assert!(matches!(refused, Err(AuthError::Missing { .. })));
    }

    fn configured(options: &Value) -> Result<(), String> {
        let section = json!({
            "authentication_enabled": true, "authenticator": NAME,
            "authenticator_options": options,
        });
        let config: AuthConfig = read_section(&section).unwrap();
        let built = config.build(&register(Registry::default()));
        built.map(drop).map_err(|e| e.to_string())
    }

    #[test]
    fn it_is_configured_by_name_and_every_mistake_is_told() {
        configured(&options()).unwrap();
        for (key, value) in [
            ("secret", json!("short")),
            ("issuer", json!("")),
            ("audience", json!([])),
            ("leeway_seconds", json!(301)),
            ("unheard_of", json!(1)),
        ] {
            let mut wrong = options();
            wrong[key] = value;
            let said = configured(&wrong).unwrap_err();
            assert!(said.contains(key), "{key}: {said}");
        }
    }
}
