//! Names: whatever somebody writes is a good name or is refused with a sentence, and never leads elsewhere.

use std::path::{Component, Path};

use proptest::prelude::*;
use tasker_generate::{GenerateError, Name};

use crate::golden::parsed;

#[test]
fn one_name_is_written_in_several_ways() {
    for (text, snake, pascal) in [
        ("order", "order", "Order"),
        ("OrderFlow", "order_flow", "OrderFlow"),
        ("order-flow", "order_flow", "OrderFlow"),
        ("order_flow", "order_flow", "OrderFlow"),
        ("HTTPServer", "http_server", "HttpServer"),
        ("OrderV2", "order_v2", "OrderV2"),
        ("v2Order", "v2_order", "V2Order"),
        ("x", "x", "X"),
    ] {
        let name = Name::module("a module", text).unwrap();
        assert_eq!((name.snake(), name.pascal().as_str()), (snake, pascal), "{text}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    let long = "a".repeat(65);
    for text in [
        "",
        " ",
        "1st",
        "_a",
        "a_",
        "a__b",
        "a-",
        "a b",
        "a/b",
        "../a",
        "..",
        ".",
        "a.rs",
        "a\\b",
        "/etc/passwd",
        "C:a",
        "a\0",
        "a\n",
        "ä",
        "名前",
        "fn",
        "Self",
        "async",
        "try",
        "gen",
        "union",
        "tasker",
        "std",
        "mod",
        "main",
        "lib",
        "serde_json",
        "con",
        &long,
    ] {
        let error = Name::module("a module", text).unwrap_err().to_string();
        assert!(error.contains("cannot be the name of a module: ") && !error.contains('\n'), "{error}");
    }
    assert!(Name::module("a module", &long[..64]).is_ok());
}

#[test]
fn steps_are_named_and_each_otherwise() {
    let refused = |steps: &str| {
        parsed(&format!("handler order --dry-run --steps {steps}")).run(Path::new("/nowhere")).unwrap_err()
    };
    assert!(matches!(refused("a,b,a"), GenerateError::SameStep { what: "name", .. }));
    assert!(matches!(refused("fetch,Fetch"), GenerateError::SameStep { what: "name", .. }));
    assert!(matches!(refused("a_1,a1"), GenerateError::SameStep { what: "type", .. }));
    assert!(matches!(refused("a,,b"), GenerateError::Name(_)));
    assert!(matches!(refused("a,match"), GenerateError::Name(_)));
    assert!(matches!(refused("a,../b"), GenerateError::Name(_)));
}

/// Whatever the generated code calls something itself, no type of the user's takes its place.
#[test]
fn a_type_does_not_hide_what_its_own_code_uses() {
    for command in [
        "authenticator identity --type jwt",
        "authenticator jwt_authenticator --type jwt",
        "authenticator Sessions --type session",
        "authenticator digest_config --type custom",
        "coordinator scope",
        "coordinator Decision",
        "subscriber event",
        "subscriber event_sink --metrics",
    ] {
        let run = parsed(&format!("{command} --dry-run")).run(Path::new("/nowhere"));
        let is_fine = command.contains("digest_config");
        assert_eq!(matches!(run, Err(GenerateError::Name(_))), !is_fine, "{command}: {run:?}");
    }
}

/// The rules of a workflow are the engine's.
#[test]
fn what_the_engine_would_refuse_is_not_written() {
    for (flags, said) in [
        ("--version 1.x", "1.x"),
        ("--namespace \u{200b}", "namespace"),
        (&*format!("--namespace {}", "n".repeat(65)), "namespace"),
    ] {
        let error = parsed(&format!("handler order --dry-run --steps a {flags}"))
            .run(Path::new("/nowhere"))
            .unwrap_err();
        assert!(matches!(error, GenerateError::Workflow(_)) && error.to_string().contains(said), "{error}");
    }
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9_./\\-]{0,70}",
        "[a-z][a-z0-9_]{0,12}",
        "([A-Z]{1,3}[a-z0-9]{0,4}){1,4}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_name_is_an_identifier_and_one_file(text in names()) {
        let Ok(name) = Name::module("a module", &text) else { return Ok(()) };
        let (snake, pascal) = (name.snake(), name.pascal());
        prop_assert!((1..=64).contains(&snake.len()));
        prop_assert!(snake.starts_with(|c: char| c.is_ascii_lowercase()));
        prop_assert!(snake.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        prop_assert!(pascal.starts_with(|c: char| c.is_ascii_uppercase()));
        prop_assert!(pascal.chars().all(|c| c.is_ascii_alphanumeric()));
        let same = Name::module("a module", snake);
        prop_assert_eq!(same.as_ref(), Ok(&name));
        let file = format!("{name}.rs");
        let parts: Vec<Component<'_>> = Path::new(&file).components().collect();
        prop_assert!(matches!(parts[..], [Component::Normal(_)]));
    }

    /// Whatever a workflow is called, its template is one that the engine takes, or it is refused.
    #[test]
    fn a_handler_is_whole_or_refused(
        name in names(), steps in prop::collection::vec(names(), 1..5),
        namespace in any::<String>(), description in any::<String>(),
    ) {
        let steps = steps.join(",");
        let words = ["generate", "handler", "--dry-run", "--steps", &steps, "--namespace", &namespace,
            "--description", &description, "--", &name];
        let Ok(what) = crate::golden::try_parsed(&words) else { return Ok(()) };
        let Ok(report) = what.run(Path::new("/nowhere")) else { return Ok(()) };
        prop_assert_eq!(report.files.len(), 2);
        let texts: Vec<&str> = report.files.iter().filter_map(|f| f.text.as_deref()).collect();
        prop_assert!(texts[0].starts_with("//! ") && (!texts[0].contains("__") || namespace.contains("__")), "{}", texts[0]);
        let template = tasker::prelude::Template::parse(texts[1], "x.yaml").unwrap();
        let definition = template.definition(None).unwrap();
        prop_assert_eq!(definition.namespace(), &*namespace);
        prop_assert_eq!(definition.description(), Some(&*description));
    }
}
