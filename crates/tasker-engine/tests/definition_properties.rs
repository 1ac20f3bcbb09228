//! Random graphs against naive models: order, levels, round trips, and the refusal of every cycle.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use tasker_engine::definition::{DefinitionError, Graph, StepDefinition, WorkflowDefinition, WorkflowParts};

/// Parents of each step, declared in a random order.
#[derive(Debug, Clone)]
struct Shape {
    parents: Vec<BTreeSet<usize>>,
    declared: Vec<usize>,
}

fn acyclic() -> impl Strategy<Value = Shape> {
    (1_usize..25).prop_flat_map(|n| {
        let edges = prop::collection::vec((0..n, 0..n), 0..3 * n);
        (edges, Just((0..n).collect::<Vec<_>>()).prop_shuffle()).prop_map(move |(edges, declared)| {
            let mut parents = vec![BTreeSet::new(); n];
            for (a, b) in edges.into_iter().filter(|(a, b)| a != b) {
                parents[a.max(b)].insert(a.min(b));
            }
            Shape { parents, declared }
        })
    })
}

/// Any edges between different steps.
fn any_edges() -> impl Strategy<Value = Shape> {
    (2_usize..12).prop_flat_map(|n| {
        prop::collection::vec((0..n, 0..n), 1..2 * n).prop_map(move |edges| {
            let mut parents = vec![BTreeSet::new(); n];
            for (child, parent) in edges.into_iter().filter(|(a, b)| a != b) {
                parents[child].insert(parent);
            }
            Shape { parents, declared: (0..n).collect() }
        })
    })
}

fn define(shape: &Shape) -> Result<WorkflowDefinition, tasker_engine::definition::DefinitionErrors> {
    let step = |&i: &usize| StepDefinition {
        depends_on: shape.parents[i].iter().map(|p| format!("s{p}")).collect(),
        ..StepDefinition::new(format!("s{i}"), "noop")
    };
    let steps = shape.declared.iter().map(step).collect();
    WorkflowDefinition::new(WorkflowParts { steps, ..WorkflowParts::new("w") })
}

fn index(name: &str) -> usize {
    name[1..].parse().unwrap()
}

/// The longest way down to a step, tried out.
fn naive_level(shape: &Shape, step: usize) -> usize {
    shape.parents[step].iter().map(|p| naive_level(shape, *p) + 1).max().unwrap_or(0)
}

/// Whether steps remain when those without parents are taken away again and again.
fn naive_cyclic(shape: &Shape) -> bool {
    let mut left: BTreeSet<usize> = (0..shape.parents.len()).collect();
    while let Some(free) = left.iter().copied().find(|i| shape.parents[*i].is_disjoint(&left)) {
        left.remove(&free);
    }
    !left.is_empty()
}

proptest! {
    #[test]
    fn parents_stand_before_their_children(shape in acyclic()) {
        let definition = define(&shape).unwrap();
        let place: HashMap<&str, usize> =
            definition.steps().iter().enumerate().map(|(i, s)| (s.name.as_str(), i)).collect();
        prop_assert_eq!(place.len(), shape.parents.len());
        for (i, step) in definition.steps().iter().enumerate() {
            prop_assert!(step.depends_on.iter().all(|parent| place[parent.as_str()] < i));
            let parents: BTreeSet<usize> = step.depends_on.iter().map(|p| index(p)).collect();
            prop_assert_eq!(&parents, &shape.parents[index(&step.name)]);
        }
    }

    #[test]
    fn ordering_is_stable(shape in acyclic()) {
        let once = define(&shape).unwrap();
        let parts: WorkflowParts = serde_json::from_value(serde_json::to_value(&once).unwrap()).unwrap();
        prop_assert_eq!(WorkflowDefinition::new(parts).unwrap(), once);
    }

    #[test]
    fn round_trips_keep_value_and_hash(shape in acyclic()) {
        let definition = define(&shape).unwrap();
        let text = serde_json::to_string(&definition).unwrap();
        let read: WorkflowDefinition = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.content_hash(), definition.content_hash());
        prop_assert_eq!(read, definition);
    }

    #[test]
    fn levels_are_longest_ways(shape in acyclic()) {
        let definition = define(&shape).unwrap();
        let graph = Graph::new(&definition);
        for (step, level) in definition.steps().iter().zip(graph.levels()) {
            prop_assert_eq!(*level, naive_level(&shape, index(&step.name)));
        }
        let path = graph.critical_path();
        prop_assert_eq!(path.len(), graph.levels().iter().max().unwrap() + 1);
        for pair in path.windows(2) {
            prop_assert!(shape.parents[index(pair[1])].contains(&index(pair[0])));
        }
    }

    #[test]
    fn cycles_and_nothing_else_are_refused(shape in any_edges()) {
        let found = define(&shape);
        prop_assert_eq!(found.is_err(), naive_cyclic(&shape));
        for problem in found.err().iter().flat_map(|errors| errors.problems()) {
            let DefinitionError::Cycle { path } = problem else { panic!("{problem}") };
            prop_assert_eq!(path.first(), path.last());
            for pair in path.windows(2) {
                prop_assert!(shape.parents[index(&pair[1])].contains(&index(&pair[0])), "{}", problem);
            }
        }
    }
}
