//! What a handler of a request holds: who asks, and the one way to ask whether they may.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    Access, Asked, Auth, AuthError, CorrelationId, Filter, Identity, Operations, Permission, Reach, Request,
    Route, Scope,
};
use chrono::{DateTime, Utc};

/// Who asks, and the one way to ask whether they may. Cheap to clone; it lives as long as its request.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    auth: Auth,
    operations: Arc<Operations>,
    identity: Identity,
    /// The route as it is declared.
    route: Route,
    correlation_id: CorrelationId,
    now: Option<DateTime<Utc>>,
    is_checked: AtomicBool,
}

impl Guard {
    /// Admits a request for a path below the mount point: its route is declared, its asker is known where that is
    /// demanded, and has the permission at least somewhere. What the permission is asked of, a handler finds out
    /// and asks by [`check`](Self::check).
    pub async fn admit(
        auth: &Auth,
        operations: &Arc<Operations>,
        request: Request<'_>,
        path: &str,
    ) -> Result<Self, AuthError> {
        let route = *operations.route(request.method, path).ok_or(AuthError::UnknownOperation)?;
        let is_open =
            route.access == Access::Public || route.access.resource().is_some_and(|r| auth.is_open(r));
        let identity = if is_open { Identity::nobody() } else { auth.authenticate(request).await? };
        let guard = Self(Arc::new(Inner {
            auth: auth.clone(),
            operations: Arc::clone(operations),
            identity,
            route,
            correlation_id: CorrelationId::of(&request),
            now: request.now,
            is_checked: AtomicBool::new(is_open || !matches!(route.access, Access::Needs(_))),
        }));
        match route.access {
            Access::Needs(permission) if !is_open => guard.foresee(permission).await?,
            _ => {}
        }
        Ok(guard)
    }

    /// What can be decided before the handler runs.
    async fn foresee(&self, permission: Permission) -> Result<(), AuthError> {
        if self.0.route.reach == Reach::System {
            return self.check(&Scope::System).await.map(drop);
        }
        // Whoever has it nowhere is denied without learning what there is.
        let somewhere = self.0.auth.decide(&self.0.identity, permission, &Scope::Listing).await?;
        if somewhere.is_allowed() { Ok(()) } else { self.ask(permission, &Scope::Listing).await.map(drop) }
    }

    /// Who asks.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// What ties the records of the request together.
    pub fn correlation_id(&self) -> &CorrelationId {
        &self.0.correlation_id
    }

    /// Asks for the permission of the request's route in a scope; of a listing, answers with what may be seen.
    pub async fn check(&self, scope: &Scope) -> Result<Filter, AuthError> {
        self.0.is_checked.store(true, Ordering::Release);
        match self.0.route.access {
            Access::Needs(permission) if !self.0.auth.is_open(permission.resource()) => {
                self.ask(permission, scope).await
            }
            _ => Ok(Filter::ALL),
        }
    }

    /// Asks for what a GraphQL field demands, by its type and its own name. An executor calls it for every field
    /// that it resolves. A field of a root type that is not declared is refused; any other that is not declared
    /// shows nothing that its parent did not.
    pub async fn check_field(&self, parent: &str, name: &str, scope: &Scope) -> Result<Filter, AuthError> {
        match self.0.operations.field(parent, name).map(|field| field.access) {
            Some(Access::Needs(permission)) => self.ask(permission, scope).await,
            Some(_) => Ok(Filter::ALL),
            None if matches!(parent, "Query" | "Mutation" | "Subscription") => {
                Err(AuthError::UnknownOperation)
            }
            None => Ok(Filter::ALL),
        }
    }

    async fn ask(&self, permission: Permission, scope: &Scope) -> Result<Filter, AuthError> {
        let operation = format!("{} {}", self.0.route.method, self.0.route.path);
        let asked = Asked { operation: &operation, correlation_id: &self.0.correlation_id, now: self.0.now };
        self.0.auth.authorize(&self.0.identity, permission, scope, asked).await
    }

    /// Whether the handler asked for what its route demands. A server that finds it did not answers 500.
    pub fn is_checked(&self) -> bool {
        self.0.is_checked.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("subject", &self.0.identity.subject)
            .field("route", &format_args!("{} {}", self.0.route.method, self.0.route.path))
            .finish_non_exhaustive()
    }
}
