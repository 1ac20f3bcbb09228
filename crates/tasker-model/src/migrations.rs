//! Installs and removes the schema. The ledger is `tasker.migrations`, in our own schema, so a host
//! application's migration tool never meets our rows.
//!
//! Each migration runs in one transaction under a transaction-level advisory lock, so two processes may
//! migrate at once and a transaction pooler may sit in between. The `search_path` of the session plays no
//! part, nor do operators and functions that stand first in it: the harness sets its own for the transaction.

use diesel::{
    connection::{SimpleConnection, TransactionManager},
    dsl::{exists, select, sql},
    migration::{Migration as DieselMigration, MigrationSource},
    pg::Pg,
    prelude::*,
    sql_types::Bool,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use crate::schema::migrations as ledger;

/// The migrations of this version of the crate.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The same texts, to be shown and compared: (version and name, up, down).
const TEXTS: &[(&str, &str, &str)] = &[
    (
        "0001_tables",
        include_str!("../migrations/0001_tables/up.sql"),
        include_str!("../migrations/0001_tables/down.sql"),
    ),
    (
        "0002_functions",
        include_str!("../migrations/0002_functions/up.sql"),
        include_str!("../migrations/0002_functions/down.sql"),
    ),
    (
        "0003_auth",
        include_str!("../migrations/0003_auth/up.sql"),
        include_str!("../migrations/0003_auth/down.sql"),
    ),
];

/// Why migrating or verifying failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The database is older than this program.
    #[error("the schema of the database lacks {}; run `tasker migrate`", list(.0))]
    Pending(Vec<String>),
    /// The database is newer than this program.
    #[error("the database has migrations that this version of Tasker does not know ({}); use the newer version", list(.0))]
    Unknown(Vec<String>),
    /// A migration was changed after it had been applied.
    #[error(
        "migration {name} was applied with another text than this version of Tasker has; the database was migrated by a different build"
    )]
    Changed {
        /// Version and name.
        name: String,
    },
    /// The server is too old.
    #[error("PostgreSQL {found} is too old; Tasker needs 14 or newer")]
    ServerTooOld {
        /// What the server says of itself.
        found: String,
    },
    /// One migration failed; nothing of it stays.
    #[error("migration {name} failed and was rolled back: {source}")]
    Failed {
        /// Version and name.
        name: String,
        /// What the database said.
        source: diesel::result::Error,
    },
    /// The ledger could not be read or written.
    #[error("the ledger of migrations could not be used: {0}")]
    Ledger(#[from] diesel::result::Error),
}

fn list(names: &[String]) -> String {
    names.join(", ")
}

/// One migration and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Version and name, such as `0001_tables`.
    pub name: String,
    /// Whether it is in the ledger.
    pub applied: bool,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = ledger)]
struct LedgerRow {
    version: String,
    checksum: String,
}

/// Applies what is pending, oldest first. Returns the names of what it applied, none where the schema was
/// up to date. Each migration is a transaction of its own; on an error the earlier ones stay.
///
/// Inside a transaction of the caller each is a savepoint instead: all of it goes with the caller's rollback,
/// other processes that migrate wait for the caller's end, and its `search_path` is what it was.
pub fn run_pending(conn: &mut PgConnection) -> Result<Vec<String>, MigrationError> {
    isolated(conn, check_server)?;
    let mut applied = vec![];
    for (migration, (name, up, _)) in sources().into_iter().zip(TEXTS) {
        let done = locked(conn, |conn| {
            apply(conn, &*migration, name, up)
                .map_err(|source| MigrationError::Failed { name: (*name).into(), source })
        })?;
        applied.extend(done.then(|| (*name).to_owned()));
    }
    isolated(conn, verify_known)?;
    Ok(applied)
}

fn apply(
    conn: &mut PgConnection,
    migration: &dyn DieselMigration<Pg>,
    name: &str,
    up: &str,
) -> QueryResult<bool> {
    prepare_ledger(conn)?;
    if exists_in_ledger(conn, name)? {
        return Ok(false);
    }
    migration.run(conn).map_err(into_diesel)?;
    insert_into_ledger(conn, name, up)?;
    Ok(true)
}

/// Takes the last applied migration back. Returns its name, `None` where nothing is applied. Removing the
/// first one removes every table with its data, the ledger and, if empty then, the schema. Refused where the
/// database has a migration that this version does not know: it may stand on the one to be removed.
pub fn revert_last(conn: &mut PgConnection) -> Result<Option<String>, MigrationError> {
    locked(conn, |conn| {
        let rows = ledger_rows(conn)?;
        refuse_unknown(&rows)?;
        let applied = |name: &str| rows.iter().any(|r| r.version == name);
        let last = sources().into_iter().zip(TEXTS).enumerate().rfind(|(_, (_, (name, _, _)))| applied(name));
        let Some((place, (migration, (name, _, _)))) = last else { return Ok(None) };
        revert(conn, &*migration, name, place == 0)
            .map_err(|source| MigrationError::Failed { name: (*name).into(), source })?;
        Ok(Some((*name).to_owned()))
    })
}

fn revert(
    conn: &mut PgConnection,
    migration: &dyn DieselMigration<Pg>,
    name: &str,
    is_first: bool,
) -> QueryResult<()> {
    migration.revert(conn).map_err(into_diesel)?;
    diesel::delete(ledger::table.find(name)).execute(conn)?;
    if is_first {
        conn.batch_execute(
            "drop table tasker.migrations;
             do $$ begin drop schema tasker; exception when dependent_objects_still_exist then null; end $$",
        )?;
    }
    Ok(())
}

/// Takes everything back, newest first. Returns the names of what it took back.
pub fn revert_all(conn: &mut PgConnection) -> Result<Vec<String>, MigrationError> {
    let mut reverted = vec![];
    while let Some(name) = revert_last(conn)? {
        reverted.push(name);
    }
    Ok(reverted)
}

/// Every migration of this program, oldest first, with whether the database has it. Writes nothing.
pub fn status(conn: &mut PgConnection) -> Result<Vec<Status>, MigrationError> {
    let rows = isolated(conn, ledger_rows)?;
    let applied = |name: &str| rows.iter().any(|r| r.version == name);
    Ok(TEXTS.iter().map(|(name, _, _)| Status { name: (*name).into(), applied: applied(name) }).collect())
}

/// The names of what [`run_pending`] would apply.
pub fn pending(conn: &mut PgConnection) -> Result<Vec<String>, MigrationError> {
    Ok(status(conn)?.into_iter().filter(|s| !s.applied).map(|s| s.name).collect())
}

/// Says whether the database fits this program: nothing pending, nothing unknown, every text the same.
/// Every program that works on the schema asks this at its start.
pub fn verify(conn: &mut PgConnection) -> Result<(), MigrationError> {
    isolated(conn, verify_known)?;
    let missing = pending(conn)?;
    if missing.is_empty() { Ok(()) } else { Err(MigrationError::Pending(missing)) }
}

/// The text of the migrations: what `run_pending` would run on an empty database, or of those named.
pub fn texts() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TEXTS.iter().copied()
}

fn verify_known(conn: &mut PgConnection) -> Result<(), MigrationError> {
    let rows = ledger_rows(conn)?;
    for row in &rows {
        let known = TEXTS.iter().find(|(name, _, _)| *name == row.version);
        if let Some((_, up, _)) = known {
            if checksum(conn, up)? != row.checksum {
                return Err(MigrationError::Changed { name: row.version.clone() });
            }
        }
    }
    refuse_unknown(&rows)
}

fn refuse_unknown(rows: &[LedgerRow]) -> Result<(), MigrationError> {
    let is_known = |r: &&LedgerRow| TEXTS.iter().any(|(name, _, _)| *name == r.version);
    let unknown: Vec<_> = rows.iter().filter(|r| !is_known(r)).map(|r| r.version.clone()).collect();
    if unknown.is_empty() { Ok(()) } else { Err(MigrationError::Unknown(unknown)) }
}

/// One unit of migrating: isolated, and alone in the database.
fn locked<T>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    isolated(conn, |conn| {
        conn.batch_execute("select pg_advisory_xact_lock(hashtextextended('tasker.migrations', 0))")?;
        work(conn)
    })
}

/// What [`isolated`] sets for itself, and to what.
const SETTINGS: &[(&str, &str)] = &[
    ("search_path", "pg_catalog, pg_temp"),
    ("check_function_bodies", "off"),
    ("client_min_messages", "warning"),
];

/// A transaction in which no name leads elsewhere, whatever the session's `search_path`. It reads committed
/// data, since what it reads must be newer than the lock that it waited for. Within a transaction of the
/// caller it is a savepoint, and gives the caller's settings back, which outlive a savepoint otherwise.
fn isolated<T>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    let depth = PgTransactions::transaction_manager_status_mut(conn).transaction_depth()?;
    conn.transaction(|conn| {
        if depth.is_none() {
            conn.batch_execute("set transaction isolation level read committed")?;
        }
        let mut before: Vec<String> = vec![];
        for (name, value) in SETTINGS {
            before.push(select(current_setting(*name)).get_result(conn)?);
            set(conn, name, value)?;
        }
        let result = work(conn)?;
        for ((name, _), value) in SETTINGS.iter().zip(&before) {
            set(conn, name, value)?;
        }
        Ok(result)
    })
}

type PgTransactions = <PgConnection as Connection>::TransactionManager;

#[diesel::declare_sql_function]
extern "SQL" {
    /// Of the server, qualified.
    #[sql_name = "pg_catalog.current_setting"]
    fn current_setting(name: diesel::sql_types::Text) -> diesel::sql_types::Text;
    /// Of the server, qualified.
    #[sql_name = "pg_catalog.set_config"]
    fn set_config(
        name: diesel::sql_types::Text,
        value: diesel::sql_types::Text,
        is_local: Bool,
    ) -> diesel::sql_types::Text;
    /// Of the server, qualified.
    #[sql_name = "pg_catalog.sha256"]
    fn sha256(data: diesel::sql_types::Binary) -> diesel::sql_types::Binary;
}

fn set(conn: &mut PgConnection, name: &str, value: &str) -> QueryResult<()> {
    select(set_config(name, value, true)).get_result::<String>(conn).map(drop)
}

fn prepare_ledger(conn: &mut PgConnection) -> QueryResult<()> {
    // `create schema if not exists` asks for a right that a role may lack although the schema stands.
    conn.batch_execute(
        "do $$ begin
           if to_regnamespace('tasker') is null then create schema tasker; end if;
           if to_regclass('tasker.migrations') is null then
             create table tasker.migrations (
               version text primary key, checksum text not null, applied_at timestamptz not null default clock_timestamp());
             comment on table tasker.migrations is 'The ledger of Tasker''s migrations.';
             comment on column tasker.migrations.version is 'Version and name.';
             comment on column tasker.migrations.checksum is 'SHA-256 of the text that was applied, lowercase hex.';
             comment on column tasker.migrations.applied_at is 'When.';
           end if;
         end $$",
    )
}

fn sources() -> Vec<Box<dyn DieselMigration<Pg>>> {
    let mut all = MigrationSource::<Pg>::migrations(&MIGRATIONS).expect("embedded migrations always load");
    all.sort_by_key(|m| m.name().to_string());
    all
}

/// Diesel's migrations fail with a boxed error of a private type; its text is all there is.
fn into_diesel(e: Box<dyn std::error::Error + Send + Sync>) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(e)
}

fn exists_in_ledger(conn: &mut PgConnection, name: &str) -> QueryResult<bool> {
    select(exists(ledger::table.find(name))).get_result(conn)
}

fn insert_into_ledger(conn: &mut PgConnection, name: &str, text: &str) -> QueryResult<()> {
    let checksum = checksum(conn, text)?;
    diesel::insert_into(ledger::table)
        .values((ledger::version.eq(name), ledger::checksum.eq(checksum)))
        .execute(conn)
        .map(drop)
}

fn ledger_rows(conn: &mut PgConnection) -> Result<Vec<LedgerRow>, MigrationError> {
    let there: bool = select(sql::<Bool>("to_regclass('tasker.migrations') is not null")).get_result(conn)?;
    if !there {
        return Ok(vec![]);
    }
    Ok(ledger::table.select(LedgerRow::as_select()).order(ledger::version).load(conn)?)
}

/// The server computes it, so the crate needs no hash of its own.
fn checksum(conn: &mut PgConnection, text: &str) -> QueryResult<String> {
    let sum: Vec<u8> = select(sha256(text.as_bytes())).get_result(conn)?;
    Ok(sum.iter().map(|b| format!("{b:02x}")).collect())
}

fn check_server(conn: &mut PgConnection) -> Result<(), MigrationError> {
    let number: i32 =
        select(sql::<diesel::sql_types::Integer>("current_setting('server_version_num')::integer"))
            .get_result(conn)?;
    if number >= 140_000 {
        return Ok(());
    }
    let found =
        select(sql::<diesel::sql_types::Text>("current_setting('server_version')")).get_result(conn)?;
    Err(MigrationError::ServerTooOld { found })
}
