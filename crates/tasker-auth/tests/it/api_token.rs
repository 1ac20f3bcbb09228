//! API tokens in PostgreSQL; D-06.

use std::sync::Arc;

use crate::support::{Noise, Sent, pool};
use chrono::{TimeDelta, Utc};
use diesel::{RunQueryDsl, connection::SimpleConnection, sql_types::Text};
use serde_json::json;
use tasker_auth::{
    ApiTokenAuthenticator, ApiTokenConfig, AuthError, CorrelationId, Identity, Method, Namespaces,
    Permission, Refusal, TokenParts, TokenText,
    pg::{NewToken, PgAudit, PgTokens, issue_token, list_tokens, prune_audit, record_audit, revoke_token},
};
use tasker_testkit::TestDatabase;

fn authenticator(database: &TestDatabase) -> ApiTokenAuthenticator {
    let store = Arc::new(PgTokens::new(pool(database)));
    ApiTokenAuthenticator::new(&ApiTokenConfig::default(), store).unwrap()
}

fn new_token() -> NewToken {
    let mut new = NewToken::new("robot", "nightly import", "ada");
    new.permissions = Some([Permission::TaskCreate, Permission::TaskShow].into_iter().collect());
    new.namespaces = Namespaces::only(["shop"]);
    new
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(database: &TestDatabase, sql: &str) -> Vec<String> {
    let rows: Vec<Line> = diesel::sql_query(sql).load(&mut database.connection()).unwrap();
    rows.into_iter().map(|l| l.line).collect()
}

#[tokio::test]
async fn a_token_is_known_by_either_header_with_its_scopes() {
    let database = TestDatabase::new();
    let issued = issue_token(&mut database.connection(), "tasker", &new_token()).unwrap();
    let auth = authenticator(&database);
    for sent in [
        Sent::get("/").bearer(issued.text.expose()),
        Sent::get("/").header("x-api-token", issued.text.expose()),
    ] {
        let who = sent.to(&auth).await.unwrap();
        assert_eq!((who.subject.as_str(), who.method), ("robot", Method::ApiToken));
        assert!(
            who.permissions.contains(Permission::TaskShow)
                && who.limit.excludes(Permission::TaskCancel, &tasker_auth::Scope::Listing)
        );
        assert_eq!(who.limit.namespaces, Namespaces::only(["shop"]));
    }
}

/// D-06: at rest there is a digest; the text is nowhere in the database.
#[test]
fn d06_no_token_is_stored_in_clear() {
    let database = TestDatabase::new();
    let issued = issue_token(&mut database.connection(), "tasker", &new_token()).unwrap();
    let rows = lines(&database, "select t::text as line from tasker.api_tokens t");
    let secret = issued.text.expose().rsplit('_').next().unwrap();
    assert_eq!(secret.len(), 64);
    assert!(rows.len() == 1 && rows[0].contains("robot") && !rows[0].contains(secret));
    assert!(!format!("{issued:?}").contains(secret), "Debug shows no secret");
}

/// D-06: expiry, revocation, scopes; and a token in `Authorization` without its scheme is refused.
#[tokio::test]
async fn d06_expired_revoked_and_raw_tokens_are_refused() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let mut new = new_token();
    let expires_at = Utc::now() + TimeDelta::hours(1);
    new.expires_at = Some(expires_at);
    let issued = issue_token(conn, "tasker", &new).unwrap();
    let text = issued.text.expose();
    let auth = authenticator(&database);
    let at = async |now| Sent::get("/").bearer(text).at(now).to(&auth).await.map(|who| who.subject);
    assert!(Sent::get("/").bearer(text).to(&auth).await.is_ok(), "by the clock of the database");
    assert_eq!(at(expires_at - TimeDelta::seconds(1)).await, Ok("robot".into()));
    assert_eq!(at(expires_at + TimeDelta::seconds(1)).await, Err(Refusal::Expired.into()));
    let raw = Sent::get("/").header("authorization", text);
    assert_eq!(raw.to(&auth).await, Err(Refusal::Invalid.into()));

    assert!(revoke_token(conn, issued.id, "ada", None).unwrap());
    assert!(!revoke_token(conn, issued.id, "bob", None).unwrap(), "once");
    assert_eq!(Sent::get("/").bearer(text).to(&auth).await, Err(Refusal::Revoked.into()));
    assert_eq!(lines(&database, "select revoked_by as line from tasker.api_tokens"), ["ada"]);
}

#[tokio::test]
async fn whoever_knows_only_the_lookup_learns_nothing() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let issued = issue_token(conn, "tasker", &new_token()).unwrap();
    revoke_token(conn, issued.id, "ada", None).unwrap();
    let auth = authenticator(&database);
    let lookup = issued.text.lookup();
    let wrong_secret = format!("tasker_{lookup}_{}", "0".repeat(64));
    let unknown = TokenText::random("tasker");
    for text in
        [wrong_secret.as_str(), unknown.expose(), lookup, "", "tasker__", "'; drop table tasker.tasks; --"]
    {
        let refused = Sent::get("/").header("x-api-token", text).to(&auth).await;
        assert_eq!(refused, Err(Refusal::Invalid.into()), "{text}");
    }
    let live = issue_token(conn, "tasker", &new_token()).unwrap();
    let twice = Sent::get("/").header("x-api-token", live.text.expose()).header("x-api-token", "a");
    assert_eq!(twice.to(&auth).await, Err(Refusal::Invalid.into()));
    assert!(matches!(Sent::get("/").to(&auth).await, Err(AuthError::Missing { .. })));
}

#[tokio::test]
async fn use_is_noted_to_the_minute() {
    let database = TestDatabase::new();
    let issued = issue_token(&mut database.connection(), "tasker", &new_token()).unwrap();
    let auth = authenticator(&database);
    let start = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let mut noted = vec![];
    for seconds in [0, 30, 59, 61, 90] {
        let now = start + TimeDelta::seconds(seconds);
        Sent::get("/").bearer(issued.text.expose()).at(now).to(&auth).await.unwrap();
        let row = list_tokens(&mut database.connection(), Some("robot"), 10).unwrap().remove(0);
        noted.push((row.last_used_at.unwrap() - start).num_seconds());
    }
    assert_eq!(noted, [0, 0, 0, 61, 61]);
}

/// A database that is gone is a 503, and its text stays in the log.
#[tokio::test]
async fn a_store_that_is_gone_is_unavailable() {
    let database = TestDatabase::new();
    let auth = authenticator(&database);
    let text = TokenText::random("tasker");
    database.connection().batch_execute("alter table tasker.api_tokens rename to elsewhere").unwrap();
    let error = Sent::get("/").bearer(text.expose()).to(&auth).await.unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (503, "the store of API tokens cannot be asked now; try again")
    );
}

#[test]
fn the_audit_is_append_only() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let entry = audit_entry();
    let at = |seconds: i64| chrono::DateTime::from_timestamp(1_700_000_000 + seconds, 0);
    for seconds in [0, 1, 2] {
        record_audit(conn, &entry, at(seconds)).unwrap();
    }
    record_audit(conn, &entry, None).unwrap();
    for sql in [
        "update tasker.audit_log set outcome = 'denied'",
        "delete from tasker.audit_log",
        "truncate tasker.audit_log",
    ] {
        let error = conn.batch_execute(sql).unwrap_err().to_string();
        assert!(error.contains("records of tasker.audit_log are never changed or deleted"), "{sql}: {error}");
    }
    assert_eq!(prune_audit(conn, at(2).unwrap(), 1).unwrap(), 1);
    assert_eq!(prune_audit(conn, at(2).unwrap(), 10).unwrap(), 1, "those before it, and no other");
    assert!(conn.batch_execute("delete from tasker.audit_log").is_err(), "closed again behind the pruning");
    let left = lines(
        &database,
        "select concat_ws('|', subject, permission, namespace, task_id, outcome, correlation_id) as line from tasker.audit_log",
    );
    assert_eq!(left, ["ada|tasker.task:cancel|shop|7|allowed|c-1"; 2]);
}

fn audit_entry() -> tasker_auth::AuditEntry {
    use crate::support::Records;
    let records = Records::default();
    let auth = tasker_auth::Auth::builder().audit(records.clone()).build().unwrap();
    let id = CorrelationId::parse("c-1").unwrap();
    let who = Identity::new("ada", Method::Session);
    let scope = tasker_auth::Scope::task("shop", 7, None);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime
        .block_on(auth.authorize(&who, Permission::TaskCancel, &scope, crate::support::asked(&id)))
        .unwrap();
    records.0.lock().unwrap().pop().unwrap()
}

#[tokio::test]
async fn the_audit_in_postgresql_takes_whatever_a_request_names() {
    let database = TestDatabase::new();
    let auth = tasker_auth::Auth::builder()
        .authorizer(tasker_auth::DenyAll)
        .audit(PgAudit::new(pool(&database)))
        .build()
        .unwrap();
    let id = CorrelationId::random();
    let who = Identity::new("ada", Method::Custom);
    let operation = "x\0".repeat(5_000);
    let asked = tasker_auth::Asked { operation: &operation, correlation_id: &id, now: None };
    let scope = tasker_auth::Scope::namespace("a\0b");
    auth.authorize(&who, Permission::TaskCancel, &scope, asked).await.unwrap_err();
    let rows = lines(
        &database,
        "select concat_ws('|', outcome, length(operation), namespace) as line from tasker.audit_log",
    );
    assert_eq!(rows, ["denied|1000|ab"]);
}

#[test]
fn mistakes_in_the_options_are_reported_at_once() {
    let config: ApiTokenConfig =
        tasker_auth::read_section(&json!({ "header": "not a header", "prefix": "X" })).unwrap();
    assert_eq!(config.problems().len(), 2);
}

#[test]
fn ten_thousand_random_tokens_do_not_panic() {
    let (sample, mut noise) = (TokenText::random("tasker"), Noise(99));
    assert!(TokenParts::parse("tasker", sample.expose()).is_some());
    for _ in 0..10_000 {
        let text = noise.text(&[sample.expose()]);
        if let Some(parts) = TokenParts::parse("tasker", &text) {
            assert_eq!(parts.lookup.len(), 16);
        }
    }
}
