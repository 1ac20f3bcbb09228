//! Programs as the evaluator runs them: their values, their bounds, what they cannot reach.

use serde_json::json;

use super::{super::MAX_SOURCE, *};
use crate::{handler::Failure, handlers::testing};

async fn run(source: &'static str, input: Value) -> Result<Value, StepError> {
    let context = testing::context(json!({}));
    Evaluator::new().run(&context, move |session| session.on(source, &input)).await
}

async fn value(source: &'static str, input: Value) -> Value {
    run(source, input).await.expect("the program gives a value")
}

async fn error(source: &'static str) -> StepError {
    run(source, Value::Null).await.expect_err("the program fails")
}

async fn limit(source: &'static str) -> String {
    let error = error(source).await;
    assert_eq!(error.code.as_deref(), Some("JQ_LIMIT"), "{error:?}");
    error.message
}

#[tokio::test]
async fn numbers_survive() {
    let numbers = json!([0, -1, i64::MAX, i64::MIN, u64::MAX, 9.99, 0.1, 1e300, -2.5]);
    assert_eq!(value(".", numbers.clone()).await, numbers);
    assert_eq!(value("9.99", Value::Null).await, json!(9.99));
    assert_eq!(value("9223372036854775807", Value::Null).await, json!(i64::MAX));
    assert_eq!(value(". + 1", json!(i64::MAX)).await, json!(9_223_372_036_854_775_808_u64));
    assert_eq!(value("[10 / 2, 7 / 2, 3.0]", Value::Null).await, json!([5, 3.5, 3]));
    assert_eq!(value("[nan, infinite]", Value::Null).await, json!([null, null]));
}

#[tokio::test]
async fn programs_mean_what_jq_means() {
    assert_eq!(value("[(1,2) * (10,30)]", Value::Null).await, json!([10, 30, 20, 60]));
    assert_eq!(value(".a *= 3 | .b *= .a", json!({"a": 2, "b": 5})).await, json!({"a": 6, "b": 30}));
    assert_eq!(value("[limit(3; repeat(1))]", Value::Null).await, json!([1, 1, 1]));
    assert_eq!(value("[paths]", json!({"a": [1]})).await, json!([["a"], ["a", 0]]));
    assert_eq!(value("del(.. | select(. == 1))", json!({"a": [1, 2]})).await, json!({"a": [2]}));
    assert_eq!(value("map(. * 2) | add", json!([1, 2])).await, json!(6));
    assert_eq!(value("def f: if . < 1000 then . + 1 | f end; f", json!(0)).await, json!(1_000));
    assert_eq!(value(r#""{\"a\": [1.5]}" | fromjson"#, Value::Null).await, json!({"a": [1.5]}));
    assert_eq!(value("now | type", Value::Null).await, json!("number"));
    assert_eq!(value(r#"try error("x") catch ."#, Value::Null).await, json!("x"));
}

#[tokio::test]
async fn paths_and_updates_pass_through_the_meter() {
    assert_eq!(value("(.a | .b) |= 5", json!({"a": {"b": 1}})).await, json!({"a": {"b": 5}}));
    assert_eq!(value("[path(.a | recurse)]", json!({"a": [1]})).await, json!([["a"], ["a", 0]]));
    assert_eq!(value("getpath([\"a\", \"b\"]) = 1", json!({"a": {}})).await, json!({"a": {"b": 1}}));
    assert_eq!(value("[range(0; 6; 2), range(3; 0; -1)]", Value::Null).await, json!([0, 2, 4, 3, 2, 1]));
}

#[tokio::test]
async fn endless_programs_end() {
    assert!(limit("last(repeat(1))").await.contains("steps"));
    assert!(limit("def f: f; f").await.contains("steps"));
    assert!(limit("[range(infinite)]").await.contains("steps"));
    assert!(limit("try last(repeat(1)) catch 1").await.contains("steps"));
    assert!(limit("def f: 1 + f; f").await.contains("deep"));
    assert!(limit("last(limit(100000; recurse([.])))").await.contains("deep"));
    assert!(limit("reduce range(100000) as $i (null; [.])").await.contains("deep"));
    assert!(limit(r#""ab" * 1000000000000"#).await.contains("grew"));
    assert!(limit(r#"reduce range(100) as $i ("x"; . + .)"#).await.contains("grew"));
}

#[tokio::test]
async fn large_outputs_are_refused() {
    assert!(error("reduce range(40) as $i (0; [., .])").await.message.contains("output"));
    assert!(error("reduce range(500) as $i (0; [.])").await.message.contains("nested"));
    assert!(error(r#"[range(200000) | "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"]"#).await.message.contains("bytes"));
}

#[tokio::test]
async fn what_is_nested_deep_does_not_overflow_the_stack() {
    let deep = format!("\"{}\" | fromjson", "[".repeat(5_000));
    let source: &'static str = Box::leak(deep.into_boxed_str());
    assert!(error(source).await.message.contains("cannot parse"));
    let nested: &'static str =
        Box::leak(format!("{}{}", "[".repeat(4_000), "]".repeat(4_000)).into_boxed_str());
    assert!(error(nested).await.message.contains("nested"));
    assert!(check(&"1".repeat(MAX_SOURCE + 1)).is_err());
    for unit in ["(", "[", "-", "try ", ".|", "def f:", "if ", "1,", "\"\\("] {
        let source = unit.repeat(MAX_SOURCE / unit.len() - 1);
        // What matters is that this process is still here to look at the answer.
        let _ = check(&format!("{source}1"));
    }
}

#[tokio::test]
async fn nothing_outside_of_the_program_can_be_reached() {
    for source in
        ["env", "$ENV", "input", "inputs", "halt", "debug", "stderr", "localtime", "import \"a\" as a; 1"]
    {
        assert!(check(source).is_err(), "{source}");
    }
}

#[tokio::test]
async fn a_cancelled_attempt_stops_its_program() {
    let context = testing::context(json!({}));
    context.cancellation.cancel();
    let result = Evaluator::new().run(&context, |session| session.on_document("last(repeat(1))")).await;
    assert_eq!(result.expect_err("it is cancelled").code.as_deref(), Some("CANCELLED"));
}

#[tokio::test]
async fn error_chooses_the_failure() {
    let plain = error(r#"error("product 7 is gone")"#).await;
    assert_eq!((plain.message.as_str(), plain.failure), ("product 7 is gone", Failure::Permanent));
    let chosen = error(r#"error({message: "busy", code: "BUSY", retryable: true, retry_after: 1.5})"#).await;
    let expected = StepError::retryable("busy").with_code("BUSY");
    assert_eq!(chosen, expected.with_retry_after(Duration::from_millis(1_500)));
    assert_eq!(error("error({a: 1})").await.message, r#"{"a":1}"#);
    assert!(error(".a | error({message: 1, retry_after: -1})").await.retry_after.is_none());
}

#[test]
fn mistakes_have_a_position() {
    assert_eq!(check(".a | map(.b)"), Ok(()));
    let at = |source| check(source).expect_err("the program is wrong");
    assert_eq!(at(".a |\n  foo(1)"), "undefined filter `foo/1` at line 2, column 3");
    assert_eq!(at(".a + $x"), "undefined variable `$x` at line 1, column 6");
    assert_eq!(at("[1, 2"), "expected closing bracket but found the end at line 1, column 6");
    assert_eq!(at("if . then"), "expected term but found the end at line 1, column 10");
    assert_eq!(at(". )"), "expected token but found `)` at line 1, column 3");
}
