//! The section `auth` of a configuration, and the [`Auth`] that it makes.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Auth, AuthBuilder, ConfigError, Problem, Recorded, Registry, Resource};

/// The section `auth`. Everything is off by default, and off means allowed. `Debug` has the names of the options
/// and not their values, since secrets are among them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Whether requests must say who asks.
    pub authentication_enabled: bool,
    /// The registered name of the authenticator.
    pub authenticator: Option<String>,
    /// Its options.
    pub authenticator_options: Value,
    /// Whether whoever asks must be permitted.
    pub authorization_enabled: bool,
    /// The registered name of the coordinator; `deny_all` unless another is named.
    pub authorization_coordinator: String,
    /// Its options.
    pub authorization_coordinator_options: Value,
    /// Resources that are open to everybody although the rest is not: `tasker.health_status`,
    /// `tasker.metrics`, `tasker.analytics` or none.
    pub open: BTreeSet<Resource>,
    /// What the audit records.
    pub audit: AuditConfig,
}

/// The section `auth.audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// Which decisions are recorded.
    pub record: Recorded,
    /// At most so many refusals a minute are recorded by this process; the rest is counted. At least 1.
    pub refusals_per_minute: u32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { record: Recorded::Changes, refusals_per_minute: 600 }
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            authentication_enabled: false,
            authenticator: None,
            authenticator_options: Value::Null,
            authorization_enabled: false,
            authorization_coordinator: "deny_all".into(),
            authorization_coordinator_options: Value::Null,
            open: BTreeSet::new(),
            audit: AuditConfig::default(),
        }
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |options: &Value| -> Vec<String> {
            options.as_object().map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
        };
        f.debug_struct("AuthConfig")
            .field("authentication_enabled", &self.authentication_enabled)
            .field("authenticator", &self.authenticator)
            .field("authenticator_options", &names(&self.authenticator_options))
            .field("authorization_enabled", &self.authorization_enabled)
            .field("authorization_coordinator", &self.authorization_coordinator)
            .field("authorization_coordinator_options", &names(&self.authorization_coordinator_options))
            .field("open", &self.open)
            .field("audit", &self.audit)
            .finish()
    }
}

/// What may be open to everybody.
const MAY_BE_OPEN: [Resource; 3] = [Resource::HealthStatus, Resource::Metrics, Resource::Analytics];

impl AuthConfig {
    /// Every mistake that can be seen without a registry.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = vec![];
        if self.authentication_enabled && self.authenticator.is_none() {
            let reason = "is required, since `authentication_enabled` is true; name an authenticator";
            problems.push(Problem::new("authenticator", reason));
        }
        for resource in self.open.iter().filter(|r| !MAY_BE_OPEN.contains(r)) {
            let may = MAY_BE_OPEN.map(Resource::as_str).join(", ");
            problems.push(Problem::new("open", format!("{resource} cannot be open; only {may} can")));
        }
        if self.audit.refusals_per_minute == 0 {
            problems.push(Problem::new("audit.refusals_per_minute", "must be at least 1"));
        }
        problems
    }

    /// What is configured, ready for the first request, or every mistake. Further parts (directory, audit) are
    /// set on the builder.
    pub fn build(&self, registry: &Registry) -> Result<AuthBuilder, ConfigError> {
        let mut problems = self.problems();
        let mut builder = Auth::builder().open(self.open.iter().copied()).audit_config(self.audit.clone());
        if let (true, Some(name)) = (self.authentication_enabled, &self.authenticator) {
            match registry.make_authenticator(name, &self.authenticator_options) {
                Ok(made) => builder = builder.authenticator_arc(made),
                Err(more) => problems.extend(more),
            }
        }
        if self.authorization_enabled {
            let options = &self.authorization_coordinator_options;
            match registry.make_coordinator(&self.authorization_coordinator, options) {
                Ok(made) => builder = builder.authorizer_arc(made),
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() { Ok(builder) } else { Err(ConfigError(problems)) }
    }
}
