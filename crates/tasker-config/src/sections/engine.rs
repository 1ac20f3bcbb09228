//! The section `engine`: how tasks are made.

use serde::{Deserialize, Serialize};

use super::section;
use crate::{Kind, Problem};

/// When two submissions are one task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityStrategy {
    /// Never.
    #[default]
    Default,
    /// Where workflow, context and the rest of the request are equal.
    Hash,
    /// Where the function that `identity_function` names says the same of both.
    Custom,
}

section! {
    /// The section `engine`: how tasks are made.
    "engine" EngineConfig {
        /// When two submissions are one task: never, where workflow, context and the rest are equal, or where a
        /// registered function says so.
        identity_strategy: IdentityStrategy = IdentityStrategy::Default, Kind::Choice(&["default", "hash", "custom"]), "`tasker submit`, `tasker run`, `EngineConfig::identity`";
        /// Where a template is looked for that a command names and that is not where the command is started.
        task_config_directory: String = "config/tasker/tasks".into(), Kind::Text, "`tasker submit`, `tasker run`, `tasker graph`";
        /// Where generated workflows are written; the generator's own choice if not set.
        task_handler_directory: Option<String> = None, Kind::Text, "`tasker generate handler`";
        /// The name under which the program has registered the function of the strategy `custom`.
        identity_function: Option<String> = None, Kind::Text, "`EngineConfig::identity`";
    }
}

impl EngineConfig {
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let is_custom = self.identity_strategy == IdentityStrategy::Custom;
        let is_named = self.identity_function.as_ref().is_some_and(|name| !name.is_empty());
        let reason = match (is_custom, is_named) {
            (true, false) => "is required, since `identity_strategy` is custom; name a registered function",
            (false, true) => "is read only where `identity_strategy` is custom; write that, or remove this",
            (true, true) | (false, false) => return vec![],
        };
        vec![Problem::new("identity_function", reason)]
    }
}

#[cfg(feature = "engine")]
pub use functions::IdentityFunctions;

#[cfg(feature = "engine")]
mod functions {
    use std::{collections::BTreeMap, fmt, sync::Arc};

    use tasker_engine::{definition::WorkflowDefinition, identity::Identity, submit::TaskRequest};

    use super::{EngineConfig, IdentityStrategy};
    use crate::Problem;

    type Function = Arc<dyn Fn(&WorkflowDefinition, &TaskRequest) -> String + Send + Sync>;

    /// The functions that `identity_function` can name.
    #[derive(Clone, Default)]
    pub struct IdentityFunctions(BTreeMap<String, Function>);

    impl IdentityFunctions {
        /// Registers a function; what it returns has 1 to 128 characters.
        #[must_use]
        pub fn with(
            mut self,
            name: impl Into<String>,
            function: impl Fn(&WorkflowDefinition, &TaskRequest) -> String + Send + Sync + 'static,
        ) -> Self {
            self.0.insert(name.into(), Arc::new(function));
            self
        }
    }

    impl fmt::Debug for IdentityFunctions {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_set().entries(self.0.keys()).finish()
        }
    }

    impl EngineConfig {
        /// How the identity of a task is made.
        ///
        /// # Errors
        /// The strategy is custom and its function is not registered.
        pub fn identity(&self, functions: &IdentityFunctions) -> Result<Identity, Problem> {
            match self.identity_strategy {
                IdentityStrategy::Default => Ok(Identity::Random),
                IdentityStrategy::Hash => Ok(Identity::Hash),
                IdentityStrategy::Custom => {
                    let name = self.identity_function.as_deref().unwrap_or_default();
                    let known: Vec<&str> = functions.0.keys().map(String::as_str).collect();
                    let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                    let reason = format!("`{name}` is not registered; known are {known}");
                    let found = functions.0.get(name).cloned().map(Identity::Custom);
                    found.ok_or_else(|| Problem::new("engine.identity_function", reason))
                }
            }
        }
    }
}
