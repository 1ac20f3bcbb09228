//! The five shapes of task that data is made of, about five steps each, and their shares.
//!
//! Shapes and shares are those that the benchmarks of Tasker have always had; the steps carry no work,
//! so each has as many of them as its form needs.

use anyhow::Result;
use clap::ValueEnum;
use tasker_engine::definition::{StepDefinition, WorkflowDefinition, WorkflowParts};

/// Which shapes to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// Five steps in a row.
    Linear,
    /// Two branches that meet again.
    Diamond,
    /// Four roots that are merged.
    Parallel,
    /// A root, two branches, four leaves.
    Tree,
    /// Two roots, a join, two leaves.
    Mixed,
    /// All five, by their shares.
    All,
}

/// Every shape with its share in a hundred.
pub(crate) const SHARES: [(Shape, usize); 5] =
    [(Shape::Linear, 30), (Shape::Diamond, 25), (Shape::Parallel, 20), (Shape::Tree, 15), (Shape::Mixed, 10)];

/// The namespace of the workflows.
pub(crate) const NAMESPACE: &str = "bench";

type Steps = &'static [(&'static str, &'static [&'static str])];

impl Shape {
    fn name_and_steps(self) -> (&'static str, Steps) {
        match self {
            Self::Linear => (
                "linear",
                &[
                    ("initialize", &[]),
                    ("validate", &["initialize"]),
                    ("process", &["validate"]),
                    ("transform", &["process"]),
                    ("finalize", &["transform"]),
                ],
            ),
            Self::Diamond => (
                "diamond",
                &[
                    ("start", &[]),
                    ("branch_one", &["start"]),
                    ("branch_two", &["start"]),
                    ("merge", &["branch_one", "branch_two"]),
                ],
            ),
            Self::Parallel => (
                "parallel_merge",
                &[
                    ("fetch_users", &[]),
                    ("fetch_orders", &[]),
                    ("fetch_inventory", &[]),
                    ("fetch_pricing", &[]),
                    ("merge_all", &["fetch_users", "fetch_orders", "fetch_inventory", "fetch_pricing"]),
                ],
            ),
            Self::Tree => (
                "tree",
                &[
                    ("root", &[]),
                    ("branch_a", &["root"]),
                    ("branch_b", &["root"]),
                    ("leaf_a_one", &["branch_a"]),
                    ("leaf_a_two", &["branch_a"]),
                    ("leaf_b_one", &["branch_b"]),
                    ("leaf_b_two", &["branch_b"]),
                ],
            ),
            Self::Mixed | Self::All => (
                "mixed",
                &[
                    ("init_auth", &[]),
                    ("init_config", &[]),
                    ("begin", &["init_auth", "init_config"]),
                    ("process_critical", &["begin"]),
                    ("process_optional", &["begin"]),
                    ("report", &["process_critical"]),
                ],
            ),
        }
    }

    /// The workflow; each step has a queue of its own.
    pub(crate) fn definition(self) -> Result<WorkflowDefinition> {
        let (name, steps) = self.name_and_steps();
        let mut parts = WorkflowParts::new(name);
        parts.namespace = NAMESPACE.to_owned();
        for (step, parents) in steps {
            let mut definition = StepDefinition::new(*step, format!("{name}.{step}"));
            definition.depends_on = parents.iter().map(|p| (*p).to_owned()).collect();
            parts.steps.push(definition);
        }
        Ok(WorkflowDefinition::new(parts)?)
    }
}
