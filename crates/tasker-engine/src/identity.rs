//! When two submissions are one task.

use std::{fmt, sync::Arc};

use serde_json::{Value, json};

use crate::{
    definition::{WorkflowDefinition, canonical_json, sha256_hex},
    submit::TaskRequest,
};

/// How the identity of a task is made. A second submission with the same identity creates nothing and names
/// the task that has it.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Identity {
    /// Random: every submission is a task of its own.
    #[default]
    Random,
    /// SHA-256 of the canonical JSON of namespace, name, version, context, initiator, source system, reason,
    /// tags, steps to bypass and, where the request says it, the minute for which it was requested. The order
    /// of keys plays no part.
    Hash,
    /// Whatever the function returns, 1 to 128 characters.
    Custom(Arc<dyn Fn(&WorkflowDefinition, &TaskRequest) -> String + Send + Sync>),
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "Random",
            Self::Hash => "Hash",
            Self::Custom(_) => "Custom",
        })
    }
}

impl Identity {
    /// The identity of a request.
    pub fn of(&self, definition: &WorkflowDefinition, request: &TaskRequest) -> String {
        match self {
            Self::Random => random(),
            Self::Hash => sha256_hex(canonical_json(&document(definition, request)).as_bytes()),
            Self::Custom(f) => f(definition, request),
        }
    }
}

fn document(definition: &WorkflowDefinition, request: &TaskRequest) -> Value {
    json!({
        "namespace": definition.namespace(),
        "name": definition.name(),
        "version": definition.version().to_string(),
        "context": request.context,
        "initiator": request.initiator,
        "source_system": request.source_system,
        "reason": request.reason,
        "tags": request.tags,
        "bypass_steps": request.bypass_steps,
        "requested_at": request.requested_at.map(|at| at.format("%Y-%m-%d %H:%M").to_string()),
    })
}

/// 128 random bits, seeded by the operating system once a thread; unique, not secret.
fn random() -> String {
    format!("{:032x}", fastrand::u128(..))
}
