//! The five shapes of workflow that everything is tried on, with the failures that the original built in.

use tasker_engine::{
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts},
    handler::HandlerRegistry,
};

use crate::handlers::{ConfigurableFailureHandler, NetworkTimeoutHandler};

/// What a step of a shape does before it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Fails so many times.
    Fails(i32),
    /// Times out so many times.
    TimesOut(i32),
}

/// A workflow with the script of each step.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The workflow.
    pub definition: WorkflowDefinition,
    scripts: Vec<(String, Script)>,
}

impl Shape {
    /// A workflow of these steps: name, script, parents.
    ///
    /// # Panics
    /// Where they are no valid workflow.
    pub fn new(name: &str, steps: &[(&str, Script, &[&str])]) -> Self {
        let mut parts = WorkflowParts::new(name);
        for (step, _, parents) in steps {
            let mut definition = StepDefinition::new(*step, format!("{name}.{step}"));
            definition.depends_on = parents.iter().map(|p| (*p).to_owned()).collect();
            parts.steps.push(definition);
        }
        let definition =
            WorkflowDefinition::new(parts).unwrap_or_else(|e| panic!("{name} is no workflow: {e}"));
        Self { definition, scripts: steps.iter().map(|(s, script, _)| ((*s).to_owned(), *script)).collect() }
    }

    /// The handlers that play the scripts.
    pub fn registry(&self) -> HandlerRegistry {
        let mut registry = HandlerRegistry::new();
        for (step, script) in &self.scripts {
            let handler = format!("{}.{step}", self.definition.name());
            match *script {
                Script::Fails(n) => registry.register(handler, ConfigurableFailureHandler::new(n)),
                Script::TimesOut(n) => registry.register(handler, NetworkTimeoutHandler::new(n)),
            };
        }
        registry
    }

    /// The attempts that each step needs.
    pub fn attempts(&self) -> impl Iterator<Item = (&str, i32)> {
        self.scripts.iter().map(|(name, script)| {
            let (Script::Fails(n) | Script::TimesOut(n)) = script;
            (name.as_str(), n + 1)
        })
    }
}

use Script::{Fails, TimesOut};

/// All five.
pub fn all() -> Vec<Shape> {
    vec![linear(), diamond(), parallel_merge(), tree(), mixed()]
}

/// Six steps in a row.
pub fn linear() -> Shape {
    Shape::new(
        "linear",
        &[
            ("initialize_data", Fails(0), &[]),
            ("validate_input", Fails(0), &["initialize_data"]),
            ("process_data", Fails(1), &["validate_input"]),
            ("transform_results", Fails(0), &["process_data"]),
            ("validate_output", Fails(0), &["transform_results"]),
            ("finalize_workflow", Fails(0), &["validate_output"]),
        ],
    )
}

/// Two branches that meet again.
pub fn diamond() -> Shape {
    Shape::new(
        "diamond",
        &[
            ("start_workflow", Fails(0), &[]),
            ("branch_one_process", Fails(1), &["start_workflow"]),
            ("branch_two_process", TimesOut(1), &["start_workflow"]),
            ("branch_one_validate", Fails(0), &["branch_one_process"]),
            ("branch_two_validate", Fails(0), &["branch_two_process"]),
            ("merge_branches", Fails(0), &["branch_one_validate", "branch_two_validate"]),
            ("end_workflow", Fails(0), &["merge_branches"]),
        ],
    )
}

/// Four roots that are merged.
pub fn parallel_merge() -> Shape {
    Shape::new(
        "parallel_merge",
        &[
            ("fetch_user_data", Fails(0), &[]),
            ("fetch_order_data", Fails(1), &[]),
            ("fetch_inventory_data", TimesOut(1), &[]),
            ("fetch_pricing_data", Fails(0), &[]),
            ("process_user_data", Fails(0), &["fetch_user_data"]),
            ("process_order_data", Fails(0), &["fetch_order_data"]),
            (
                "merge_all_data",
                Fails(1),
                &["process_user_data", "process_order_data", "fetch_inventory_data", "fetch_pricing_data"],
            ),
        ],
    )
}

/// A tree whose leaves are gathered.
pub fn tree() -> Shape {
    Shape::new(
        "tree",
        &[
            ("root_initialization", Fails(0), &[]),
            ("branch_a_setup", Fails(0), &["root_initialization"]),
            ("branch_b_setup", Fails(1), &["root_initialization"]),
            ("branch_a_task_one", Fails(0), &["branch_a_setup"]),
            ("branch_a_task_two", TimesOut(1), &["branch_a_setup"]),
            ("branch_b_task_one", Fails(0), &["branch_b_setup"]),
            ("branch_b_task_two", Fails(1), &["branch_b_setup"]),
            (
                "aggregate_results",
                Fails(0),
                &["branch_a_task_one", "branch_a_task_two", "branch_b_task_one", "branch_b_task_two"],
            ),
        ],
    )
}

/// A bit of everything, with two leaves.
pub fn mixed() -> Shape {
    Shape::new(
        "mixed",
        &[
            ("init_auth", Fails(0), &[]),
            ("init_config", Fails(0), &[]),
            ("validate_permissions", Fails(1), &["init_auth"]),
            ("setup_environment", TimesOut(1), &["init_config"]),
            ("begin_processing", Fails(0), &["validate_permissions", "setup_environment"]),
            ("process_critical_data", Fails(2), &["begin_processing"]),
            ("process_optional_data", Fails(0), &["begin_processing"]),
            ("cleanup_temp_files", Fails(0), &["setup_environment"]),
            ("finalize_and_report", Fails(0), &["process_critical_data", "cleanup_temp_files"]),
        ],
    )
}

/// The original's smallest workflow: an isolated step and a chain of three; two roots.
pub fn dummy() -> Shape {
    Shape::new(
        "dummy_task",
        &[
            ("step-one", Fails(0), &[]),
            ("step-two", Fails(0), &[]),
            ("step-three", Fails(0), &["step-two"]),
            ("step-four", Fails(0), &["step-three"]),
        ],
    )
}
