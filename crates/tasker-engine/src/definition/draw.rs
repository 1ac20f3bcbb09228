//! Drawings of a definition, with the states of a run where they are known: Mermaid, DOT, and text for
//! a terminal.

use std::{collections::BTreeMap, fmt::Write};

use super::{Graph, StepDefinition, WorkflowDefinition};

/// The states of a run by the names of its steps: `pending`, `in_progress`, `complete`, `error`,
/// `cancelled` or `resolved_manually`.
pub type States = BTreeMap<String, String>;

struct Look {
    state: &'static str,
    fill: &'static str,
    border: &'static str,
    sign: char,
}

/// What a step looks like in each state; the border and the sign tell states apart without colour.
const LOOKS: [Look; 6] = [
    Look { state: "pending", fill: "#eceff1", border: "#78909c", sign: '·' },
    Look { state: "in_progress", fill: "#bbdefb", border: "#1565c0", sign: '▶' },
    Look { state: "complete", fill: "#c8e6c9", border: "#2e7d32", sign: '✔' },
    Look { state: "error", fill: "#ffcdd2", border: "#c62828", sign: '✘' },
    Look { state: "cancelled", fill: "#d7ccc8", border: "#5d4037", sign: '⊘' },
    Look { state: "resolved_manually", fill: "#fff9c4", border: "#f9a825", sign: '✎' },
];

fn look(states: Option<&States>, step: &str) -> Option<&'static Look> {
    let state = states?.get(step)?;
    LOOKS.iter().find(|look| look.state == state)
}

/// A Mermaid flowchart, top down. Steps without a known state have no class.
pub fn mermaid(definition: &WorkflowDefinition, states: Option<&States>) -> String {
    let mut out = String::from("flowchart TD\n");
    let graph = Graph::new(definition);
    for (i, step) in definition.steps().iter().enumerate() {
        let class = look(states, &step.name).map(|look| format!(":::{}", look.state)).unwrap_or_default();
        let _ = writeln!(out, "    s{i}[\"{}\"]{class}", mermaid_text(&step.name));
    }
    for (parent, child) in edges(&graph) {
        let _ = writeln!(out, "    s{parent} --> s{child}");
    }
    for look in LOOKS.iter().filter(|_| states.is_some()) {
        let _ =
            writeln!(out, "    classDef {} fill:{},stroke:{},color:#000", look.state, look.fill, look.border);
    }
    out
}

/// A directed graph for Graphviz, top down.
pub fn dot(definition: &WorkflowDefinition, states: Option<&States>) -> String {
    let mut out = format!("digraph {} {{\n", dot_text(&definition.full_name()));
    out.push_str("    rankdir=TB;\n    node [shape=box, style=\"rounded,filled\", fillcolor=white];\n");
    let graph = Graph::new(definition);
    for (i, step) in definition.steps().iter().enumerate() {
        let _ = write!(out, "    s{i} [label={}", dot_text(&step.name));
        if let Some(look) = look(states, &step.name) {
            let _ =
                write!(out, ", class={:?}, fillcolor={:?}, color={:?}", look.state, look.fill, look.border);
        }
        out.push_str("];\n");
    }
    for (parent, child) in edges(&graph) {
        let _ = writeln!(out, "    s{parent} -> s{child};");
    }
    out.push_str("}\n");
    out
}

/// One line a step, level by level, with its state and its parents:
///
/// ```text
/// shop.order@1.2.0 · 4 steps, 3 levels
/// 0  ✔ validate  complete
/// 1  ▶ reserve   in_progress  ← validate
///    · pay       pending      ← validate
/// 2  · ship      pending      ← reserve, pay
/// ```
pub fn ascii(definition: &WorkflowDefinition, states: Option<&States>) -> String {
    let graph = Graph::new(definition);
    let mut order: Vec<usize> = (0..definition.steps().len()).collect();
    order.sort_by_key(|&i| graph.levels()[i]);
    let levels = graph.levels().iter().max().map_or(0, |deepest| deepest + 1);
    let (steps, levels) = (count(order.len(), "step"), count(levels, "level"));
    let mut out = format!("{} · {steps}, {levels}\n", definition.full_name());
    let columns = Columns::of(definition, states, &graph);
    let mut last = None;
    for i in order {
        let level = graph.levels()[i];
        let label = if last == Some(level) { String::new() } else { level.to_string() };
        last = Some(level);
        out.push_str(columns.row(&definition.steps()[i], &label, states).trim_end());
        out.push('\n');
    }
    out
}

/// The widths of the columns.
struct Columns {
    level: usize,
    name: usize,
    state: usize,
}

impl Columns {
    fn of(definition: &WorkflowDefinition, states: Option<&States>, graph: &Graph<'_>) -> Self {
        let state = |step: &StepDefinition| states?.get(&step.name).map(|state| width(state));
        Self {
            level: graph.levels().iter().max().map_or(1, |deepest| deepest.to_string().len()),
            name: definition.steps().iter().map(|step| width(&step.name)).max().unwrap_or(0),
            state: definition.steps().iter().filter_map(state).max().unwrap_or(0),
        }
    }

    fn row(&self, step: &StepDefinition, level: &str, states: Option<&States>) -> String {
        let sign = look(states, &step.name).map_or(' ', |look| look.sign);
        let state = states.and_then(|states| states.get(&step.name)).map_or("", String::as_str);
        let (level, name, state) =
            (padded(level, self.level), padded(&step.name, self.name), padded(state, self.state));
        let arrow = if step.depends_on.is_empty() { "" } else { "← " };
        format!("{level}  {sign} {name}  {state}  {arrow}{}", step.depends_on.join(", "))
    }
}

fn edges<'a>(graph: &'a Graph<'_>) -> impl Iterator<Item = (usize, usize)> + 'a {
    graph.parents().iter().enumerate().flat_map(|(child, parents)| parents.iter().map(move |p| (*p, child)))
}

fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Columns of a terminal: the wide letters of East Asia and pictographs take two.
fn width(text: &str) -> usize {
    let wide = |c: char| {
        matches!(u32::from(c), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF
            | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD)
    };
    text.chars().map(|c| 1 + usize::from(wide(c))).sum()
}

fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Everything that Mermaid or the HTML around it could read as markup, as numeric entities.
fn mermaid_text(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        let plain = c.is_alphanumeric() || " _-.,:/@".contains(c) || !c.is_ascii();
        let _ = if plain { write!(out, "{c}") } else { write!(out, "#{};", u32::from(c)) };
        out
    })
}

/// A quoted string of DOT, in which a backslash would begin an escape of its own.
fn dot_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
