//! A database for each test, cloned from one migrated template.
//!
//! The server is the one named by `TASKER_TEST_DATABASE_URL` (its role must be allowed to create databases),
//! else a throw-away cluster of this process, which ends with it however it ends.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    sql_types::{BigInt, Nullable, Text, Timestamptz},
};
use tasker_engine::db::{Db, connect};
use tasker_localpg::{Environment, Resolved, Wanted, resolve_in, with_database};

/// A migrated database of one test; dropped with the value.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    name: String,
}

impl Default for TestDatabase {
    fn default() -> Self {
        Self::new()
    }
}

impl TestDatabase {
    /// A database with Tasker's schema and nothing in it.
    ///
    /// # Panics
    /// With a sentence, where there is no server or it refuses: a test cannot go on without.
    pub fn new() -> Self {
        let template = template();
        Self::create(&format!("template {template}"))
    }

    /// A database with nothing in it at all, for tests of migrations.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn empty() -> Self {
        server();
        Self::create("template template0")
    }

    fn create(how: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tasker_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        execute(&mut admin(), &format!("create database {name} {how}"));
        Self { url: with_database(&server().url, &name), name }
    }

    /// The connection URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection.
    ///
    /// # Panics
    /// Where the database cannot be reached.
    pub fn connection(&self) -> PgConnection {
        connect(&self.url).unwrap_or_else(|e| panic!("{e}"))
    }

    /// A pool of 8 connections.
    ///
    /// # Panics
    /// Where the database cannot be reached.
    pub fn db(&self) -> Db {
        Db::connect(&self.url, 8).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Holds every stored counter and state against edges and log.
    ///
    /// # Panics
    /// With the list of what is wrong.
    pub fn assert_sound(&self) {
        let wrong = check_invariants(&mut self.connection());
        assert!(wrong.is_empty(), "the stored state is not what edges and log say:\n{}", wrong.join("\n"));
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Ok(mut conn) = connect(&server().url) {
            let sql = format!("drop database if exists {} with (force)", self.name);
            let _gone_with_the_server = diesel::sql_query(sql).execute(&mut conn);
        }
    }
}

/// One line for everything that `sql/check/` finds wrong; none where all is sound.
///
/// # Panics
/// Where the check cannot be run.
pub fn check_invariants(conn: &mut PgConnection) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Wrong {
        #[diesel(sql_type = Text)]
        invariant: String,
        #[diesel(sql_type = BigInt)]
        task_id: i64,
        #[diesel(sql_type = Nullable<BigInt>)]
        workflow_step_id: Option<i64>,
        #[diesel(sql_type = Text)]
        detail: String,
    }
    let wrong: Vec<Wrong> = diesel::sql_query(tasker_model::CHECK_INVARIANTS)
        .bind::<Nullable<Timestamptz>, _>(None::<chrono::DateTime<chrono::Utc>>)
        .load(conn)
        .unwrap_or_else(|e| panic!("sql/check/invariants.sql failed: {e}"));
    let line = |w: &Wrong| {
        format!("task {} step {:?}: {}: {}", w.task_id, w.workflow_step_id, w.invariant, w.detail)
    };
    wrong.iter().map(line).collect()
}

fn server() -> &'static Resolved {
    static SERVER: OnceLock<Resolved> = OnceLock::new();
    SERVER.get_or_init(|| {
        let named = Environment::current().text("TASKER_TEST_DATABASE_URL");
        // A developer's own database is never taken for the tests'.
        let unnamed: Environment = std::env::vars_os()
            .filter(|(name, _)| name != "TASKER_DATABASE_URL" && name != "DATABASE_URL")
            .collect();
        resolve_in(&unnamed, named, &Wanted::throw_away().max_connections(300), &mut |_| {})
            .unwrap_or_else(|e| panic!("tests need a PostgreSQL server: {e}"))
    })
}

fn admin() -> PgConnection {
    connect(&server().url).unwrap_or_else(|e| panic!("{e}"))
}

/// The name of the migrated template, made once a server; processes that want it at once wait for one.
fn template() -> &'static str {
    static TEMPLATE: OnceLock<String> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let texts: String = tasker_model::migrations::texts().map(|(_, up, _)| up).collect();
        let name =
            format!("tasker_template_{}", &tasker_engine::definition::sha256_hex(texts.as_bytes())[..12]);
        let mut conn = admin();
        execute(&mut conn, "select pg_advisory_lock(7283011)");
        if !exists(&mut conn, &name) {
            // Under another name until it is whole, so that a killed process leaves no half template.
            let draft = format!("{name}_draft");
            execute(&mut conn, &format!("drop database if exists {draft} with (force)"));
            execute(&mut conn, &format!("create database {draft} template template0"));
            let mut draft_conn =
                connect(&with_database(&server().url, &draft)).unwrap_or_else(|e| panic!("{e}"));
            tasker_model::migrations::run_pending(&mut draft_conn).unwrap_or_else(|e| panic!("{e}"));
            drop(draft_conn);
            execute(&mut conn, &format!("alter database {draft} rename to {name}"));
        }
        execute(&mut conn, "select pg_advisory_unlock(7283011)");
        name
    })
}

fn exists(conn: &mut PgConnection, name: &str) -> bool {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let count: Count = diesel::sql_query("select count(*) as n from pg_database where datname = $1")
        .bind::<Text, _>(name)
        .get_result(conn)
        .unwrap_or_else(|e| panic!("{e}"));
    count.n > 0
}

fn execute(conn: &mut PgConnection, sql: &str) {
    diesel::sql_query(sql).execute(conn).unwrap_or_else(|e| panic!("`{sql}` failed: {e}"));
}
