//! The inputs of the benchmarks: a database of the five shapes, submitted through the engine.

use diesel::PgConnection;
use serde_json::json;
use tasker_engine::{
    identity::Identity,
    submit::{TaskRequest, submit},
};
use tasker_model::TaskId;
use tasker_testkit::{TestDatabase, shapes};

/// A database with this many tasks of each of the five shapes, none of them started.
///
/// # Panics
/// Where the database refuses: a benchmark cannot go on without.
pub fn database_of_shapes(each: usize) -> (TestDatabase, Vec<TaskId>) {
    let database = TestDatabase::new();
    let mut conn: PgConnection = database.connection();
    let mut tasks = vec![];
    for shape in shapes::all() {
        let requests = vec![TaskRequest::new(json!({})); each];
        let submitted = submit(&mut conn, &shape.definition, &requests, &Identity::Random, None);
        tasks.extend(submitted.unwrap_or_else(|e| panic!("{e}")).iter().map(|s| s.task_id));
    }
    (database, tasks)
}
