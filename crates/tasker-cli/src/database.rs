//! Which database a command works with, and whether its schema fits this program.

use chrono::{DateTime, Utc};
use clap::Args;
use diesel::{PgConnection, prelude::*};
use tasker_config::Config;
use tasker_engine::db::{Db, DbOptions, Statements, connect_with};
use tasker_localpg::{Environment, Origin, Progress, Resolved, Wanted, resolve};
use tasker_model::migrations::{self, MigrationError};
use tasker_multidb::{DatabaseName, Databases, StatementNames, Tasker};

use crate::{
    exit::{Exit, Failure, Outcome},
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

    /// The configured database to use, instead of the home and those that namespaces are routed to
    #[arg(
        id = "configured_database",
        long = "database",
        value_name = "NAME",
        global = true,
        help_heading = "Global options"
    )]
    chosen: Option<DatabaseName>,

    /// All that are configured, where one of them is used.
    #[arg(skip)]
    configured: Option<Databases>,

    /// Which of them is used.
    #[arg(skip)]
    pub(crate) name: Option<DatabaseName>,
}

fn statements(text: &str) -> Result<Statements, String> {
    match text {
        "named" => Ok(Statements::Named),
        "unnamed" => Ok(Statements::Unnamed),
        _ => Err("`named` or `unnamed`".into()),
    }
}

impl DatabaseArgs {
    /// These, and where neither a flag nor TASKER_DATABASE_URL names a database, one that is configured: the
    /// chosen one, else the home.
    pub(crate) fn or(&self, config: &Config) -> Outcome<Self> {
        let named =
            self.database_url.is_some() || Environment::current().text("TASKER_DATABASE_URL").is_some();
        if named || !config.database().is_used() {
            return self.unconfigured(named);
        }
        if let Some(warning) = config.database().home().map_err(Failure::input)?.warning {
            note(warning);
        }
        let databases = self.databases(config)?;
        let used = match &self.chosen {
            None => databases.home(),
            Some(name) => databases.named(name)?,
        };
        Ok(Self { configured: Some(databases), ..self.at(&used) })
    }

    fn unconfigured(&self, named: bool) -> Outcome<Self> {
        match &self.chosen {
            None => Ok(self.clone()),
            Some(_) if named => Err(Failure::new(
                Exit::Usage,
                "--database names a configured database: leave --database-url and TASKER_DATABASE_URL out",
            )),
            Some(_) => Err(Failure::input(NONE)),
        }
    }

    /// The configured databases, reached as the flags say.
    pub(crate) fn databases(&self, config: &Config) -> Outcome<Databases> {
        let mut section = config.database().clone();
        if !section.is_used() {
            return Err(Failure::input(NONE));
        }
        if let Some(said) = self.said()? {
            let names = match said {
                Statements::Named => StatementNames::Named,
                Statements::Unnamed => StatementNames::Unnamed,
            };
            section.databases.values_mut().for_each(|database| database.statements = names);
        }
        Ok(Databases::open(&section)?)
    }

    fn at(&self, database: &tasker_multidb::Database<Tasker>) -> Self {
        let statements = match database.config().statements {
            StatementNames::Named => Statements::Named,
            StatementNames::Unnamed => Statements::Unnamed,
        };
        Self {
            database_url: Some(database.writing_url().expose().to_owned()),
            statements: Some(statements),
            name: Some(database.name().clone()),
            ..self.clone()
        }
    }

    /// The database in which tasks of a namespace live, unless one was chosen.
    pub(crate) fn of_namespace(&self, namespace: &str) -> Self {
        self.all().map_or_else(|| self.clone(), |databases| self.at(&databases.for_namespace(namespace)))
    }

    /// The configured databases, where all of them are meant.
    pub(crate) fn all(&self) -> Option<&Databases> {
        self.configured.as_ref().filter(|_| self.chosen.is_none())
    }

    /// What flag or variable say of statements.
    fn said(&self) -> Outcome<Option<Statements>> {
        match (self.statements, Environment::current().text("TASKER_STATEMENTS")) {
            (Some(said), _) => Ok(Some(said)),
            (None, Some(text)) => statements(&text)
                .map(Some)
                .map_err(|e| Failure::input(format!("TASKER_STATEMENTS is {e}, not `{text}`"))),
            (None, None) => Ok(None),
        }
    }

    fn statements(&self) -> Outcome<Statements> {
        Ok(self.said()?.unwrap_or_default())
    }
}

/// What is missing where a configured database is asked for.
const NONE: &str = "no databases are configured; write `[database.databases.primary]` with its `url`";

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
