//! Definitions by id, loaded once a process: a stored definition never changes.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use diesel::{PgConnection, prelude::*};
use serde_json::Value;
use tasker_model::{DefinitionId, schema::task_definitions as table};

use crate::definition::{StepDefinition, WorkflowDefinition};

/// A definition as a worker uses it.
#[derive(Debug)]
pub struct LoadedDefinition {
    /// `namespace.name@version`.
    pub full_name: Arc<str>,
    steps: HashMap<String, LoadedStep>,
}

/// One step of a [`LoadedDefinition`].
#[derive(Debug)]
pub struct LoadedStep {
    /// The step.
    pub step: StepDefinition,
    /// Its `handler_config`, shared by all attempts.
    pub config: Arc<Value>,
    /// Whether it has ancestors beyond its parents.
    pub has_grandparents: bool,
}

impl LoadedDefinition {
    fn new(definition: WorkflowDefinition) -> Self {
        let has_parents = |name: &String| definition.step(name).is_some_and(|s| !s.depends_on.is_empty());
        let loaded = |s: &StepDefinition| LoadedStep {
            config: Arc::new(s.handler_config.clone()),
            has_grandparents: s.depends_on.iter().any(has_parents),
            step: s.clone(),
        };
        let steps = definition.steps().iter().map(|s| (s.name.clone(), loaded(s))).collect();
        Self { full_name: definition.full_name().into(), steps }
    }

    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&LoadedStep> {
        self.steps.get(name)
    }
}

/// The definitions that a process has met.
#[derive(Debug, Clone, Default)]
pub struct Definitions(Arc<RwLock<HashMap<DefinitionId, Arc<LoadedDefinition>>>>);

impl Definitions {
    /// The definition, if it has been loaded.
    pub fn get(&self, id: DefinitionId) -> Option<Arc<LoadedDefinition>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Loads those of the ids that have not been met yet. One that this version cannot read is left out:
    /// its steps are given back for a newer worker.
    pub fn load(&self, conn: &mut PgConnection, ids: impl Iterator<Item = DefinitionId>) -> QueryResult<()> {
        let missing: Vec<_> = ids.filter(|id| self.get(*id).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows: Vec<(DefinitionId, Value)> = table::table
            .filter(table::definition_id.eq_any(missing))
            .select((table::definition_id, table::definition))
            .load(conn)?;
        for (id, document) in rows {
            match serde_json::from_value(document) {
                Ok(d) => self.insert(id, LoadedDefinition::new(d)),
                Err(e) => {
                    tracing::error!(definition = %id, error = %e, "a stored definition cannot be read by this version")
                }
            }
        }
        Ok(())
    }

    fn insert(&self, id: DefinitionId, loaded: LoadedDefinition) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(loaded));
    }
}
