//! Drawings: the same text for the same definition and states, and no name that breaks out of it.

use tasker_engine::definition::{
    States, StepDefinition, WorkflowDefinition, WorkflowParts, ascii, dot, mermaid,
};

fn step(name: &str, parents: &[&str]) -> StepDefinition {
    let depends_on = parents.iter().map(|p| p.to_string()).collect();
    StepDefinition { depends_on, ..StepDefinition::new(name, "noop") }
}

fn workflow(steps: Vec<StepDefinition>) -> WorkflowDefinition {
    WorkflowDefinition::new(WorkflowParts { steps, ..WorkflowParts::new("order") }).unwrap()
}

fn diamond() -> WorkflowDefinition {
    workflow(vec![
        step("validate", &[]),
        step("reserve", &["validate"]),
        step("支払い", &["validate"]),
        step("ship", &["reserve", "支払い"]),
    ])
}

fn states() -> States {
    let of = [("validate", "complete"), ("reserve", "in_progress"), ("支払い", "error"), ("ship", "pending")];
    of.map(|(name, state)| (name.to_owned(), state.to_owned())).into()
}

#[test]
fn text() {
    assert_eq!(
        ascii(&diamond(), Some(&states())),
        "\
default.order@0.1.0 · 4 steps, 3 levels
0  ✔ validate  complete
1  ▶ reserve   in_progress  ← validate
   ✘ 支払い    error        ← validate
2  · ship      pending      ← reserve, 支払い
"
    );
    assert_eq!(
        ascii(&workflow(vec![step("only", &[])]), None),
        "default.order@0.1.0 · 1 step, 1 level\n0    only\n"
    );
    assert_eq!(ascii(&workflow(vec![]), None), "default.order@0.1.0 · 0 steps, 0 levels\n");
}

#[test]
fn mermaid_flowchart() {
    let drawn = mermaid(&diamond(), Some(&states()));
    assert!(drawn.starts_with(
        "flowchart TD\n    s0[\"validate\"]:::complete\n    s1[\"reserve\"]:::in_progress\n    s2[\"支払い\"]:::error\n    s3[\"ship\"]:::pending\n    s0 --> s1\n    s0 --> s2\n    s1 --> s3\n    s2 --> s3\n    classDef pending "
    ), "{drawn}");
    for state in ["pending", "in_progress", "complete", "error", "cancelled", "resolved_manually"] {
        assert_eq!(drawn.matches(&format!("classDef {state} fill:#")).count(), 1, "{state}");
    }
    assert!(!mermaid(&diamond(), None).contains("class"));
}

#[test]
fn dot_digraph() {
    let drawn = dot(&diamond(), Some(&states()));
    assert!(drawn.starts_with("digraph \"default.order@0.1.0\" {\n"), "{drawn}");
    assert!(
        drawn.contains(
            "    s2 [label=\"支払い\", class=\"error\", fillcolor=\"#ffcdd2\", color=\"#c62828\"];\n"
        ),
        "{drawn}"
    );
    assert!(drawn.ends_with("    s1 -> s3;\n    s2 -> s3;\n}\n"));
    assert!(dot(&diamond(), None).contains("s0 [label=\"validate\"];"));
}

#[test]
fn names_do_not_break_out() {
    let wild = workflow(vec![step("a\"]; <b>&#x\\ [end] `x` {y}|z", &[])]);
    let drawn = mermaid(&wild, None);
    let label = drawn.split("s0[\"").nth(1).unwrap().strip_suffix("\"]\n").unwrap();
    assert!(!label.contains(['"', '<', '>', '&', '[', ']', '`', '{', '|', '\\']), "{label}");
    assert!(label.starts_with("a#34;#93;#59; #60;b#62;#38;#35;x#92; "), "{label}");
    assert!(dot(&wild, None).contains("[label=\"a\\\"]; <b>&#x\\\\ [end]"), "{}", dot(&wild, None));
}

#[test]
fn an_unknown_state_is_drawn_plain() {
    let states = States::from([("validate".to_owned(), "resting".to_owned())]);
    assert!(ascii(&diamond(), Some(&states)).contains("0    validate  resting\n"));
    assert!(mermaid(&diamond(), Some(&states)).contains("s0[\"validate\"]\n"));
}
