//! What a definition must be, problem by problem, and that a value which exists is valid.

use serde_json::{Value, json};
use tasker_engine::definition::{
    BackoffPolicy, DefinitionError, FailurePolicy, MAX_EDGES, MAX_STEPS, StepDefinition, Version,
    WorkflowDefinition, WorkflowParts,
};

fn step(name: &str, parents: &[&str]) -> StepDefinition {
    let depends_on = parents.iter().map(|p| p.to_string()).collect();
    StepDefinition { depends_on, ..StepDefinition::new(name, "noop") }
}

fn parts(steps: Vec<StepDefinition>) -> WorkflowParts {
    WorkflowParts { steps, ..WorkflowParts::new("order") }
}

fn problems(parts: WorkflowParts) -> Vec<String> {
    let errors = WorkflowDefinition::new(parts).unwrap_err();
    errors.problems().iter().map(ToString::to_string).collect()
}

fn problem_of(change: impl FnOnce(&mut StepDefinition)) -> String {
    let mut one = step("pay", &[]);
    change(&mut one);
    let found = problems(parts(vec![one]));
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn zero_steps_are_legal() {
    let empty = WorkflowDefinition::new(WorkflowParts::new("order")).unwrap();
    assert_eq!(empty.full_name(), "default.order@0.1.0");
    assert!(empty.steps().is_empty());
}

#[test]
fn steps_stand_behind_their_parents() {
    let definition = WorkflowDefinition::new(parts(vec![
        step("ship", &["pay", "reserve"]),
        step("pay", &["validate"]),
        step("reserve", &["validate"]),
        step("validate", &[]),
        step("audit", &[]),
    ]))
    .unwrap();
    let names: Vec<_> = definition.steps().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["validate", "pay", "reserve", "ship", "audit"]);
}

#[test]
fn every_problem_is_reported_at_once() {
    let mut wrong = step("b", &["a", "a", "b", "vlidate"]);
    wrong.retry_limit = -1;
    wrong.priority = 6;
    let found = problems(WorkflowParts {
        namespace: String::new(),
        steps: vec![step("a", &[]), wrong, step("validate", &[]), step("a", &[])],
        ..WorkflowParts::new("x".repeat(65))
    });
    assert_eq!(
        found,
        [
            "the namespace \"\" is empty".to_owned(),
            format!("the workflow name \"{}\" has 65 characters, more than the 64 allowed", "x".repeat(64)),
            "step \"b\": retry_limit is -1, expected 0 to 1000".into(),
            "step \"b\": priority is 6, expected 1 to 5".into(),
            "2 steps have the name \"a\"; names are unique in a workflow".into(),
            "step \"b\" names its parent \"a\" more than once".into(),
            "step \"b\" depends on itself".into(),
            "step \"b\" depends on \"vlidate\", which is not a step of this workflow; did you mean \"validate\"?".into(),
        ]
    );
}

#[test]
fn a_cycle_is_named_along_its_edges() {
    let found = problems(parts(vec![
        step("start", &[]),
        step("a", &["start", "c"]),
        step("b", &["a"]),
        step("c", &["b"]),
        step("behind", &["c"]),
    ]));
    assert_eq!(found, ["the steps a → b → c → a wait for each other in a cycle"]);
}

#[test]
fn each_knot_of_steps_is_reported() {
    let steps = vec![step("a", &["b"]), step("b", &["a"]), step("c", &["a", "d"]), step("d", &["c"])];
    let found = problems(parts(steps));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn ten_thousand_steps_are_refused_in_one_sentence() {
    let steps = (0..10_000).map(|i| step(&format!("s{}", i % 7), &["nowhere"])).collect();
    assert_eq!(
        problems(parts(steps)),
        ["the workflow has 10000 steps, more than the 5000 allowed; split it into several workflows"]
    );
}

#[test]
fn the_largest_chain_is_accepted() {
    let names: Vec<String> = (0..MAX_STEPS).map(|i| format!("s{i}")).collect();
    let chain = names.iter().enumerate().rev().map(|(i, name)| match i {
        0 => step(name, &[]),
        _ => step(name, &[&names[i - 1]]),
    });
    let definition = WorkflowDefinition::new(parts(chain.collect())).unwrap();
    assert_eq!(definition.steps()[MAX_STEPS - 1].name, "s4999");
}

#[test]
fn edges_are_bounded() {
    let names: Vec<String> = (0..500).map(|i| format!("s{i}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let steps = names.iter().enumerate().map(|(i, name)| step(name, &all[..i])).collect();
    assert_eq!(
        problems(parts(steps)),
        [format!(
            "the workflow has 124750 dependencies, more than the {MAX_EDGES} allowed; let a step in between join its parents"
        )]
    );
}

#[test]
fn names_may_be_in_any_script() {
    for name in ["prüfen", "支払い", "шаг-1", "می‌خواهم", "a b", "🚀"] {
        assert!(WorkflowDefinition::new(parts(vec![step(name, &[])])).is_ok(), "{name}");
    }
    assert!(WorkflowDefinition::new(parts(vec![step(&"字".repeat(128), &[])])).is_ok());
}

#[test]
fn names_are_printable_and_bounded() {
    for (name, expected) in [
        ("", "the step name \"\" is empty"),
        ("a\0", "the step name \"a\\0\" contains the unprintable character U+0000"),
        ("a\nb", "the step name \"a\\nb\" contains the unprintable character U+000A"),
        ("a\u{202e}b", "the step name \"a\\u{202e}b\" contains the unprintable character U+202E"),
        (" a", "the step name \" a\" begins or ends with white space"),
    ] {
        assert_eq!(problem_of(|s| s.name = name.into()), expected);
    }
    assert!(
        problem_of(|s| s.name = "字".repeat(129)).ends_with("has 129 characters, more than the 128 allowed")
    );
    assert!(problem_of(|s| s.handler = "h".repeat(257)).starts_with("the handler of step \"pay\" \"hhh"));
    assert!(problem_of(|s| s.dependent_system = "d".repeat(65)).contains("more than the 64 allowed"));
}

#[test]
fn numbers_are_bounded() {
    let table = |waits_ms: &[u64], cap_ms, jitter| BackoffPolicy::Table {
        waits_ms: waits_ms.to_vec(),
        factor: 2.0,
        cap_ms,
        jitter,
    };
    let exponential =
        |base_ms, factor, cap_ms| BackoffPolicy::Exponential { base_ms, factor, cap_ms, jitter: 0.0 };
    assert_eq!(
        problem_of(|s| s.retry_limit = 1_001),
        "step \"pay\": retry_limit is 1001, expected 0 to 1000"
    );
    assert_eq!(problem_of(|s| s.priority = 0), "step \"pay\": priority is 0, expected 1 to 5");
    assert_eq!(
        problem_of(|s| s.timeout_ms = Some(0)),
        "step \"pay\": timeout is 0 ms, expected 1 to 31536000000 ms"
    );
    for (policy, expected) in [
        (table(&[], 1, 0.0), "the number of waits in backoff.waits is 0, expected 1 to 1000"),
        (table(&[5, 9], 8, 0.0), "backoff.cap is 8 ms, expected 9 to 31536000000 ms"),
        (table(&[5], 8, 1.5), "backoff.jitter is 1.5, expected 0 to 1"),
        (table(&[5], 8, f64::NAN), "backoff.jitter is NaN, expected 0 to 1"),
        (exponential(0, 2.0, 8), "backoff.base is 0 ms, expected 1 to 31536000000 ms"),
        (exponential(5, 0.5, 8), "backoff.factor is 0.5, expected 1 to 1000"),
        (exponential(5, f64::INFINITY, 8), "backoff.factor is inf, expected 1 to 1000"),
        (exponential(5, 2.0, 4), "backoff.cap is 4 ms, expected 5 to 31536000000 ms"),
        (
            BackoffPolicy::Fixed { wait_ms: u64::MAX, jitter: 0.0 },
            "backoff.wait is 18446744073709551615 ms, expected 0 to 31536000000 ms",
        ),
    ] {
        assert_eq!(problem_of(|s| s.backoff = policy.clone()), format!("step \"pay\": {expected}"));
    }
    assert!(
        WorkflowDefinition::new(parts(vec![StepDefinition { retry_limit: 0, ..step("never", &[]) }])).is_ok()
    );
}

#[test]
fn nul_is_refused_everywhere() {
    assert_eq!(
        problem_of(|s| s.handler_config = json!({"url": {"x": ["a\u{0}"]}})),
        "step \"pay\": handler_config: value.url.x[0] contains the character \\u0000, which cannot be stored"
    );
    assert!(
        problem_of(|s| s.description = Some("\0".into())).starts_with("step \"pay\": description contains")
    );
    let found = problems(WorkflowParts {
        description: Some("\0".into()),
        schema: Some(json!({"title": "\0"})),
        ..parts(vec![])
    });
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn the_configuration_is_an_object() {
    assert_eq!(
        problem_of(|s| s.handler_config = json!(["url"])),
        "step \"pay\": handler_config: expected an object, found an array"
    );
}

#[test]
fn reading_back_goes_through_the_same_rules() {
    let definition = WorkflowDefinition::new(WorkflowParts {
        failure_policy: FailurePolicy::FailFast,
        schema: Some(json!({"type": "object"})),
        version: Version::new(1, 2, 3),
        ..parts(vec![step("a", &[]), step("b", &["a"])])
    })
    .unwrap();
    let stored = serde_json::to_value(&definition).unwrap();
    assert_eq!(serde_json::from_value::<WorkflowDefinition>(stored.clone()).unwrap(), definition);

    let mut cyclic = stored;
    cyclic["steps"][0]["depends_on"] = json!(["b"]);
    let error = serde_json::from_value::<WorkflowDefinition>(cyclic).unwrap_err().to_string();
    assert!(error.contains("a → b → a"), "{error}");
}

#[test]
fn problems_know_their_step() {
    let errors = WorkflowDefinition::new(parts(vec![step("a", &["x"])])).unwrap_err();
    assert_eq!(errors.problems()[0].step(), Some("a"));
    assert!(matches!(&errors.problems()[0], DefinitionError::UnknownParent { suggestion: None, .. }));
}

#[test]
fn the_hash_does_not_depend_on_the_order_of_keys() {
    let read = |text: &str| serde_json::from_str::<WorkflowDefinition>(text).unwrap();
    let one = read(
        r#"{"name":"o","steps":[{"name":"a","handler":"h","handler_config":{"x":1,"y":{"b":2,"a":3}},
        "dependent_system":"s","retryable":true,"retry_limit":3,"skippable":false,"priority":3,
        "backoff":{"kind":"fixed","wait_ms":5,"jitter":0.0},"depends_on":[]}]}"#,
    );
    let other = read(
        r#"{"steps":[{"depends_on":[],"backoff":{"jitter":0.0,"wait_ms":5,"kind":"fixed"},"priority":3,
        "skippable":false,"retry_limit":3,"retryable":true,"dependent_system":"s",
        "handler_config":{"y":{"a":3,"b":2},"x":1},"handler":"h","name":"a"}],"version":"0.1.0","name":"o","namespace":"default"}"#,
    );
    assert_eq!(one.content_hash(), other.content_hash());
    assert_eq!(one.content_hash().len(), 64);

    let mut changed: Value = serde_json::to_value(&one).unwrap();
    changed["steps"][0]["retry_limit"] = json!(4);
    assert_ne!(
        serde_json::from_value::<WorkflowDefinition>(changed).unwrap().content_hash(),
        one.content_hash()
    );
}
