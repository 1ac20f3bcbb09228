//! A layer for services on the `http` crate: it admits requests, and holds handlers to asking.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Response, StatusCode, header};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Auth, AuthError, CorrelationId, Guard, Operations, Request, Undeclared};

/// Admits requests by [`Guard::admit`] and gives the [`Guard`] to the handler, as an extension of the request.
/// An answer that says success although its handler never asked becomes a 500.
#[derive(Debug, Clone)]
pub struct AuthLayer {
    auth: Auth,
    operations: Arc<Operations>,
    mount: Arc<str>,
}

impl AuthLayer {
    /// For a server that serves `routes` (methods with templates) and root `fields`; refused where it serves
    /// more than is declared.
    pub fn new<'a>(
        auth: Auth,
        operations: Operations,
        routes: impl IntoIterator<Item = (&'a str, &'a str)>,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Undeclared> {
        operations.cover(routes, fields)?;
        Ok(Self { auth, operations: Arc::new(operations), mount: "".into() })
    }

    /// Where the paths of requests begin with a mount point, such as `/tasker`, that is not part of the routes.
    #[must_use]
    pub fn mounted_at(mut self, mount: &str) -> Self {
        self.mount = mount.trim_end_matches('/').into();
        self
    }

    async fn admit(&self, request: Request<'_>) -> Result<Guard, AuthError> {
        let path = request.uri.path().strip_prefix(&*self.mount).ok_or(AuthError::UnknownOperation)?;
        Guard::admit(&self.auth, &self.operations, request, path).await
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { inner, layer: self.clone() }
    }
}

/// A service behind an [`AuthLayer`].
#[derive(Debug, Clone)]
pub struct AuthService<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S, B, R> Service<http::Request<B>> for AuthService<S>
where
    S: Service<http::Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String> + Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        // The one that is ready is used, and the clone waits for its own turn.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move { layer.serve(inner, request).await })
    }
}

impl AuthLayer {
    async fn serve<S, B, R>(&self, mut inner: S, request: http::Request<B>) -> Result<Response<R>, S::Error>
    where
        S: Service<http::Request<B>, Response = Response<R>>,
        R: From<String>,
    {
        let (mut parts, body) = request.into_parts();
        let correlation_id = CorrelationId::of(&Request::from(&parts));
        // Whoever reads the header behind this reads the same.
        let value = HeaderValue::from_str(correlation_id.as_str());
        if let Ok(value) = &value {
            parts.headers.insert(CorrelationId::HEADER, value.clone());
        }
        let mut response = match self.admit(Request::from(&parts)).await {
            Err(error) => answer(&error),
            Ok(guard) => {
                parts.extensions.insert(guard.clone());
                let response = inner.call(http::Request::from_parts(parts, body)).await?;
                if response.status().is_success() && !guard.is_checked() {
                    tracing::error!(
                        ?guard,
                        "a handler answered without asking for the permission of its route"
                    );
                    answer(&AuthError::Unchecked)
                } else {
                    response
                }
            }
        };
        if let Ok(value) = value {
            response.headers_mut().insert(CorrelationId::HEADER, value);
        }
        Ok(response)
    }
}

/// The answer that says an error: JSON, with a challenge where there is one.
pub fn answer<R: From<String>>(error: &AuthError) -> Response<R> {
    if let AuthError::Unavailable(why) = error {
        tracing::error!(detail = why.detail(), "{why}");
    }
    let body = serde_json::to_string(&error.body()).unwrap_or_default();
    let mut response = Response::new(R::from(body));
    *response.status_mut() =
        StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(challenge) = error.challenge() {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}
