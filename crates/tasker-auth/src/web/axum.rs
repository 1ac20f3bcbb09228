//! For servers on axum: the guard as an extractor, errors as answers, and the routes of a login.

#[cfg(feature = "oidc")]
use std::sync::Arc;

use axum::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use super::answer;
use crate::{AuthError, Guard};

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        answer::<Body>(&self)
    }
}

impl<S: Sync> FromRequestParts<S> for Guard {
    type Rejection = AuthError;

    /// The guard that the layer left. Without the layer, nothing is served.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        parts.extensions.get::<Self>().cloned().ok_or(AuthError::Unchecked)
    }
}

/// `GET /auth/login`, `GET /auth/callback`, `POST /auth/logout` and `GET /auth/me`, to be served behind the
/// [`AuthLayer`](super::AuthLayer) whose authenticator is the same login.
#[cfg(feature = "oidc")]
pub fn login_routes(login: Arc<crate::OidcLogin>) -> axum::Router {
    use axum::routing::{get, post};
    axum::Router::new()
        .route("/auth/login", get(login::begin))
        .route("/auth/callback", get(login::finish))
        .route("/auth/logout", post(login::end))
        .route("/auth/me", get(login::me))
        .with_state(login)
}

#[cfg(feature = "oidc")]
mod login {
    use std::sync::Arc;

    use axum::{
        extract::State,
        response::{AppendHeaders, IntoResponse},
    };
    use http::{StatusCode, header, request::Parts};

    use crate::{AuthError, Guard, OidcLogin, Request};

    type Login = State<Arc<OidcLogin>>;

    const NOT_KEPT: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

    pub(super) async fn begin(State(login): Login, parts: Parts) -> Result<impl IntoResponse, AuthError> {
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let return_to = pairs.find(|(key, _)| key == "return_to").map(|(_, path)| path);
        let begun = login.begin(Request::from(&parts), return_to.as_deref()).await?;
        let headers = [
            (header::LOCATION, begun.location.expose().to_owned()),
            (header::SET_COOKIE, begun.set_cookie.expose().to_owned()),
        ];
        Ok((StatusCode::SEE_OTHER, [NOT_KEPT], AppendHeaders(headers)))
    }

    pub(super) async fn finish(State(login): Login, parts: Parts) -> Result<impl IntoResponse, AuthError> {
        let finished = login.finish(Request::from(&parts)).await?;
        let headers = [
            (header::LOCATION, finished.return_to),
            (header::SET_COOKIE, finished.session.set_cookie.expose().to_owned()),
            (header::SET_COOKIE, finished.clear_cookie.expose().to_owned()),
        ];
        Ok((StatusCode::SEE_OTHER, [NOT_KEPT], AppendHeaders(headers)))
    }

    pub(super) async fn end(State(login): Login, parts: Parts) -> Result<impl IntoResponse, AuthError> {
        let removes = login.sessions().end(Request::from(&parts)).await?;
        let headers = [(header::SET_COOKIE, removes.expose().to_owned())];
        Ok((StatusCode::NO_CONTENT, [NOT_KEPT], AppendHeaders(headers)))
    }

    pub(super) async fn me(State(login): Login, guard: Guard, parts: Parts) -> impl IntoResponse {
        let who = guard.identity();
        let csrf = login.sessions().csrf(Request::from(&parts));
        let body = serde_json::json!({
            "subject": who.subject, "name": who.name, "roles": who.roles,
            "csrf_token": csrf.as_ref().map(crate::Secret::expose),
        });
        ([NOT_KEPT, (header::CONTENT_TYPE, "application/json")], body.to_string())
    }
}
