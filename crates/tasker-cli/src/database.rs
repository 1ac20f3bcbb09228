//! Which database a command works with, and whether its schema fits this program.

use chrono::{DateTime, Utc};
use clap::Args;
use diesel::{PgConnection, prelude::*};
use tasker_engine::db::{Db, connect};
use tasker_localpg::{Origin, Progress, Resolved, Wanted, resolve};
use tasker_model::migrations::{self, MigrationError};

use crate::{exit::Outcome, output::note};

/// Where the database is; flags of every command that needs one.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DatabaseArgs {
    /// The database to use instead of TASKER_DATABASE_URL, DATABASE_URL or the private cluster
    #[arg(long, value_name = "URL", global = true, help_heading = "Global options")]
    pub(crate) database_url: Option<String>,
}

/// A database that stays up for as long as the value lives: drop pools and connections before it.
#[derive(Debug)]
pub(crate) struct Database {
    resolved: Resolved,
}

impl Database {
    /// Finds the database, or starts the private one, without looking at its schema.
    pub(crate) fn find(args: &DatabaseArgs) -> Outcome<Self> {
        let resolved = resolve(args.database_url.clone(), &Wanted::durable(), &mut |p| tell(&p))?;
        Ok(Self { resolved })
    }

    /// Finds a database whose schema fits. A private one is migrated as needed, another one only where
    /// `migrate` says so.
    pub(crate) fn ready(args: &DatabaseArgs, migrate: bool) -> Outcome<Self> {
        let database = Self::find(args)?;
        let conn = &mut database.connect()?;
        match migrations::verify(conn) {
            Ok(()) => {}
            Err(MigrationError::Pending(_)) if migrate || database.is_private() => {
                migrations::run_pending(conn)?;
            }
            Err(e) => return Err(e.into()),
        }
        Ok(database)
    }

    /// One connection.
    pub(crate) fn connect(&self) -> Outcome<PgConnection> {
        Ok(connect(&self.resolved.url)?)
    }

    /// A pool.
    pub(crate) fn pool(&self, size: u32) -> Outcome<Db> {
        Ok(Db::connect(&self.resolved.url, size)?)
    }

    fn is_private(&self) -> bool {
        self.resolved.origin == Origin::Private
    }
}

fn tell(progress: &Progress) {
    if let Progress::Starting { dir: Some(dir), version } = progress {
        let dir = dir.display();
        note(format_args!("database: private PostgreSQL {version} in {dir} (another: TASKER_DATABASE_URL)"));
    } else {
        note(progress);
    }
}

/// The database's clock, by which every stored instant was written.
pub(crate) fn now(conn: &mut PgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::define_sql_function!(fn clock_timestamp() -> diesel::sql_types::Timestamptz);
    diesel::select(clock_timestamp()).get_result(conn)
}
