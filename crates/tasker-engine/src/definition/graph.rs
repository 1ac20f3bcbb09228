//! The shape of a definition: levels, roots, leaves and the longest chain.

use std::collections::HashMap;

use super::WorkflowDefinition;

/// The graph of a definition by the positions of its steps. Each method is linear in steps and edges.
#[derive(Debug, Clone)]
pub struct Graph<'a> {
    definition: &'a WorkflowDefinition,
    parents: Vec<Vec<usize>>,
    has_children: Vec<bool>,
    levels: Vec<usize>,
}

impl<'a> Graph<'a> {
    /// Of a definition.
    pub fn new(definition: &'a WorkflowDefinition) -> Self {
        let steps = definition.steps();
        let position: HashMap<&str, usize> = steps.iter().map(|s| s.name.as_str()).zip(0..).collect();
        let mut graph = Self {
            definition,
            parents: Vec::with_capacity(steps.len()),
            has_children: vec![false; steps.len()],
            levels: Vec::with_capacity(steps.len()),
        };
        for step in steps {
            let parents = step.depends_on.iter().filter_map(|name| position.get(name.as_str()).copied());
            graph.push(parents.collect());
        }
        graph
    }

    /// Parents come first, so their levels are known.
    fn push(&mut self, parents: Vec<usize>) {
        self.levels.push(parents.iter().map(|&p| self.levels[p] + 1).max().unwrap_or(0));
        parents.iter().for_each(|&p| self.has_children[p] = true);
        self.parents.push(parents);
    }

    /// Of each step, in the order of [`WorkflowDefinition::steps`]: the number of edges on the longest
    /// way from a root. A step of level n can run when all of the levels below are done.
    pub fn levels(&self) -> &[usize] {
        &self.levels
    }

    /// The positions of each step's parents, in the order of its `depends_on`.
    pub fn parents(&self) -> &[Vec<usize>] {
        &self.parents
    }

    /// The names of the steps of each level, in the order of the definition.
    pub fn by_level(&self) -> Vec<Vec<&'a str>> {
        let mut levels = vec![Vec::new(); self.levels.iter().max().map_or(0, |deepest| deepest + 1)];
        for (step, &level) in self.definition.steps().iter().zip(&self.levels) {
            levels[level].push(step.name.as_str());
        }
        levels
    }

    /// The steps without parents.
    pub fn roots(&self) -> Vec<&'a str> {
        self.names_where(|i| self.parents[i].is_empty())
    }

    /// The steps without children.
    pub fn leaves(&self) -> Vec<&'a str> {
        self.names_where(|i| !self.has_children[i])
    }

    /// A longest chain, root first: what bounds the duration whatever the number of workers. Its length
    /// counts steps; empty for a workflow without steps.
    pub fn critical_path(&self) -> Vec<&'a str> {
        let first_deepest = (0..self.levels.len()).rev().max_by_key(|&i| self.levels[i]);
        let mut path: Vec<usize> = first_deepest.into_iter().collect();
        while let Some(&step) = path.last() {
            let above = self.parents[step].iter().copied().find(|&p| self.levels[p] + 1 == self.levels[step]);
            let Some(parent) = above else { break };
            path.push(parent);
        }
        path.iter().rev().map(|&i| self.name(i)).collect()
    }

    fn name(&self, position: usize) -> &'a str {
        &self.definition.steps()[position].name
    }

    fn names_where(&self, wanted: impl Fn(usize) -> bool) -> Vec<&'a str> {
        (0..self.parents.len()).filter(|&i| wanted(i)).map(|i| self.name(i)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{StepDefinition, WorkflowParts};

    #[test]
    fn shape() {
        let step = |name: &str, parents: &[&str]| StepDefinition {
            depends_on: parents.iter().map(|p| p.to_string()).collect(),
            ..StepDefinition::new(name, "h")
        };
        let steps = vec![
            step("a", &[]),
            step("b", &["a"]),
            step("c", &["b"]),
            step("d", &["a", "c"]),
            step("e", &[]),
            step("f", &["e", "a"]),
        ];
        let definition = WorkflowDefinition::new(WorkflowParts { steps, ..WorkflowParts::new("w") }).unwrap();
        let graph = Graph::new(&definition);
        assert_eq!(graph.by_level(), [vec!["a", "e"], vec!["b", "f"], vec!["c"], vec!["d"]]);
        assert_eq!(graph.roots(), ["a", "e"]);
        assert_eq!(graph.leaves(), ["d", "f"]);
        assert_eq!(graph.critical_path(), ["a", "b", "c", "d"]);

        let empty = WorkflowDefinition::new(WorkflowParts::new("w")).unwrap();
        assert!(Graph::new(&empty).by_level().is_empty());
        assert!(Graph::new(&empty).critical_path().is_empty());
    }
}
