//! The `http` handler against a small server on this machine.
#![cfg(feature = "declarative")]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use chrono::DateTime;
use serde_json::{Map, Value, json};
use tasker_engine::{
    handler::{Failure, Handler, HandlerRegistry, StepContext, StepError, StepResult},
    handlers::{DeclarativeOptions, Variables, register},
};
use tasker_model::{StepId, TaskId};
use tokio_util::sync::CancellationToken;

/// Answers each connection with the next answer and hands the requests out.
struct Server {
    url: String,
    requests: mpsc::Receiver<String>,
}

impl Server {
    fn answering(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let (send, requests) = mpsc::channel();
        thread::spawn(move || {
            for answer in answers {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let _ = send.send(request(&mut stream));
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, requests }
    }

    /// The next request, its head in lower case as far as the first line's end is not concerned.
    fn request(&self) -> String {
        self.requests.recv_timeout(Duration::from_secs(10)).expect("a request arrives")
    }
}

/// Head and body of a request.
fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece).unwrap_or(0);
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes);
        let length = text.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length);
        if n == 0 || whole {
            return text.into_owned();
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

fn context(config: Value) -> StepContext {
    let results = BTreeMap::from([("before".to_owned(), json!({"id": 9}))]);
    StepContext {
        task_id: TaskId(42),
        step_id: StepId(420),
        step_name: "call".into(),
        workflow: "shop.order@1.0.0".into(),
        attempt: 1,
        generation: 0,
        context: Arc::new(json!({"id": 7, "name": "Ada L"})),
        results: Arc::new(results),
        config: Arc::new(config),
        now: DateTime::from_timestamp(784_111_717, 0).expect("a valid instant"),
        cancellation: CancellationToken::new(),
    }
}

async fn call(context: StepContext) -> StepResult {
    let mut options = DeclarativeOptions::default();
    options.http.body_limit = 1_000;
    options.variables = Variables::new(|name| (name == "TOKEN").then(|| "s3cret".to_owned()));
    let mut registry = HandlerRegistry::new();
    register(&mut registry, options);
    match registry.get("http") {
        Some(Handler::Async(handler)) => handler.call(context).await,
        other => panic!("http is {other:?}"),
    }
}

async fn run(url: &str, more: Value) -> StepResult {
    let mut config = Map::from_iter([("url".to_owned(), json!(url))]);
    config.extend(more.as_object().cloned().unwrap_or_default());
    call(context(Value::Object(config))).await
}

async fn refused(status: &str, headers: &str, body: &str) -> StepError {
    let server = Server::answering(vec![answer(status, headers, body)]);
    run(&server.url, json!({})).await.expect_err("this status is no success")
}

#[tokio::test]
async fn a_request_carries_what_its_configuration_says() {
    let server = Server::answering(vec![answer(
        "201 Created",
        "content-type: application/json\r\nx-a: 1\r\nx-a: 2\r\n",
        r#"{"price":9.99}"#,
    )]);
    let config = json!({
        "method": "post",
        "params": {"q": "{{ .context.name }}"},
        "headers": {"Authorization": "Bearer ${TOKEN}"},
        "body": {"order": "{{ .context.id }}", "before": "{{ .steps.before.id }}"},
    });
    let result = run(&format!("{}/orders", server.url), config).await.expect("201 is a success");
    assert_eq!(result["status"], 201);
    assert_eq!(result["body"], json!({"price": 9.99}));
    assert_eq!(result["headers"]["x-a"], "1, 2");

    let request = server.request();
    assert!(request.starts_with("POST /orders?q=Ada+L HTTP/1.1\r\n"), "{request}");
    let has = |line: &str| assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} in {request}");
    has("idempotency-key: 42:call:0");
    has("authorization: Bearer s3cret");
    has("accept: application/json");
    has("content-type: application/json");
    has(concat!("user-agent: tasker/", env!("CARGO_PKG_VERSION")));
    let (_, body) = request.split_once("\r\n\r\n").expect("it has a body");
    let body: Value = serde_json::from_str(body).expect("it is JSON");
    assert_eq!(body, json!({"order": 7, "before": 9}));
}

#[tokio::test]
async fn the_result_is_what_output_makes_of_the_answer() {
    let json = || answer("200 OK", "content-type: application/json\r\n", r#"{"items":[{"id":1},{"id":2}]}"#);
    let server = Server::answering(vec![json(), json()]);
    let ids = run(&server.url, json!({"output": "[.body.items[].id]"})).await;
    assert_eq!(ids, Ok(json!([1, 2])));
    let busy = "error({message: \"busy\", retryable: true})";
    let error = run(&server.url, json!({"output": busy})).await.expect_err("the program fails");
    assert_eq!((error.failure, error.message.as_str()), (Failure::Retryable, "busy"));
}

#[tokio::test]
async fn the_idempotency_header_can_be_renamed_and_left_out() {
    let ok = || answer("204 No Content", "", "");
    let server = Server::answering(vec![ok(), ok(), ok()]);
    let result =
        run(&server.url, json!({"idempotency_header": "X-Request-Id"})).await.expect("it is a success");
    assert_eq!(result["body"], Value::Null);
    assert!(server.request().contains("x-request-id: 42:call:0"));
    run(&server.url, json!({"idempotency_header": false})).await.expect("it is a success");
    assert!(!server.request().contains("42:call:0"));
    run(&server.url, json!({"headers": {"idempotency-key": "mine"}})).await.expect("it is a success");
    assert!(server.request().contains("idempotency-key: mine\r\n"));
}

#[tokio::test]
async fn permanent_statuses() {
    for status in [301, 304, 400, 401, 403, 404, 405, 410, 418, 422] {
        let error = refused(&format!("{status} X"), "retry-after: 5\r\n", "").await;
        assert_eq!((error.failure, error.retry_after), (Failure::Permanent, None), "{status}");
        assert_eq!(error.code, Some(format!("HTTP_{status}")));
    }
}

#[tokio::test]
async fn retryable_statuses_read_retry_after() {
    for status in [408, 409, 425, 429, 500, 502, 503, 504] {
        let error = refused(&format!("{status} X"), "retry-after: 120\r\n", "").await;
        let expected = (Failure::Retryable, Some(Duration::from_secs(120)), Some(format!("HTTP_{status}")));
        assert_eq!((error.failure, error.retry_after, error.code), expected);
    }
    let date = refused("503 X", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "").await;
    let wait = date.retry_after.unwrap();
    assert!((Duration::from_secs(50)..=Duration::from_secs(60)).contains(&wait), "{wait:?}");
    // A server five minutes ahead means the same two minutes.
    let ahead = "Date: Sun, 06 Nov 1994 08:53:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:55:37 GMT\r\n";
    assert_eq!(refused("503 X", ahead, "").await.retry_after, Some(Duration::from_secs(120)));
    let soon = refused("429 X", "retry-after: soon\r\n", "").await;
    assert_eq!((soon.failure, soon.retry_after), (Failure::Retryable, None));
}

#[tokio::test]
async fn success_is_configurable() {
    let server = Server::answering(vec![answer("404 Not Found", "", ""), answer("200 OK", "", "")]);
    let result = run(&server.url, json!({"success": [404], "output": ".status"})).await;
    assert_eq!(result, Ok(json!(404)));
    let error = run(&server.url, json!({"success": ["201-204"]})).await.expect_err("200 is not among them");
    assert_eq!((error.failure, error.code.as_deref()), (Failure::Permanent, Some("HTTP_200")));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::answering(vec![answer("302 Found", "location: http://127.0.0.1:1/\r\n", "")]);
    let error = run(&server.url, json!({})).await.expect_err("it is a redirect");
    assert_eq!((error.failure, error.code.as_deref()), (Failure::Permanent, Some("HTTP_302")));
    assert!(error.message.contains("redirects are not followed"), "{}", error.message);
}

#[tokio::test]
async fn messages_explain_and_keep_secrets() {
    let body = r#"{"error":{"message":"token s3cret is expired"}}"#;
    let server = Server::answering(vec![answer("401 Unauthorized", "", body)]);
    let url = server.url.replace("http://", "http://user:pass@") + "/v1/${TOKEN}/x?key=abc";
    let config = json!({"headers": {"X-Key": "hidden"}, "params": {"page": 2}});
    let error = run(&url, config).await.expect_err("it is refused");
    let host = server.url.trim_start_matches("http://");
    let expected = format!(
        "GET http://{host}/v1/${{TOKEN}}/x?key=…&page=… answered 401 Unauthorized: token ${{TOKEN}} is expired"
    );
    assert_eq!(error.message, expected);
}

#[tokio::test]
async fn a_long_body_is_refused_without_being_held() {
    let announced = answer("200 OK", "", &"x".repeat(1_001));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()
        + &format!("1f4\r\n{}\r\n", "x".repeat(500)).repeat(3)
        + "0\r\n\r\n";
    let server = Server::answering(vec![announced, chunked, answer("200 OK", "", &"x".repeat(1_000))]);
    for _ in 0..2 {
        let error = run(&server.url, json!({})).await.expect_err("it is too long");
        assert_eq!((error.failure, error.code.as_deref()), (Failure::Permanent, Some("HTTP_BODY")));
    }
    assert!(run(&server.url, json!({})).await.is_ok());
}

#[tokio::test]
async fn a_lost_connection_is_retryable() {
    let server =
        Server::answering(vec![String::new(), "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".into()]);
    for _ in 0..2 {
        let error = run(&server.url, json!({})).await.expect_err("it breaks off");
        assert_eq!((error.failure, error.code.as_deref()), (Failure::Retryable, Some("HTTP_CONNECT")));
        assert!(error.message.contains("broke off"), "{}", error.message);
    }
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let error = run(&format!("http://{closed}/"), json!({})).await.expect_err("nobody listens");
    assert_eq!((error.failure, error.code.as_deref()), (Failure::Retryable, Some("HTTP_CONNECT")));
    assert!(error.message.contains("could not be reached: Connection refused"), "{}", error.message);
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    let error = run(&url, json!({"timeout": "20ms"})).await.expect_err("nobody answers");
    assert_eq!((error.failure, error.code.as_deref()), (Failure::Retryable, Some("HTTP_TIMEOUT")));
}

#[tokio::test]
async fn cancelling_aborts_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    let context = context(json!({"url": url}));
    let token = context.cancellation.clone();
    let calling = tokio::spawn(call(context));
    // The request has been sent when its bytes are here; then it waits for an answer.
    let accept = move || listener.accept().map(|(mut stream, _)| (request(&mut stream), stream));
    let accepted = tokio::task::spawn_blocking(accept).await.expect("no panic");
    let (request, _open) = accepted.expect("a connection");
    assert!(request.starts_with("GET / "), "{request}");
    token.cancel();
    let result = calling.await.expect("no panic");
    assert_eq!(result.expect_err("it is cancelled").code.as_deref(), Some("CANCELLED"));
}

#[tokio::test]
async fn https_does_not_panic() {
    // With certificates of authorities the connection is refused, without them the step says so.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let error = run(&format!("https://{closed}/"), json!({})).await.expect_err("nobody listens");
    assert_eq!(error.failure, Failure::Retryable);
    assert!(matches!(error.code.as_deref(), Some("HTTP_CONNECT" | "HTTP_TLS")), "{error:?}");
}

#[tokio::test]
async fn a_wrong_configuration_is_permanent() {
    for config in [json!({"url": "/relative"}), json!({}), json!({"url": "http://h", "retries": 1})] {
        let error = call(context(config)).await.expect_err("it is wrong");
        assert_eq!((error.failure, error.code.as_deref()), (Failure::Permanent, Some("INVALID_CONFIG")));
    }
    let unset = run("http://h/", json!({"headers": {"A": "${NOPE}"}})).await.expect_err("it is unset");
    assert!(unset.message.contains("NOPE"));
}
