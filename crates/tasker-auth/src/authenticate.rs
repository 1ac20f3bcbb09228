//! Who asks: the trait by which a request becomes an identity, and the two authenticators that need nothing.

use std::{future::Future, pin::Pin};

use crate::{AuthError, Identity, Problem, Request};

/// What the traits of this crate return: boxed, so that they can be kept by value of any kind.
pub type AuthFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Turns a request into an identity, or refuses it.
///
/// One value serves all requests at once, so it keeps nothing of a request: every call reads the request that
/// it is given and nothing else.
pub trait Authenticator: Send + Sync {
    /// The identity, [`AuthError::Missing`] or [`AuthError::Refused`]; [`AuthError::Unavailable`] where a store
    /// or a provider does not answer.
    fn authenticate<'a>(&'a self, request: Request<'a>) -> AuthFuture<'a, Result<Identity, AuthError>>;

    /// Every mistake in its configuration; asked once, before the first request.
    fn problems(&self) -> Vec<Problem> {
        vec![]
    }
}

/// Lets everybody in, as [`Identity::nobody`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAuthenticator;

impl Authenticator for NoAuthenticator {
    fn authenticate<'a>(&'a self, _: Request<'a>) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async { Ok(Identity::nobody()) })
    }
}

/// An authenticator from a function that need not wait.
///
/// ```
/// use tasker_auth::{AuthError, FnAuthenticator, Identity, Method, Request};
///
/// let by_proxy = FnAuthenticator::new(|request: Request<'_>| {
///     let name = request.headers.get("x-forwarded-user").and_then(|v| v.to_str().ok());
///     let name = name.ok_or(AuthError::Missing { expected: "the proxy names the user" })?;
///     Ok(Identity::new(name, Method::Custom))
/// });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FnAuthenticator<F>(F);

impl<F> FnAuthenticator<F>
where
    F: Fn(Request<'_>) -> Result<Identity, AuthError> + Send + Sync,
{
    /// The function is called for every request.
    pub const fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F> Authenticator for FnAuthenticator<F>
where
    F: Fn(Request<'_>) -> Result<Identity, AuthError> + Send + Sync,
{
    fn authenticate<'a>(&'a self, request: Request<'a>) -> AuthFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move { (self.0)(request) })
    }
}
