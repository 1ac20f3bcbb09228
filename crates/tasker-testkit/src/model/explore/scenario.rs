//! What is walked: a few steps, a few workers, and how often what is rare may happen.

use crate::model::{Plan, Workflow};

/// Tasks and processes to begin with, and what may happen to them.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// The tasks, one run of each workflow.
    pub workflows: Vec<Workflow>,
    /// How many processes claim.
    pub workers: usize,
    /// How often what is rare may happen.
    pub rare: Rare,
}

/// What is left of the rare things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rare {
    /// Commands of operators.
    pub operations: u8,
    /// New incarnations, whatever the reason.
    pub incarnations: u8,
    /// Claims that are given back, and answers that do not arrive.
    pub detours: u8,
}

fn step(parents: &[usize], retry_limit: i32) -> Plan {
    Plan { retry_limit, ..Plan::below(parents) }
}

/// All that is walked. Every shape in which steps can meet is there: a parent and a child, two parents that end at
/// once, a diamond, siblings under fail-fast, two tasks.
pub fn scenarios() -> Vec<Scenario> {
    let rare = |operations, incarnations, detours| Rare { operations, incarnations, detours };
    let of = |name, workflows, workers, rare| Scenario { name, workflows, workers, rare };
    let once = Plan { retryable: false, ..step(&[], 2) };
    let pair = || vec![step(&[], 2), step(&[0], 1)];
    let join = || vec![step(&[], 1), step(&[], 2), step(&[0, 1], 1)];
    let diamond = || vec![step(&[], 1), step(&[0], 2), step(&[0], 1), step(&[1, 2], 1)];
    vec![
        of("a chain", vec![Workflow::new(pair(), false)], 2, rare(2, 2, 1)),
        of("a join", vec![Workflow::new(join(), false)], 2, rare(2, 1, 1)),
        of("a join that fails fast", vec![Workflow::new(join(), true)], 2, rare(2, 1, 1)),
        of("a diamond", vec![Workflow::new(diamond(), false)], 3, rare(1, 1, 0)),
        of("a diamond that fails fast", vec![Workflow::new(diamond(), true)], 2, rare(2, 1, 0)),
        of(
            "siblings that fail fast",
            vec![Workflow::new(vec![step(&[], 2), once, step(&[], 0)], true)],
            2,
            rare(2, 2, 1),
        ),
        of(
            "two tasks",
            vec![Workflow::new(pair(), false), Workflow::new(vec![step(&[], 2)], true)],
            3,
            rare(1, 2, 0),
        ),
    ]
}
