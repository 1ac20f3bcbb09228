//! Authentication, authorization and audit as one value, made at the start of a program and shared by all its
//! requests. It holds no state of a request.

use std::{collections::BTreeSet, fmt, sync::Arc};

use chrono::{DateTime, Utc};

use crate::{
    Audit, AuditConfig, AuditEntry, AuditSink, AuthError, Authenticator, Authorizer, ConfigError,
    CorrelationId, Decision, Directory, Filter, Identity, NoAuthenticator, Outcome, Permission, Reason,
    Refusal, Request, Resource, Scope,
};

/// Who asks and may they. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    authenticator: Arc<dyn Authenticator>,
    is_on: bool,
    directory: Option<Arc<dyn Directory>>,
    authorizer: Option<Arc<dyn Authorizer>>,
    open: BTreeSet<Resource>,
    audit: Option<Arc<Audit>>,
}

/// On behalf of what a permission is asked for: what the audit says beside the decision.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The operation, such as `POST /tasks` or `Mutation.cancelTask`.
    pub operation: &'a str,
    /// The request's.
    pub correlation_id: &'a CorrelationId,
    /// The instant to record; `None` is the present, by the clock of the store.
    pub now: Option<DateTime<Utc>>,
}

impl Auth {
    /// Everything off, to be switched on piece by piece.
    pub fn builder() -> AuthBuilder {
        AuthBuilder { auth: Self::off(), audit: AuditConfig::default(), sink: None }
    }

    fn off() -> Self {
        Self {
            authenticator: Arc::new(NoAuthenticator),
            is_on: false,
            directory: None,
            authorizer: None,
            open: BTreeSet::new(),
            audit: None,
        }
    }

    /// Whether requests must say who asks.
    pub const fn is_authentication_on(&self) -> bool {
        self.is_on
    }

    /// Whether whoever asks must be permitted.
    pub const fn is_authorization_on(&self) -> bool {
        self.authorizer.is_some()
    }

    /// Whether everybody may use the resource, named or not.
    pub fn is_open(&self, resource: Resource) -> bool {
        self.open.contains(&resource)
    }

    /// Who asks. With authentication off it is [`Identity::nobody`]. A refusal is recorded in the audit.
    pub async fn authenticate(&self, request: Request<'_>) -> Result<Identity, AuthError> {
        let result = self.identify(request).await;
        if let Err(error) = &result {
            let correlation_id = CorrelationId::of(&request);
            let operation = format!("{} {}", request.method, request.uri.path());
            let asked = Asked { operation: &operation, correlation_id: &correlation_id, now: request.now };
            self.record_refusal(error, &asked).await;
        }
        result
    }

    async fn identify(&self, request: Request<'_>) -> Result<Identity, AuthError> {
        let claimed = self.authenticator.authenticate(request).await?;
        let (Some(directory), true) = (&self.directory, self.is_on) else { return Ok(claimed) };
        let limit = claimed.limit.clone();
        let known = directory.find(claimed).await?.ok_or(Refusal::UnknownUser)?;
        // What a token is limited to does not widen because its user may do more.
        Ok(known.limited(limit))
    }

    /// Whether `who` may do it; of a listing, what they may see. The decision is recorded where the
    /// configuration says so; a change that should be recorded and cannot be is refused.
    pub async fn authorize(
        &self,
        who: &Identity,
        permission: Permission,
        scope: &Scope,
        asked: Asked<'_>,
    ) -> Result<Filter, AuthError> {
        let decision = self.decide(who, permission, scope).await?;
        if let Some(audit) = &self.audit {
            let entry = AuditEntry::of_decision(who, permission, scope, &decision, &asked);
            audit.record(entry, permission.action().changes(), asked.now).await?;
        }
        match decision {
            Decision::Allowed { filter, .. } => Ok(filter),
            Decision::Denied { reason } => {
                tracing::debug!(subject = who.subject, %permission, %reason, "denied");
                Err(AuthError::Forbidden(permission))
            }
        }
    }

    /// The decision alone, for a page that shows only what can be done. Nothing is recorded.
    pub async fn decide(
        &self,
        who: &Identity,
        permission: Permission,
        scope: &Scope,
    ) -> Result<Decision, AuthError> {
        let Some(authorizer) = &self.authorizer else { return Ok(Decision::allow(Reason::Off)) };
        // Here and not in the policies, so that none can forget it.
        if who.limit.excludes(permission, scope) {
            return Ok(Decision::deny(Reason::BeyondToken));
        }
        Ok(authorizer.check(who, permission, scope).await?.within(&who.limit))
    }

    async fn record_refusal(&self, error: &AuthError, asked: &Asked<'_>) {
        if let AuthError::Unavailable(why) = error {
            tracing::error!(detail = why.detail(), "authentication: {why}");
        }
        let Some(audit) = &self.audit else { return };
        let entry = AuditEntry::of_refusal(error.code(), asked);
        if let Err(why) = audit.record(entry, false, asked.now).await {
            tracing::error!(detail = why.detail(), "a refusal could not be recorded: {why}");
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("authentication", &self.is_on)
            .field("authorization", &self.is_authorization_on())
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

/// Makes an [`Auth`].
#[derive(Debug)]
#[must_use]
pub struct AuthBuilder {
    auth: Auth,
    audit: AuditConfig,
    sink: Option<Arc<dyn AuditSink>>,
}

impl AuthBuilder {
    /// Requests must say who asks, to this authenticator.
    pub fn authenticator(self, authenticator: impl Authenticator + 'static) -> Self {
        self.authenticator_arc(Arc::new(authenticator))
    }

    /// The same, shared.
    pub fn authenticator_arc(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.auth.authenticator = authenticator;
        self.auth.is_on = true;
        self
    }

    /// Whoever is authenticated must be known here too.
    pub fn directory(mut self, directory: impl Directory + 'static) -> Self {
        self.auth.directory = Some(Arc::new(directory));
        self
    }

    /// Whoever asks must be permitted, by this policy.
    pub fn authorizer(self, authorizer: impl Authorizer + 'static) -> Self {
        self.authorizer_arc(Arc::new(authorizer))
    }

    /// The same, shared.
    pub fn authorizer_arc(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.auth.authorizer = Some(authorizer);
        self
    }

    /// These resources are open to everybody.
    pub fn open(mut self, resources: impl IntoIterator<Item = Resource>) -> Self {
        self.auth.open.extend(resources);
        self
    }

    /// Decisions are recorded here.
    pub fn audit(mut self, sink: impl AuditSink + 'static) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// Which decisions are recorded.
    pub const fn audit_config(mut self, config: AuditConfig) -> Self {
        self.audit = config;
        self
    }

    /// Ready for the first request, or every mistake of the authenticator's configuration. What is off is said
    /// in the log, as a warning.
    pub fn build(mut self) -> Result<Auth, ConfigError> {
        let problems = self.auth.authenticator.problems();
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        self.auth.audit = self.sink.map(|sink| Arc::new(Audit::new(sink, &self.audit)));
        self.auth.say_what_is_off();
        Ok(self.auth)
    }
}

impl Auth {
    fn say_what_is_off(&self) {
        if !self.is_on {
            tracing::warn!("AUTHENTICATION IS OFF: whoever reaches this service is let in without a name");
        }
        if self.authorizer.is_none() {
            tracing::warn!("AUTHORIZATION IS OFF: whoever is let in may do everything");
        }
        for resource in &self.open {
            tracing::warn!("{resource} IS OPEN: whoever reaches this service may read it");
        }
    }
}

impl AuditEntry {
    fn of_decision(
        who: &Identity,
        permission: Permission,
        scope: &Scope,
        decision: &Decision,
        asked: &Asked<'_>,
    ) -> Self {
        let thing = scope.thing();
        Self {
            subject: (!who.is_nobody()).then(|| who.subject.clone()),
            method: Some(who.method),
            operation: asked.operation.to_owned(),
            permission: Some(permission),
            namespace: thing.map(|t| t.namespace.clone()),
            task_id: thing.and_then(|t| t.task_id),
            outcome: if decision.is_allowed() { Outcome::Allowed } else { Outcome::Denied },
            reason: decision.reason().to_string(),
            correlation_id: asked.correlation_id.clone(),
            suppressed: 0,
        }
    }

    fn of_refusal(code: &str, asked: &Asked<'_>) -> Self {
        Self {
            subject: None,
            method: None,
            operation: asked.operation.to_owned(),
            permission: None,
            namespace: None,
            task_id: None,
            outcome: Outcome::Refused,
            reason: code.to_owned(),
            correlation_id: asked.correlation_id.clone(),
            suppressed: 0,
        }
    }
}
