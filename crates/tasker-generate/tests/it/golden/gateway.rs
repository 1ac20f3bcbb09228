//! The authenticator `gateway`: knows whoever sends credentials that the host application knows.
//!
//! How they are known is the function given to `Gateway::new`. Keep `Digest::of` them and compare
//! with `Digest::matches`, so that neither a copy of the store nor the time of an answer tells them.
//! A store that must be waited for is asked in `authenticate`, which may wait.

use std::fmt;

use serde::{Deserialize, Serialize};
use tasker_auth::{
    AuthError, AuthFuture, Authenticator, Identity, Problem, Refusal, Registry, Request,
    http::HeaderName, read_section,
};

/// The name in the configuration.
pub const NAME: &str = "gateway";

/// The options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// The header that holds the credentials.
    pub header: String,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            header: "x-credentials".into(),
        }
    }
}

/// Serves all requests at once and keeps nothing of them.
pub struct Gateway {
    header: HeaderName,
    find: Box<dyn Fn(&str) -> Option<Identity> + Send + Sync>,
}

/// Registers it for use by its name.
pub fn register(
    registry: Registry,
    find: impl Fn(&str) -> Option<Identity> + Clone + Send + Sync + 'static,
) -> Registry {
    registry.authenticator(NAME, move |options| {
        let config = read_section(options)?;
        Gateway::new(&config, find.clone())
    })
}

impl Gateway {
    /// The authenticator. `find` says whose credentials they are, `None` if nobody's.
    ///
    /// # Errors
    /// Every mistake in the options.
    pub fn new(
        config: &GatewayConfig,
        find: impl Fn(&str) -> Option<Identity> + Send + Sync + 'static,
    ) -> Result<Self, Vec<Problem>> {
        let wrong = |_| vec![Problem::new("header", "is no name of a header")];
        let header = config.header.parse().map_err(wrong)?;
        Ok(Self {
            header,
            find: Box::new(find),
        })
    }
}

impl Authenticator for Gateway {
    fn authenticate<'a>(
        &'a self,
        request: Request<'a>,
    ) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move {
            let expected = "send credentials in the header that is configured";
            let sent = request.header(&self.header)?;
            let sent = sent.ok_or(AuthError::Missing { expected })?;
            Ok((self.find)(sent).ok_or(Refusal::Invalid)?)
        })
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tasker_auth::{AuthConfig, Method, http};

    use super::*;

    fn find(credentials: &str) -> Option<Identity> {
        let subject = credentials.strip_prefix("genuine:")?;
        Some(Identity::new(subject, Method::Custom))
    }

    async fn present(sent: &[&str]) -> Result<Identity, AuthError> {
        let to = Gateway::new(&GatewayConfig::default(), find).unwrap();
        let mut request = http::Request::get("/tasks");
        for value in sent {
            request = request.header("x-credentials", *value);
        }
        to.authenticate(Request::from(&request.body(()).unwrap()))
            .await
    }

    #[tokio::test]
    async fn who_is_known_is_known_and_nobody_else() {
        for subject in ["ada", "grace"] {
            let who = present(&[&format!("genuine:{subject}")]).await.unwrap();
            assert_eq!(
                (who.subject.as_str(), who.method),
                (subject, Method::Custom)
            );
        }
        let invalid = Err(Refusal::Invalid.into());
        assert_eq!(present(&["forged:ada"]).await, invalid);
        assert_eq!(present(&["genuine:ada", "genuine:grace"]).await, invalid);
        assert!(matches!(present(&[]).await, Err(AuthError::Missing { .. })));
    }

    fn configured(options: Value) -> Result<(), String> {
        let section = json!({
            "authentication_enabled": true, "authenticator": NAME,
            "authenticator_options": options,
        });
        let config: AuthConfig = read_section(&section).unwrap();
        let built = config.build(&register(Registry::default(), find));
        built.map(drop).map_err(|e| e.to_string())
    }

    #[test]
    fn it_is_configured_by_name_and_every_mistake_is_told() {
        configured(json!({ "header": "x-shop-user" })).unwrap();
        for (key, value) in [("header", "no header"), ("unheard_of", "")] {
            let said = configured(json!({ key: value })).unwrap_err();
            assert!(said.contains(key), "{key}: {said}");
        }
    }
}
