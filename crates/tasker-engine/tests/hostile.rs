//! Hostile input: whatever is given to the engine is refused in a sentence or does no harm; nothing panics, and
//! nothing is half-written.
//!
//! `TASKER_FUZZ_SEED` (1) fixes what is tried, `TASKER_FUZZ_SECONDS` (8) for how long; `cargo xtask fuzz` sets both.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "how much was tried, and what repeats a panic"
)]

mod support;

use std::{
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use diesel::PgConnection;
use fastrand::Rng;
use serde_json::{Value, json};
use support::number;
use tasker_engine::{
    commands,
    definition::{
        Graph, JsonLimits, StepDefinition, Template, Version, WorkflowDefinition, WorkflowParts, ascii,
        check_json, dot, mermaid, variables,
    },
    handlers,
    identity::Identity,
    retry_after,
    submit::{SubmitError, TaskRequest, submit},
};
use tasker_model::TaskId;
use tasker_testkit::{TestDatabase, check_invariants};

const TEMPLATES: [&str; 3] = [
    include_str!("../../../examples/order.yaml"),
    r#"
name: ship
namespace_name: shop
version: 1.2.3
failure_policy: fail_fast
schema: { type: object, required: [id], properties: { id: { type: integer }, note: { type: string, default: x } } }
named_steps: [a, b, c]
step_templates:
  - { name: a, handler_class: jq, handler_config: { filter: ".context | {id, n: (.items // [] | length)}" }, priority: 1 }
  - { name: b, handler_class: sleep, handler_config: { duration: 250ms }, depends_on_step: a, timeout: 1m, skippable: true }
  - name: c
    handler_class: http
    depends_on_steps: [a, b]
    default_retry_limit: 5
    backoff: { base: 1s, cap: 5m }
    handler_config: { url: "https://${HOST}/{{ .context.id }}", method: POST, body: { id: "{{ .steps.a.id }}" } }
environments:
  test: { step_templates: [ { name: c, handler_config: { url: "http://localhost/" } } ] }
"#,
    r#"{"name": "j", "step_templates": [{"name": "a", "handler_class": "sql", "handler_config": {"sql": "select 1"}}]}"#,
];

const CONTEXTS: [&str; 4] = [
    r#"{"id": 1, "items": [{"price": 2.50, "name": "Brötchen"}], "deep": {"a": {"b": [null, true, -0.0]}}}"#,
    "{}",
    r#"{"note": "\u00e9\ud83d\ude00\\u0000", "n": 123456789012345678901234567890, "e": 1e308}"#,
    "[1, \"x\"]",
];

/// What breaks parsers, stores and terminals.
const NASTY: [&str; 48] = [
    "\0",
    "\\u0000",
    "\u{feff}",
    "\u{202e}",
    "\u{1b}[31m",
    "\r",
    "\t",
    "\u{85}",
    "é",
    "😀",
    "\\ud800",
    "\\udc00\\ud800",
    "NaN",
    ".nan",
    "-.inf",
    "Infinity",
    "1e999",
    "-1e-999",
    "99999999999999999999",
    "-9223372036854775809",
    "0x1F",
    "1_000",
    "&a [",
    "*a",
    "<<: *a",
    "!!binary ",
    "!!python/object:x ",
    "%YAML 9.9\n",
    "---\n",
    "...\n",
    "? ",
    "- ",
    ": ",
    "|\n",
    ">-\n",
    "{{",
    "}}",
    "${",
    "$${",
    "${A}",
    "{{ .a",
    "\"",
    "'",
    "2026-02-30",
    "1e9d",
    "null",
    "~",
    "#",
];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

fn pick<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(..all.len())]
}

fn place(rng: &mut Rng, text: &str) -> usize {
    let mut at = rng.usize(..=text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The text with a few things put in, taken out, doubled or swapped.
fn mutated(rng: &mut Rng, text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..rng.usize(1..=4) {
        let (a, b) = (place(rng, &text), place(rng, &text));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 60));
        let to = (from..=to).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(from);
        match rng.u8(..6) {
            0 | 1 => text.insert_str(from, pick(rng, &NASTY)),
            2 => text.replace_range(from..to, pick(rng, &NASTY)),
            3 => text.replace_range(from..to, ""),
            5 => text.insert_str(
                from,
                &pick(rng, &["[", "{\"a\":", "- ", "(", "x", "{{"]).repeat(rng.usize(1..400)),
            ),
            _ => {
                let piece = text[from..to].to_owned();
                text.insert_str(place(rng, &text), &piece);
            }
        }
    }
    text
}

fn arbitrary(rng: &mut Rng) -> String {
    (0..rng.usize(..12))
        .map(|_| if rng.bool() { pick(rng, &NASTY).to_owned() } else { rng.char(..).to_string() })
        .collect()
}

/// Runs a round; a panic in it is told with what repeats it.
fn guarded<T>(what: &str, input: &dyn Debug, seed: u64, round: u64, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let input: String = format!("{input:?}").chars().take(4_000).collect();
        eprintln!("{what} panicked in round {round} of seed {seed} at {input}");
        std::panic::resume_unwind(panic)
    })
}

/// Everything that is done with a definition before it is stored, and with one that comes from the store.
fn use_definition(definition: &WorkflowDefinition) {
    let text = serde_json::to_string(definition).unwrap();
    let read: WorkflowDefinition = serde_json::from_str(&text).unwrap();
    assert_eq!((read.content_hash(), &read), (definition.content_hash(), definition));
    assert_eq!(Graph::new(definition).levels().len(), definition.steps().len());
    variables(definition);
    for draw in [mermaid, dot, ascii] {
        draw(definition, None);
    }
    for step in definition.steps() {
        if let Err(sentence) = handlers::check(step) {
            assert!(!sentence.is_empty());
        }
    }
}

fn template(text: &str) -> Vec<WorkflowDefinition> {
    let template = match Template::parse(text, if text.starts_with('{') { "w.json" } else { "w.yaml" }) {
        Ok(template) => template,
        Err(error) => {
            assert!(error.to_string().starts_with("w."), "{error}");
            return vec![];
        }
    };
    let environments = [None].into_iter().chain(template.environments().into_iter().map(Some));
    let definitions: Vec<_> = environments.filter_map(|e| template.definition(e).ok()).collect();
    definitions.iter().for_each(use_definition);
    definitions
}

/// A document of the store with something else in it.
fn stored(rng: &mut Rng) -> Result<WorkflowDefinition, serde_json::Error> {
    let definition = Template::parse(TEMPLATES[1], "w.yaml").unwrap().definition(None).unwrap();
    let text = serde_json::to_string(&definition).unwrap();
    serde_json::from_str(&mutated(rng, &text))
}

/// What was written, so that the end can be compared.
#[derive(Default)]
struct Written {
    tasks: i64,
}

/// Submits what the engine lets through; the database must take it too, or nothing of it.
fn submitted(
    conn: &mut PgConnection,
    definition: &WorkflowDefinition,
    request: &TaskRequest,
    written: &mut Written,
) {
    match submit(conn, definition, std::slice::from_ref(request), &Identity::Random, None) {
        Ok(_) => written.tasks += 1,
        Err(SubmitError::Database(e)) => {
            panic!("only the database refused it: {e}\n{request:?}\n{definition:?}")
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    assert_eq!(number(conn, "select count(*) from tasker.tasks"), written.tasks);
}

fn request(rng: &mut Rng, context: Value) -> TaskRequest {
    let mut request = TaskRequest::new(context);
    match rng.u8(..8) {
        0 => request.initiator = arbitrary(rng),
        1 => request.reason = arbitrary(rng).repeat(20),
        2 => request.source_system = arbitrary(rng),
        3 => request.tags = vec![arbitrary(rng), arbitrary(rng)],
        4 => request.bypass_steps = vec![arbitrary(rng)],
        5 => {
            request.requested_at =
                chrono::DateTime::from_timestamp(rng.i64(-8_000_000_000_000..8_000_000_000_000), 0)
        }
        _ => {}
    }
    request
}

fn small_parsers(rng: &mut Rng) {
    let sample = pick(rng, &["1.2.3", "Wed, 21 Oct 2015 07:28:00 GMT", "120"]);
    let text = if rng.bool() { arbitrary(rng) } else { mutated(rng, sample) };
    if let Ok(version) = text.parse::<Version>() {
        assert_eq!(version.to_string().parse::<Version>(), Ok(version));
    }
    retry_after::parse(&text, chrono::Utc::now());
    let document = json!({ "a": text, text.clone(): [text] });
    if check_json(&document, JsonLimits::object()).is_err() {
        assert!(text.contains('\0'), "{text:?}");
    }
}

#[test]
fn nothing_that_is_given_breaks_the_engine() {
    let (seed, seconds) = (setting("TASKER_FUZZ_SEED", 1), setting("TASKER_FUZZ_SECONDS", 8));
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let (start, mut round, mut written) = (Instant::now(), 0_u64, Written::default());
    let accepted = Template::parse(TEMPLATES[1], "w.yaml").unwrap().definition(None).unwrap();
    while start.elapsed() < Duration::from_secs(seconds) {
        round += 1;
        let rng = &mut Rng::with_seed(seed ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let sample = pick(rng, &TEMPLATES);
        let text = mutated(rng, sample);
        let definitions = guarded("a template", &text, seed, round, || template(&text));
        if let Some(definition) = definitions.first() {
            let request = TaskRequest::new(json!({ "id": 1 }));
            guarded("submitting a definition", &text, seed, round, || {
                submitted(conn, definition, &request, &mut written);
            });
        }
        let sample = pick(rng, &CONTEXTS);
        let text = mutated(rng, sample);
        let context: Option<Value> = guarded("JSON", &text, seed, round, || serde_json::from_str(&text).ok());
        for context in [Some(json!({ "id": 2 })), context].into_iter().flatten() {
            let request = request(rng, context);
            guarded("a request", &request, seed, round, || {
                submitted(conn, &accepted, &request, &mut written)
            });
        }
        guarded("a stored definition", &round, seed, round, || stored(rng).iter().for_each(use_definition));
        guarded("a small parser", &round, seed, round, || small_parsers(rng));
    }
    let wrong = check_invariants(conn);
    assert!(wrong.is_empty(), "{wrong:?}");
    println!("{round} rounds of seed {seed}, {} tasks", written.tasks);
    assert!(
        round > 20 && written.tasks > 5,
        "{round} rounds, {} tasks: it tried next to nothing",
        written.tasks
    );
}

/// Bombs: each is refused by a sentence that holds these words.
#[test]
fn bombs_are_refused() {
    let lol = (1..10).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let items = format!("*a{}, ", n - 1).repeat(10);
        format!("{text}a{n}: &a{n} [{}]\n", items.trim_end_matches(", "))
    });
    let step = |more: &str| {
        format!(
            "name: w\nstep_templates:\n  - {{ name: a, handler_class: jq, handler_config: {{ filter: . }}{more} }}\n"
        )
    };
    let bombs = [
        ("aliases", lol),
        ("merges", "a: &a { <<: *a }\n".into()),
        ("brackets", "[".repeat(200_000)),
        ("maps", "{a: ".repeat(100_000)),
        ("dashes", "- ".repeat(100_000)),
        ("a huge string", step(&format!(", description: {}", "x".repeat(5 << 20)))),
        (
            "a nested configuration",
            step(&format!(", handler_config: {}{}", "[".repeat(500), "]".repeat(500))),
        ),
        ("a duplicate key", step(", name: b")),
        ("NaN", step(", default_retry_limit: .nan")),
        ("infinity", step(", timeout: .inf")),
        ("a NUL", step(", description: \"a\\0b\"")),
        ("a lone surrogate", "{\"name\": \"\\ud800\", \"step_templates\": []}".into()),
        ("two documents", format!("{}---\n{}", step(""), step(""))),
    ];
    let accepted: Vec<&str> = bombs
        .iter()
        .filter(|(what, text)| {
            let definition = Template::parse(text, "w.yaml").and_then(|t| t.definition(None));
            let Err(error) = definition.map_err(|e| e.to_string()) else { return true };
            assert!(error.starts_with("w.yaml") && error.len() < 5_000, "{what}: {error}");
            false
        })
        .map(|(what, _)| *what)
        .collect();
    assert_eq!(accepted, [""; 0]);
}

#[test]
fn names_of_any_script_are_kept() {
    for name in ["Bestellung prüfen", "注文", "طلب", "order🛒", "naïve\u{301}"] {
        let mut parts = WorkflowParts::new("names");
        parts.steps.push(StepDefinition::new(name, "noop"));
        match WorkflowDefinition::new(parts) {
            Ok(definition) => use_definition(&definition),
            Err(errors) => assert!(errors.to_string().contains(name) || !errors.problems().is_empty()),
        }
    }
}

#[test]
fn ten_thousand_steps_and_a_long_cycle_are_refused() {
    let chain = |n: usize, closed: bool| {
        let mut parts = WorkflowParts::new("chain");
        for i in 0..n {
            let mut step = StepDefinition::new(format!("s{i}"), "noop");
            step.depends_on = (i > 0).then(|| format!("s{}", i - 1)).into_iter().collect();
            if closed && i == 0 {
                step.depends_on.push(format!("s{}", n - 1));
            }
            parts.steps.push(step);
        }
        WorkflowDefinition::new(parts)
    };
    let many = chain(10_000, false).unwrap_err().to_string();
    assert!(many.contains("10000 steps, more than the 5000 allowed"), "{many}");
    let cycle = chain(5_000, true).unwrap_err().to_string();
    assert!(cycle.contains("cycle") && cycle.len() < 100_000, "{} characters", cycle.len());
    use_definition(&chain(2_000, false).unwrap());
}

/// Ids that nobody gave out are answers, not accidents.
#[test]
fn ids_of_any_size_are_answered() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    for id in [0, -1, i64::MIN, i64::MAX] {
        let task = TaskId(id);
        let step = tasker_model::StepId(id);
        assert_eq!(commands::cancel(conn, &[task], "ann", None, None).unwrap()[0].outcome, "not_found");
        assert_eq!(commands::retry(conn, &[task], "ann", None, None).unwrap()[0].outcome, "not_found");
        assert_eq!(
            commands::retry_single(conn, &[(task, step)], "ann", None, None).unwrap()[0].outcome,
            "not_found"
        );
        assert_eq!(
            commands::resolve(conn, &[(task, step, None)], "ann", None, None).unwrap()[0].outcome,
            "not_found"
        );
        let claim = commands::Claim { task_id: task, step_id: step, token: i32::MIN };
        assert!(commands::complete(conn, &[(claim, json!({}))], None).unwrap().accepted.is_empty());
    }
}
