//! Which database a command works with, and whether its schema fits this program.

use chrono::{DateTime, Utc};
use clap::Args;
use diesel::{PgConnection, prelude::*};
use tasker_config::Config;
use tasker_engine::db::{Db, DbOptions, Statements, connect_with};
use tasker_localpg::{Environment, Origin, Progress, Resolved, Wanted, resolve};
use tasker_model::migrations::{self, MigrationError};
use tasker_multidb::StatementNames;

use crate::{
    exit::{Failure, Outcome},
    output::note,
};

/// Where the database is; flags of every command that needs one.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DatabaseArgs {
    /// The database to use instead of TASKER_DATABASE_URL, the configured one, DATABASE_URL or the private cluster
    #[arg(long, value_name = "URL", global = true, help_heading = "Global options")]
    pub(crate) database_url: Option<String>,

    /// How statements reach the database; unnamed for a pooler of transactions that does not keep names
    /// [default: TASKER_STATEMENTS, or named]
    #[arg(long, value_name = "named|unnamed", global = true, value_parser = statements, help_heading = "Global options")]
    pub(crate) statements: Option<Statements>,
}

fn statements(text: &str) -> Result<Statements, String> {
    match text {
        "named" => Ok(Statements::Named),
        "unnamed" => Ok(Statements::Unnamed),
        _ => Err("`named` or `unnamed`".into()),
    }
}

impl DatabaseArgs {
    /// These, and where neither a flag nor TASKER_DATABASE_URL names a database, the one that is configured.
    pub(crate) fn or(&self, config: &Config) -> Outcome<Self> {
        let configured = config.database();
        let named =
            self.database_url.is_some() || Environment::current().text("TASKER_DATABASE_URL").is_some();
        if named || !configured.is_used() {
            return Ok(self.clone());
        }
        let home = configured.home().map_err(Failure::input)?;
        home.warning.iter().for_each(note);
        let Some(database) = configured.databases.get(&home.name) else { return Ok(self.clone()) };
        let source =
            database.url.as_ref().ok_or_else(|| Failure::input("the configured database has no url"))?;
        let url = source
            .read()
            .map_err(|reason| Failure::input(format!("the url of database {} {reason}", home.name)))?;
        let url = url
            .or("application_name", database.application_name.replace(' ', "%20"))
            .or("connect_timeout", database.connect_timeout_seconds);
        let of = match database.statements {
            StatementNames::Named => Statements::Named,
            StatementNames::Unnamed => Statements::Unnamed,
        };
        let said = self.statements.is_some() || Environment::current().text("TASKER_STATEMENTS").is_some();
        let statements = if said { self.statements } else { Some(of) };
        Ok(Self { database_url: Some(url.expose().to_owned()), statements })
    }

    fn statements(&self) -> Outcome<Statements> {
        match (self.statements, Environment::current().text("TASKER_STATEMENTS")) {
            (Some(said), _) => Ok(said),
            (None, Some(text)) => statements(&text)
                .map_err(|e| Failure::input(format!("TASKER_STATEMENTS is {e}, not `{text}`"))),
            (None, None) => Ok(Statements::default()),
        }
    }
}

/// A database that stays up for as long as the value lives: drop pools and connections before it.
#[derive(Debug)]
pub(crate) struct Database {
    resolved: Resolved,
    statements: Statements,
}

impl Database {
    /// Finds the database, or starts the private one, without looking at its schema.
    pub(crate) fn find(args: &DatabaseArgs) -> Outcome<Self> {
        let statements = args.statements()?;
        let resolved = resolve(args.database_url.clone(), &Wanted::durable(), &mut |p| tell(&p))?;
        Ok(Self { resolved, statements })
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
        self.connector().connect()
    }

    /// What makes connections, on whatever thread.
    pub(crate) fn connector(&self) -> Connector {
        Connector { url: self.resolved.url.clone(), statements: self.statements }
    }

    /// A pool.
    pub(crate) fn pool(&self, size: u32) -> Outcome<Db> {
        let options = DbOptions { connections: size, statements: self.statements };
        Ok(Db::connect_with(&self.resolved.url, options)?)
    }

    fn is_private(&self) -> bool {
        self.resolved.origin == Origin::Private
    }
}

/// Where a database is and how it is spoken to.
pub(crate) struct Connector {
    url: String,
    statements: Statements,
}

impl Connector {
    /// One connection.
    pub(crate) fn connect(&self) -> Outcome<PgConnection> {
        Ok(connect_with(&self.url, self.statements)?)
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
