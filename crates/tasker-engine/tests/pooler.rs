//! A pooler of transactions between worker and server changes nothing: all tests of workers once more, by way
//! of PgBouncer and with unnamed statements. Without PgBouncer they are skipped, which is said.

#![expect(clippy::duplicate_mod, reason = "the tests of workers bring their own along")]

#[path = "worker.rs"]
mod worker;

mod support;

use tasker_engine::{
    commands,
    db::{Db, Fault},
};
use tasker_testkit::TestDatabase;

/// The reason for unnamed statements, and the sentence that says so. It also shows that transactions of one
/// connection do meet different sessions in these tests.
#[tokio::test(flavor = "multi_thread")]
async fn named_statements_need_another_pooler_and_the_error_says_so() {
    if !support::pooler::installed() {
        return;
    }
    let database = TestDatabase::new();
    let db = Db::connect(&support::pooler::url(&database), 6).unwrap();
    let look =
        |db: Db| async move { db.query(|conn| commands::next_due_at(conn, tasker_model::WorkerId(1))).await };
    let mut refused = None;
    for _ in 0..200 {
        let (one, two, three) = tokio::join!(look(db.clone()), look(db.clone()), look(db.clone()));
        refused = refused.or([one, two, three].into_iter().find_map(Result::err));
    }
    let refused = refused.expect("an old pooler loses names");
    assert_eq!(refused.fault(), Fault::Statement);
    assert!(refused.to_string().contains("connect with unnamed statements"), "{refused}");
}
