//! Context schemas: defaults that stay, sentences that name the place, nothing fetched.
#![cfg(feature = "declarative")]

use serde_json::{Value, json};
use tasker_engine::definition::{ContextSchema, WorkflowDefinition, WorkflowParts};

fn compile(schema: Value) -> ContextSchema {
    ContextSchema::compile(&schema).unwrap()
}

fn refusal(schema: Value) -> String {
    ContextSchema::compile(&schema).unwrap_err().to_string()
}

fn filled(schema: Value, mut context: Value) -> Value {
    compile(schema).apply_defaults(&mut context);
    context
}

#[test]
fn faults_are_sentences_with_their_place() {
    let schema = compile(json!({
        "type": "object",
        "required": ["sku"],
        "additionalProperties": false,
        "properties": {
            "sku": {"type": "string"},
            "kind": {"enum": ["tea", "cup"]},
            "note": {"type": "integer"},
            "a b": {"type": "integer"},
            "items": {"type": "array", "items": {"properties": {"qty": {"minimum": 1}}}},
        },
    }));
    let context = json!({
        "items": [{"qty": -1}], "kind": "pot", "note": "x".repeat(200), "a b": [], "more": 1,
    });
    let mut found = schema.validate(&context).unwrap_err();
    found.sort();
    assert_eq!(
        found,
        [
            "context.items[0].qty: -1 is less than the minimum of 1",
            "context.kind: \"pot\" is not one of \"tea\" or \"cup\"",
            "context.note: the string is not of type \"integer\"",
            "context: \"sku\" is a required property",
            "context: Additional properties are not allowed ('more' was unexpected)",
            "context[\"a b\"]: the array is not of type \"integer\"",
        ]
    );
    assert_eq!(schema.validate(&json!({"sku": "x"})), Ok(()), "optional stays optional");
}

#[test]
fn faults_are_bounded() {
    let schema = compile(json!({"properties": {"items": {"items": {"type": "string"}}}}));
    let found = schema.validate(&json!({"items": vec![1; 1_000]})).unwrap_err();
    assert_eq!((found.len(), found[50].as_str()), (51, "950 further faults are left out"));
}

#[test]
fn defaults_are_inserted_where_nothing_is() {
    let schema = json!({
        "properties": {
            "currency": {"default": "EUR"},
            "gift": {"default": false},
            "address": {"default": {}, "properties": {"country": {"default": "DE"}}},
            "billing": {"properties": {"country": {"default": "DE"}}},
            "items": {"items": {"$ref": "#/$defs/item"}},
            "limits": {"$ref": "#/$defs/limits"},
        },
        "allOf": [{"properties": {"channel": {"default": "web"}}}],
        "$defs": {
            "item": {"properties": {"qty": {"default": 1}}},
            "limits": {"default": {"max": 5}},
        },
    });
    assert_eq!(
        filled(schema.clone(), json!({"gift": null, "items": [{}, {"qty": 3}, 7]})),
        json!({
            "currency": "EUR", "gift": null, "address": {"country": "DE"}, "channel": "web",
            "items": [{"qty": 1}, {"qty": 3}, 7], "limits": {"max": 5},
        }),
    );
    assert_eq!(filled(schema, json!([])), json!([]));
}

#[test]
fn endless_defaults_come_to_an_end() {
    let one = filled(json!({"properties": {"child": {"$ref": "#", "default": {}}}}), json!({}));
    assert!(one["child"]["child"].is_object());
    filled(
        json!({"properties": {"a": {"$ref": "#", "default": {}}, "b": {"$ref": "#", "default": {}}}}),
        json!({}),
    );
    filled(json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}), json!({}));
}

#[test]
fn nothing_is_fetched() {
    assert_eq!(
        refusal(json!({"properties": {"a": {"$ref": "https://example.com/order.json"}}})),
        "it refers to \"https://example.com/order.json\", and other documents are never fetched; copy what it needs into its own \"$defs\""
    );
    assert!(refusal(json!({"$ref": "file:///etc/passwd"})).contains("never fetched"));
    assert!(refusal(json!({"$ref": "#/$defs/none"})).starts_with("a reference leads nowhere"));
}

#[test]
fn what_is_no_schema_is_refused() {
    for (schema, expected) in [
        (json!({"type": "strin"}), "schema.type: "),
        (
            json!({"properties": {"a": {"minimum": "1"}}}),
            "schema.properties.a.minimum: \"1\" is not of type \"number\"",
        ),
        (json!({"pattern": "("}), "schema.pattern: \"(\" is not a \"regex\""),
        (json!(5), "schema: 5 is not of type"),
    ] {
        let found = refusal(schema);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_definition_holds_a_schema_that_compiles() {
    let parts = WorkflowParts { schema: Some(json!({"type": 5})), ..WorkflowParts::new("order") };
    let found = WorkflowDefinition::new(parts).unwrap_err().to_string();
    assert!(found.starts_with("the workflow is not valid: schema: schema.type: 5 is not"), "{found}");
}
