//! The `command` handler with the shell of this machine.
#![cfg(all(feature = "declarative", unix))]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use chrono::DateTime;
use serde_json::{Value, json};
use tasker_engine::{
    handler::{Failure, Handler, HandlerRegistry, StepContext, StepError, StepResult},
    handlers::{BUILT_IN, DeclarativeOptions, Variables, register},
};
use tasker_model::{StepId, TaskId};
use tokio_util::sync::CancellationToken;

fn registry(allow_command: bool) -> HandlerRegistry {
    let mut options = DeclarativeOptions::default();
    options.allow_command = allow_command;
    options.variables = Variables::new(|name| (name == "TOKEN").then(|| "s3cret".to_owned()));
    let mut registry = HandlerRegistry::new();
    register(&mut registry, options);
    registry
}

fn context(config: Value) -> StepContext {
    StepContext {
        task_id: TaskId(42),
        step_id: StepId(420),
        step_name: "call".into(),
        workflow: "shop.order@1.0.0".into(),
        attempt: 1,
        generation: 0,
        context: Arc::new(json!({"id": 7, "price": 9.99})),
        results: Arc::new(BTreeMap::new()),
        config: Arc::new(config),
        now: DateTime::from_timestamp(784_111_717, 0).expect("a valid instant"),
        cancellation: CancellationToken::new(),
    }
}

async fn call(context: StepContext) -> StepResult {
    match registry(true).get("command") {
        Some(Handler::Async(handler)) => handler.call(context).await,
        other => panic!("command is {other:?}"),
    }
}

async fn shell(script: &str) -> StepResult {
    call(context(json!({"program": "sh", "args": ["-c", script]}))).await
}

async fn failed(script: &str) -> StepError {
    shell(script).await.expect_err("this command fails")
}

#[test]
fn it_is_not_there_unless_allowed() {
    assert!(registry(false).get("command").is_none());
    let mut built_in = BUILT_IN.to_vec();
    built_in.sort_unstable();
    assert_eq!(registry(true).names(), built_in);
}

#[tokio::test]
async fn output_is_json_or_text() {
    assert_eq!(shell("echo '{\"a\": [1, 9.99]}'").await, Ok(json!({"a": [1, 9.99]})));
    assert_eq!(shell("echo hello").await, Ok(json!({"stdout": "hello\n"})));
    assert_eq!(shell("true").await, Ok(json!({"stdout": ""})));
}

#[tokio::test]
async fn the_document_is_its_input_unless_another_is_given() {
    let document = shell("cat").await.expect("it is JSON");
    assert_eq!(document["context"], json!({"id": 7, "price": 9.99}));
    assert_eq!(document["step"]["idempotency_key"], "42:call:0");
    let config = json!({"program": "cat", "stdin": {"id": "{{ .context.id }}"}});
    assert_eq!(call(context(config)).await, Ok(json!({"id": 7})));
}

#[tokio::test]
async fn an_argument_is_one_argument() {
    let config = json!({"program": "printf", "args": ["%s|", "a b; $HOME", "{{ .context.id }}", 5]});
    assert_eq!(call(context(config)).await, Ok(json!({"stdout": "a b; $HOME|7|5|"})));
}

#[tokio::test]
async fn the_environment_is_explicit() {
    let config = json!({"program": "env", "env": {"A": "${TOKEN}"}, "cwd": "/"});
    let result = call(context(config)).await.expect("it succeeds");
    let mut lines: Vec<_> = result["stdout"].as_str().expect("a text").lines().collect();
    lines.sort_unstable();
    let expected = ["A=s3cret", "PATH=/usr/local/bin:/usr/bin:/bin", "TASKER_IDEMPOTENCY_KEY=42:call:0"];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn exit_codes_decide() {
    let error = failed("echo first >&2; echo broken >&2; exit 75").await;
    assert_eq!((error.failure, error.code.as_deref()), (Failure::Retryable, Some("COMMAND_EXIT_75")));
    assert_eq!(error.message, "the program \"sh\" exited with code 75: first\nbroken");
    assert_eq!(failed("exit 1").await.failure, Failure::Retryable);
    let config = json!({"program": "sh", "args": ["-c", "exit 3"], "permanent_codes": [2, 3]});
    let error = call(context(config)).await.expect_err("it fails");
    assert_eq!((error.failure, error.code.as_deref()), (Failure::Permanent, Some("COMMAND_EXIT_3")));
    let killed = failed("kill -9 $$").await;
    assert_eq!((killed.failure, killed.code.as_deref()), (Failure::Retryable, Some("COMMAND_SIGNAL_9")));
}

#[tokio::test]
async fn a_message_has_the_tail_of_stderr_and_no_variable() {
    let script = "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; echo $A >&2; exit 1";
    let config = json!({"program": "sh", "args": ["-c", script], "env": {"A": "${TOKEN}"}});
    let error = call(context(config)).await.expect_err("it fails");
    assert!(error.message.ends_with("line 1999\n${TOKEN}"), "{}", error.message);
    assert!(error.message.len() < 2_100);
}

#[tokio::test]
async fn a_program_that_cannot_start_is_permanent() {
    for program in ["/no/such/program", "no-such-program", "/"] {
        let error = call(context(json!({"program": program}))).await.expect_err("it cannot start");
        assert_eq!((error.failure, error.code.as_deref()), (Failure::Permanent, Some("COMMAND_START")));
    }
}

#[tokio::test]
async fn an_endless_output_is_cut() {
    let error = failed("while :; do echo 0123456789012345678901234567890123456789; done").await;
    assert_eq!((error.failure, error.code.as_deref()), (Failure::Permanent, Some("COMMAND_OUTPUT")));
}

#[tokio::test]
async fn input_that_is_not_read_is_no_failure() {
    let config = json!({"program": "true", "stdin": "x".repeat(1_000_000)});
    assert_eq!(call(context(config)).await, Ok(json!({"stdout": ""})));
}

#[tokio::test]
async fn cancelling_kills_the_whole_group() {
    let fifo = std::env::temp_dir().join(format!("tasker-command-{}", std::process::id()));
    let script = format!("mkfifo {0}; (exec 3>{0}; echo up >&3; exec sleep 1000) & wait", fifo.display());
    let context = context(json!({"program": "sh", "args": ["-c", script]}));
    let token = context.cancellation.clone();
    let running = tokio::spawn(call(context));
    while !Path::new(&fifo).exists() {
        tokio::task::yield_now().await;
    }
    // The pipe ends when nobody holds it any more: not the shell, and not what it has started.
    let reading = fifo.clone();
    let mut pipe = tokio::task::spawn_blocking(move || std::fs::File::open(reading))
        .await
        .expect("no panic")
        .expect("it opens");
    let mut up = [0; 3];
    std::io::Read::read_exact(&mut pipe, &mut up).expect("the inner process is up");
    token.cancel();
    assert_eq!(running.await.expect("no panic").expect_err("cancelled").code.as_deref(), Some("CANCELLED"));
    let mut rest = Vec::new();
    let read = tokio::task::spawn_blocking(move || std::io::Read::read_to_end(&mut pipe, &mut rest));
    assert_eq!(read.await.expect("no panic").expect("it ends"), 0);
    std::fs::remove_file(fifo).expect("it is there");
}
