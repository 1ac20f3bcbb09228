//! Every CHECK of the tables of authentication refuses what it is there to refuse, by its name.

use std::collections::BTreeSet;

use diesel::{Connection, RunQueryDsl, connection::SimpleConnection, result::Error, sql_types::Text};
use tasker_testkit::TestDatabase;

const DIGEST: &str = "'\\x0000000000000000000000000000000000000000000000000000000000000000'";

/// Statements that put in a row with these values.
fn token(lookup: &str, digest: &str, subject: &str, name: &str, by: &str, revoked: &str) -> String {
    format!(
        "insert into tasker.api_tokens (lookup, digest, subject, name, created_by, revoked_at, revoked_by)
         values ({lookup}, {digest}, {subject}, {name}, {by}, {revoked})"
    )
}

fn session(digest: &str, identity: &str) -> String {
    format!("insert into tasker.sessions values ({digest}, 'ada', {identity}, now(), now(), now())")
}

fn login(digest: &str, browser: &str) -> String {
    format!("insert into tasker.logins values ({digest}, {browser}, 'n', 'v', '/', now())")
}

fn record(outcome: &str, suppressed: i32) -> String {
    format!(
        "insert into tasker.audit_log (operation, outcome, reason, correlation_id, suppressed)
         values ('GET /tasks', {outcome}, 'r', 'c', {suppressed})"
    )
}

const LOOKUP: &str = "'0123456789abcdef'";
const LONG: &str = "repeat('x', 256)";

/// What each CHECK refuses; the empty name is for what is accepted.
fn rows() -> Vec<(&'static str, String)> {
    let (short, at) = ("'\\x00'", "now()");
    let with = |lookup, digest, subject, name, by, revoked| token(lookup, digest, subject, name, by, revoked);
    vec![
        ("", with(LOOKUP, DIGEST, "'ada'", "'n'", "'b'", "null, null")),
        ("", with(LOOKUP, DIGEST, "repeat('é', 255)", "'n'", "'b'", "now(), 'b'")),
        ("api_token_lookup_form", with("'0123456789abcde'", DIGEST, "'ada'", "'n'", "'b'", "null, null")),
        ("api_token_lookup_form", with("'0123456789ABCDEF'", DIGEST, "'ada'", "'n'", "'b'", "null, null")),
        (
            "api_token_lookup_form",
            with("e'0123456789abcdef\\n'", DIGEST, "'ada'", "'n'", "'b'", "null, null"),
        ),
        ("api_token_digest_length", with(LOOKUP, short, "'ada'", "'n'", "'b'", "null, null")),
        ("api_token_subject_length", with(LOOKUP, DIGEST, "''", "'n'", "'b'", "null, null")),
        ("api_token_subject_length", with(LOOKUP, DIGEST, LONG, "'n'", "'b'", "null, null")),
        ("api_token_name_length", with(LOOKUP, DIGEST, "'ada'", "''", "'b'", "null, null")),
        ("api_token_name_length", with(LOOKUP, DIGEST, "'ada'", LONG, "'b'", "null, null")),
        ("api_token_issuer_length", with(LOOKUP, DIGEST, "'ada'", "'n'", "''", "null, null")),
        ("api_token_revoked_by_someone", with(LOOKUP, DIGEST, "'ada'", "'n'", "'b'", &format!("{at}, null"))),
        ("api_token_revoked_by_someone", with(LOOKUP, DIGEST, "'ada'", "'n'", "'b'", "null, 'b'")),
        ("", session(DIGEST, "'{}'")),
        ("session_digest_length", session(short, "'{}'")),
        ("session_identity_is_object", session(DIGEST, "'[]'")),
        ("session_identity_is_object", session(DIGEST, "'null'")),
        ("", login(DIGEST, DIGEST)),
        ("login_digest_length", login(short, DIGEST)),
        ("login_browser_length", login(DIGEST, short)),
        ("", record("'allowed'", 0)),
        ("", record("'denied'", 7)),
        ("", record("'refused'", 0)),
        ("audit_outcome_known", record("'permitted'", 0)),
        ("audit_suppressed_count", record("'refused'", -1)),
    ]
}

#[test]
fn every_check_refuses_its_row_and_takes_the_others() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    for (expected, statement) in rows() {
        let refused = conn.transaction::<(), Error, _>(|conn| {
            conn.batch_execute(&statement)?;
            Err(Error::RollbackTransaction)
        });
        let name = match refused.unwrap_err() {
            Error::RollbackTransaction => String::new(),
            Error::DatabaseError(_, info) => info.constraint_name().unwrap_or("no constraint").to_owned(),
            other => panic!("{statement}: {other}"),
        };
        assert_eq!(name, expected, "{statement}");
    }
}

#[test]
fn no_check_is_left_out_above() {
    #[derive(diesel::QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let database = TestDatabase::new();
    let names: Vec<Name> = diesel::sql_query(
        "select conname::text as name from pg_constraint where contype = 'c' and conrelid in
           ('tasker.api_tokens'::regclass, 'tasker.audit_log'::regclass, 'tasker.logins'::regclass, 'tasker.sessions'::regclass)",
    )
    .load(&mut database.connection())
    .unwrap();
    let there: BTreeSet<String> = names.into_iter().map(|n| n.name).collect();
    let tried: BTreeSet<String> =
        rows().into_iter().filter(|(name, _)| !name.is_empty()).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(tried, there);
}
