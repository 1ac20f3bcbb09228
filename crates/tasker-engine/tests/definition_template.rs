//! Templates: every key, the environments, and a table of bad inputs with their sentences.
#![cfg(feature = "declarative")]

use serde_json::json;
use tasker_engine::definition::{BackoffPolicy, FailurePolicy, StepDefinition, Template, WorkflowDefinition};

const ORDER: &str = r#"
name: order
task_handler_class: OrderHandler
module_namespace: Shop
namespace_name: shop
version: 1.2.0
description: Sells a cart
concurrent: true
failure_policy: fail_fast
default_dependent_system: shop
named_steps: [cart, pay, ship, unused]
schema:
  type: object
  required: [sku]
step_templates:
  - name: cart
    handler_class: http
    handler_config: &call
      url: "https://${SHOP}/carts"
      headers: { accept: application/json }
      retry_on: [500, 503]
  - name: pay
    handler_class: pay_by_card
    description: Charges the card
    dependent_system: payments
    default_retryable: false
    default_retry_limit: 5
    skippable: true
    depends_on_step: cart
    depends_on_steps: [cart]
    priority: 1
    timeout: 1.5m
    backoff: { base: 500ms, factor: 3, cap: 1h, jitter: 0 }
  - name: ship
    handler_class: http
    depends_on_steps:
      - pay
      - cart
    handler_config: *call
environments:
  production:
    step_templates:
      - name: cart
        handler_config:
          headers: { x-env: prod }
          retry_on: [429]
      - name: pay
        default_retry_limit: 9
        backoff: { cap: 2h }
  test:
"#;

fn definition(environment: Option<&str>) -> WorkflowDefinition {
    Template::parse(ORDER, "order.yaml").unwrap().definition(environment).unwrap()
}

/// What is said about a text, by `parse` or by `definition`.
fn refusal(text: &str) -> String {
    match Template::parse(text, "w.yaml") {
        Ok(template) => template.definition(None).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

/// About one line behind a good head, whose step begins on line 5.
fn step_refusal(line: &str) -> String {
    refusal(&format!(
        "name: w\nversion: 1.0.0\nnamespace_name: n\nstep_templates:\n  - name: a\n    handler_class: h\n    {line}\n"
    ))
}

#[test]
fn every_key_is_read() {
    let order = definition(None);
    assert_eq!(order.full_name(), "shop.order@1.2.0");
    assert_eq!(order.description(), Some("Sells a cart"));
    assert_eq!(order.failure_policy(), FailurePolicy::FailFast);
    assert_eq!(order.schema(), Some(&json!({"type": "object", "required": ["sku"]})));
    assert_eq!(
        order.step("pay").unwrap(),
        &StepDefinition {
            description: Some("Charges the card".into()),
            dependent_system: "payments".into(),
            retryable: false,
            retry_limit: 5,
            skippable: true,
            priority: 1,
            timeout_ms: Some(90_000),
            backoff: BackoffPolicy::Exponential { base_ms: 500, factor: 3.0, cap_ms: 3_600_000, jitter: 0.0 },
            depends_on: vec!["cart".into()],
            ..StepDefinition::new("pay", "pay_by_card")
        }
    );
    let ship = order.step("ship").unwrap();
    assert_eq!(ship.depends_on, ["pay", "cart"]);
    assert_eq!(ship.dependent_system, "shop");
    assert_eq!(ship.handler_config["url"], "https://${SHOP}/carts", "variables stay as they are");
    assert_eq!((ship.retryable, ship.retry_limit, ship.skippable), (true, 3, false));
}

#[test]
fn an_environment_is_laid_over_the_base() {
    let production = definition(Some("production"));
    assert_eq!(
        production.step("cart").unwrap().handler_config,
        json!({"url": "https://${SHOP}/carts", "headers": {"accept": "application/json", "x-env": "prod"}, "retry_on": [429]})
    );
    let pay = production.step("pay").unwrap();
    assert_eq!(pay.retry_limit, 9);
    assert_eq!(pay.timeout_ms, Some(90_000));
    assert!(matches!(pay.backoff, BackoffPolicy::Exponential { base_ms: 500, cap_ms: 7_200_000, .. }));
    assert_eq!(production.step("ship"), definition(None).step("ship"), "an alias is a copy");
    assert_eq!(definition(Some("test")), definition(None));
    assert_eq!(definition(Some("elsewhere")), definition(None));
    assert_eq!(Template::parse(ORDER, "").unwrap().environments(), ["production", "test"]);
    assert_ne!(production.content_hash(), definition(None).content_hash());
}

#[test]
fn json_is_read_too() {
    let text = r#"{"name": "w", "step_templates": [{"name": "a", "handler_class": "h", "handler_config": {"t": "\ud83d\ude00\/\t"}}]}"#;
    for name in ["w.json", "w"] {
        let w = Template::parse(text, name).unwrap().definition(None).unwrap();
        assert_eq!(w.full_name(), "default.w@0.1.0");
        assert_eq!(w.steps()[0].handler_config["t"], "😀/\t");
    }
    let twice = Template::parse(r#"{"name": "w", "name": "v"}"#, "w.json").unwrap_err().to_string();
    assert!(twice.starts_with("w.json: line 1: the key \"name\" stands there twice"), "{twice}");
    assert!(Template::parse("name: w", "w.json").is_err());
}

#[test]
fn backoff_has_friendly_spellings() {
    let backoff = |text: &str| {
        let text = format!("name: w\nstep_templates: [{{name: a, handler_class: h, backoff: {text}}}]");
        Template::parse(&text, "").unwrap().definition(None).unwrap().steps()[0].backoff.clone()
    };
    let fixed = BackoffPolicy::Fixed { wait_ms: 5_000, jitter: 0.1 };
    assert_eq!(backoff("5s"), fixed);
    assert_eq!(backoff("5"), fixed);
    assert_eq!(backoff("{ kind: fixed, wait: 5s }"), fixed);
    let table =
        |cap_ms| BackoffPolicy::Table { waits_ms: vec![1_000, 600_000], factor: 2.0, cap_ms, jitter: 0.1 };
    assert_eq!(backoff("[1s, 10m]"), table(600_000));
    assert_eq!(backoff("{ waits: [1, 600], cap: 1h }"), table(3_600_000));
    let slower = BackoffPolicy::Table { waits_ms: vec![1_000], factor: 1.5, cap_ms: 300_000, jitter: 0.1 };
    assert_eq!(backoff("{ waits: [1], factor: 1.5 }"), slower);
    let exponential =
        BackoffPolicy::Exponential { base_ms: 1_000, factor: 2.0, cap_ms: 300_000, jitter: 0.1 };
    assert_eq!(backoff("{ base: 1s }"), exponential);
}

#[test]
fn the_backoff_of_steps_that_say_none_can_be_chosen() {
    let text =
        "name: w\nstep_templates: [{name: a, handler_class: h}, {name: b, handler_class: h, backoff: 5s}]";
    let chosen = BackoffPolicy::Fixed { wait_ms: 7, jitter: 0.0 };
    let definition =
        Template::parse(text, "").unwrap().default_backoff(chosen.clone()).definition(None).unwrap();
    let backoff = |name: &str| definition.step(name).unwrap().backoff.clone();
    assert_eq!(backoff("a"), chosen);
    assert_eq!(backoff("b"), BackoffPolicy::Fixed { wait_ms: 5_000, jitter: 0.1 });
}

#[test]
fn a_factor_of_two_is_not_written_so_that_hashes_stay() {
    let stored = serde_json::to_value(BackoffPolicy::default()).unwrap();
    assert_eq!(stored.get("factor"), None);
    assert_eq!(serde_json::from_value::<BackoffPolicy>(stored).unwrap(), BackoffPolicy::default());
}

#[test]
fn bad_steps_are_told_with_line_and_path() {
    let at = "w.yaml: line 7: step_templates[0].";
    for (line, expected) in [
        (
            "default_retry_limit: three",
            "default_retry_limit: expected a whole number from 0 to 1000, found the string \"three\"",
        ),
        (
            "default_retry_limit: 1001",
            "default_retry_limit: expected a whole number from 0 to 1000, found the number 1001",
        ),
        (
            "default_retry_limit: 2.5",
            "default_retry_limit: expected a whole number from 0 to 1000, found the number 2.5",
        ),
        ("default_retryable: \"yes\"", "default_retryable: expected true or false, found the string \"yes\""),
        ("skippable: on", "skippable: expected true or false, found the string \"on\""),
        ("priority: 0", "priority: expected a whole number from 1 to 5, found the number 0"),
        (
            "timeout: 5 parsecs",
            "timeout: expected a duration such as 30s, 500ms or 5m (a bare number is seconds), found the string \"5 parsecs\"",
        ),
        (
            "timeout: -1",
            "timeout: expected a duration such as 30s, 500ms or 5m (a bare number is seconds), found the number -1",
        ),
        ("depends_on_steps: b", "depends_on_steps: expected a list of step names, found the string \"b\""),
        (
            "depends_on_step: 7",
            "depends_on_step: expected a string such as validate_order (in quotes), found the number 7",
        ),
        (
            "depends_on_steps: [b, 7]",
            "depends_on_steps[1]: expected a string such as validate_order (in quotes), found the number 7",
        ),
        ("handler_config: [1]", "handler_config: expected a map, found a list"),
        ("description:", "description: expected a string such as \"Charges the card\", found nothing"),
        (
            "custom_events: []",
            "custom_events: custom events are not supported; leave the key out rather than lose them",
        ),
        ("retry_limit: 3", "retry_limit: unknown key \"retry_limit\"; expected one of name, handler_class"),
        (
            "default_retry_limits: 3",
            "default_retry_limits: unknown key \"default_retry_limits\"; did you mean \"default_retry_limit\"?",
        ),
        ("backoff: {}", "backoff: expected wait (fixed), waits (table) or base (exponential)"),
        ("backoff: { kind: linear }", "backoff.kind: expected fixed, table or exponential, found \"linear\""),
        ("backoff: { kind: table, base: 1s }", "backoff.base: unknown key \"base\""),
        (
            "backoff: { wait: 1s, factor: 2 }",
            "backoff.factor: unknown key \"factor\"; expected one of kind, wait, jitter",
        ),
        (
            "backoff: { base: 1s, factor: 0.5 }",
            "backoff.factor: expected a number from 1 to 1000, found the number 0.5",
        ),
        ("backoff: []", "backoff: expected at least one duration"),
        ("backoff: [1s, soon]", "backoff[1]: expected a duration"),
    ] {
        let found = step_refusal(line);
        let first = found.replace("w.yaml: 2 problems:\n- line", "w.yaml: line");
        assert!(first.starts_with(&format!("{at}{expected}")), "{line}\n{found}");
    }
}

#[test]
fn bad_graphs_are_told_with_the_line_of_the_step() {
    for (line, expected) in [
        ("depends_on_step: a", "step \"a\" depends on itself"),
        ("depends_on_step: b", "step \"a\" depends on \"b\", which is not a step of this workflow"),
        (
            "backoff: { base: 5s, cap: 1s }",
            "step \"a\": backoff.cap is 1000 ms, expected 5000 to 31536000000 ms",
        ),
        ("timeout: 0", "step \"a\": timeout is 0 ms, expected 1 to 31536000000 ms"),
    ] {
        assert_eq!(step_refusal(line), format!("w.yaml: line 5: step_templates[0]: {expected}"), "{line}");
    }
    assert_eq!(
        step_refusal("handler_config: { a: \"x\\0\" }"),
        "w.yaml: step \"a\": handler_config: value.a contains the character \\u0000, which cannot be stored"
    );
}

#[test]
fn bad_documents_are_told() {
    for (text, expected) in [
        ("", "w.yaml: the file is empty"),
        ("# nothing\n", "w.yaml: the file is empty"),
        ("- a\n", "w.yaml: line 1: expected a map, found a list"),
        ("name: w\n", "w.yaml: line 1: step_templates is missing"),
        ("step_templates: []\n", "w.yaml: line 1: name is missing"),
        (
            "name: w\nstep_templates:\n",
            "w.yaml: line 2: step_templates: expected a list of step templates, found nothing",
        ),
        (
            "name: w\nversion: 1.0\nstep_templates: []\n",
            "w.yaml: line 2: version: expected a string such as \"1.0.0\" (in quotes), found the number 1.0",
        ),
        (
            "name: w\nversion: v1\nstep_templates: []\n",
            "w.yaml: line 2: version: version \"v1\" is not three whole numbers",
        ),
        (
            "name: w\nconcurrent: false\nstep_templates: []\n",
            "w.yaml: line 2: concurrent: steps always run concurrently; order them with depends_on_steps instead",
        ),
        (
            "name: w\ncustom_events: []\nstep_templates: []\n",
            "w.yaml: line 2: custom_events: custom events are not supported",
        ),
        (
            "name: w\nfailure_policy: stop\nstep_templates: []\n",
            "w.yaml: line 2: failure_policy: expected drain or fail_fast, found the string \"stop\"",
        ),
        (
            "name: w\nstep_template: []\nstep_templates: []\n",
            "w.yaml: line 2: step_template: unknown key \"step_template\"; did you mean \"step_templates\"?",
        ),
        (
            "name: w\nnamed_steps: [b]\nstep_templates: [{name: a, handler_class: h, depends_on_step: b}]\n",
            "w.yaml: line 3: step_templates[0].name: \"a\" is not listed in named_steps",
        ),
        (
            "name: w\nstep_templates: [{handler_class: h}]\n",
            "w.yaml: line 2: step_templates[0]: name is missing",
        ),
        (
            "name: w\nstep_templates: [{name: a}]\n",
            "w.yaml: line 2: step_templates[0]: handler_class is missing",
        ),
        ("name: w\nschema: {type: 5}\nstep_templates: []\n", "w.yaml: schema: schema.type: 5 is not"),
        (
            "name: w\nstep_templates: []\nenvironments: [a]\n",
            "w.yaml: line 3: environments: expected a map of environments, found a list",
        ),
    ] {
        let found = refusal(text);
        assert!(found.starts_with(expected), "{text}\n{found}");
    }
}

#[test]
fn bad_yaml_is_told_with_its_line() {
    for (text, line, part) in [
        ("name: w\nname: v\nstep_templates: []\n", 2, "name"),
        ("name: w\nstep_templates: [\n", 2, "unclosed"),
        ("name: w\nstep_templates: []\nschema: { type: .nan }\n", 3, "finite"),
        ("name: w\n\tversion: 1\n", 1, "tab"),
        ("name: !secret w\n", 1, "tag"),
        ("name: w\nstep_templates: *nowhere\n", 2, "unknown value"),
        ("name: w\n---\nname: v\n", 2, "document"),
    ] {
        let found = refusal(text);
        assert!(found.starts_with(&format!("w.yaml: line {line}: ")), "{text}\n{found}");
        assert!(found.contains(part) && !found.contains('\n'), "{text}\n{found}");
    }
}

#[test]
fn bad_environments_are_told() {
    let text = "name: w\nstep_templates: [{name: pay, handler_class: h}]\nenvironments:\n  a:\n    step_templates:\n      - name: pya\n      - timeout: 1s\n      - name: pay\n        default_retry_limit: many\n        retries: 1\n  b: { steps: [] }\n";
    let found = Template::parse(text, "w.yaml").unwrap_err();
    let found: Vec<String> = found.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        found.iter().map(|s| s.split("; expected one of").next().unwrap()).collect::<Vec<_>>(),
        [
            "line 6: environments.a.step_templates[0].name: \"pya\" is not the name of a step template; did you mean \"pay\"?",
            "line 7: environments.a.step_templates[1]: name is missing; it says which step template is changed",
            "line 10: environments.a.step_templates[2].retries: unknown key \"retries\"",
            "line 9: environments.a.step_templates[2].default_retry_limit: expected a whole number from 0 to 1000, found the string \"many\"",
            "line 11: environments.b.steps: unknown key \"steps\"",
        ]
    );
}

#[test]
fn bombs_are_refused() {
    let mut laughs =
        String::from("name: w\nstep_templates: []\nschema:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..10 {
        laughs += &format!("  a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", "));
    }
    let begun = std::time::Instant::now();
    refusal(&laughs);
    refusal(&format!("name: {}w{}", "[".repeat(5_000), "]".repeat(5_000)));
    refusal(&format!("name: w\nschema: {}", "{a: ".repeat(100) + &"}".repeat(100)));
    refusal(&"- ".repeat(10_000));
    refusal(&"[".repeat(100_000));
    assert!(refusal(&"#".repeat(5 << 20)).contains("more than the 4194304 allowed"));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn the_largest_template_is_read() {
    let step = |i: usize| {
        format!(
            "  - name: step_{i}\n    handler_class: http\n    depends_on_steps: [{}]\n    handler_config: {{ url: \"http://x/{i}\", method: post, headers: {{ accept: json }} }}\n    timeout: 30s\n    default_retry_limit: 5\n    backoff: {{ base: 1s }}\n",
            if i == 0 { String::new() } else { format!("step_{}", i - 1) }
        )
    };
    let text = format!("name: w\nstep_templates:\n{}", (0..5_000).map(step).collect::<String>());
    assert_eq!(Template::parse(&text, "w.yaml").unwrap().definition(None).unwrap().steps().len(), 5_000);
}
