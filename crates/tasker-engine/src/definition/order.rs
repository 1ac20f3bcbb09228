//! The order of steps: parents before children, and the names of those that cannot be ordered.
//!
//! Everything here is iterative and touches each edge a fixed number of times: a chain of thousands
//! of steps must not need a deep stack.

use std::{cmp::Reverse, collections::BinaryHeap};

/// The graph of indices of steps.
pub(super) struct Edges {
    /// Of each step.
    pub(super) parents: Vec<Vec<usize>>,
    /// Of each step, in the order of declaration.
    pub(super) children: Vec<Vec<usize>>,
}

impl Edges {
    pub(super) fn new(parents: Vec<Vec<usize>>) -> Self {
        let mut children = vec![Vec::new(); parents.len()];
        for (child, parents) in parents.iter().enumerate() {
            for &parent in parents {
                children[parent].push(child);
            }
        }
        Self { parents, children }
    }

    /// Parents before children; among free steps the smaller index first. Steps on a cycle, and those
    /// behind one, are missing.
    pub(super) fn topological(&self) -> Vec<usize> {
        let mut waiting: Vec<usize> = self.parents.iter().map(Vec::len).collect();
        let mut free: BinaryHeap<_> = (0..waiting.len()).filter(|i| waiting[*i] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(Reverse(step)) = free.pop() {
            order.push(step);
            for &child in &self.children[step] {
                waiting[child] -= 1;
                if waiting[child] == 0 {
                    free.push(Reverse(child));
                }
            }
        }
        order
    }

    /// At least one cycle of each knot of steps that wait for each other, along the edges. No step is
    /// on two of the returned cycles.
    pub(super) fn cycles(&self) -> Vec<Vec<usize>> {
        let mut search = CycleSearch::new(self);
        (0..self.parents.len()).for_each(|root| search.from(root));
        search.found
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    OnPath,
    Done,
}

struct CycleSearch<'a> {
    edges: &'a Edges,
    marks: Vec<Mark>,
    reported: Vec<bool>,
    found: Vec<Vec<usize>>,
}

impl<'a> CycleSearch<'a> {
    fn new(edges: &'a Edges) -> Self {
        let n = edges.parents.len();
        Self { edges, marks: vec![Mark::New; n], reported: vec![false; n], found: Vec::new() }
    }

    /// Depth first with its own stack of (step, next child to look at).
    fn from(&mut self, root: usize) {
        let mut path: Vec<(usize, usize)> = Vec::new();
        self.enter(&mut path, root);
        while let Some((step, next)) = path.last_mut() {
            let Some(&child) = self.edges.children[*step].get(*next) else {
                self.marks[*step] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match self.marks[child] {
                Mark::New => self.enter(&mut path, child),
                Mark::OnPath => self.report(&path, child),
                Mark::Done => {}
            }
        }
    }

    fn enter(&mut self, path: &mut Vec<(usize, usize)>, step: usize) {
        if self.marks[step] == Mark::New {
            self.marks[step] = Mark::OnPath;
            path.push((step, 0));
        }
    }

    /// The part of the path from `start` on leads back to `start`. Each step is reported once, so the
    /// whole search stays linear even in a dense knot.
    fn report(&mut self, path: &[(usize, usize)], start: usize) {
        if self.reported[start] {
            return;
        }
        let from = path.iter().rposition(|(step, _)| *step == start).unwrap_or(0);
        let cycle: Vec<usize> = path[from..].iter().map(|(step, _)| *step).collect();
        if cycle.iter().all(|step| !self.reported[*step]) {
            cycle.iter().for_each(|step| self.reported[*step] = true);
            self.found.push(cycle);
        }
    }
}

/// The items in the given order of their indices.
pub(super) fn permute<T>(items: Vec<T>, order: &[usize]) -> Vec<T> {
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.iter().filter_map(|i| items.get_mut(*i)?.take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(parents: &[&[usize]]) -> Edges {
        Edges::new(parents.iter().map(|p| p.to_vec()).collect())
    }

    #[test]
    fn keeps_the_order_of_declaration_among_free_steps() {
        assert_eq!(edges(&[&[2], &[], &[], &[0]]).topological(), [1, 2, 0, 3]);
        assert_eq!(edges(&[&[], &[], &[]]).topological(), [0, 1, 2]);
    }

    #[test]
    fn names_a_cycle_of_each_knot() {
        assert_eq!(edges(&[&[1], &[0], &[1], &[4], &[3]]).cycles(), [vec![0, 1], vec![3, 4]]);
        assert!(edges(&[&[], &[0], &[0], &[1, 2]]).cycles().is_empty());
    }

    #[test]
    fn a_long_cycle_needs_no_deep_stack() {
        let n = 200_000;
        let ring = Edges::new((0..n).map(|i| vec![(i + n - 1) % n]).collect());
        assert_eq!(ring.cycles()[0].len(), n);
        assert!(ring.topological().is_empty());
    }
}
