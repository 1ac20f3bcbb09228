//! All databases of a program: which holds what, whether they can be used, and their schema.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use diesel::PgConnection;
use tasker_model::{
    TaskId,
    migrations::{self, MigrationError},
};

use crate::{
    ConfigError, Database, DatabaseConfig, DatabaseName, Host, StartError, StartErrors, Tasker,
    connect::{is_writable, position},
    database::Roles,
};

/// The databases of a configuration. Cheap to clone; clones share the pools.
#[derive(Clone)]
pub struct Databases {
    inner: Arc<Inner>,
}

struct Inner {
    all: BTreeMap<DatabaseName, Arc<Roles>>,
    primary: DatabaseName,
    home: DatabaseName,
    namespaces: BTreeMap<String, DatabaseName>,
}

impl Databases {
    /// The databases without a connection to any: each is made when it is first needed. Every mistake of the
    /// configuration is reported; a lenient fallback to the default database is logged as a warning, here and
    /// once.
    pub fn open(config: &DatabaseConfig) -> Result<Self, ConfigError> {
        let home = config.checked()?.home().map_err(|problem| ConfigError(vec![problem]))?;
        if let Some(warning) = &home.warning {
            tracing::warn!("{warning}");
        }
        let mut all = BTreeMap::new();
        for (name, database) in &config.databases {
            all.insert(name.clone(), Arc::new(Roles::new(name, database)?));
        }
        let (primary, namespaces) = (config.primary.clone(), config.namespaces.clone());
        Ok(Self { inner: Arc::new(Inner { all, primary, home: home.name, namespaces }) })
    }

    /// The same after [`check`](Self::check): for programs that want to know at their start.
    pub fn start(config: &DatabaseConfig) -> Result<Self, StartErrors> {
        let databases = Self::open(config)?;
        databases.check()?;
        Ok(databases)
    }

    fn of<U>(&self, name: &DatabaseName) -> Database<U> {
        Database::new(Arc::clone(&self.inner.all[name]))
    }

    /// The default database, for the host application.
    pub fn primary(&self) -> Database<Host> {
        self.of(&self.inner.primary)
    }

    /// Any of the databases, for the host application. `None` for a name that is not configured.
    pub fn host(&self, name: &str) -> Option<Database<Host>> {
        let name: DatabaseName = name.parse().ok()?;
        self.inner.all.get(&name).map(|roles| Database::new(Arc::clone(roles)))
    }

    /// The database in which Tasker's tasks live, unless their namespace is routed elsewhere.
    pub fn home(&self) -> Database<Tasker> {
        self.of(&self.inner.home)
    }

    /// The database in which tasks of a namespace live.
    pub fn for_namespace(&self, namespace: &str) -> Database<Tasker> {
        self.of(self.inner.namespaces.get(namespace).unwrap_or(&self.inner.home))
    }

    /// Every database that holds Tasker's tables, by name: the home, and those that namespaces are routed to.
    pub fn serving(&self) -> Vec<Database<Tasker>> {
        let names: BTreeSet<_> = self.inner.namespaces.values().chain([&self.inner.home]).collect();
        names.into_iter().map(|name| self.of(name)).collect()
    }

    /// The database of that name, if it holds Tasker's tables.
    pub fn tasker(&self, name: &str) -> Option<Database<Tasker>> {
        let name: DatabaseName = name.parse().ok()?;
        self.serving().into_iter().find(|database| *database.name() == name)
    }

    /// The same, or a sentence with the names of those that there are.
    pub fn named(&self, name: &DatabaseName) -> Result<Database<Tasker>, UnknownDatabase> {
        self.tasker(name.as_str()).ok_or_else(|| UnknownDatabase {
            name: name.clone(),
            known: self.serving().iter().map(|d| d.name().to_string()).collect(),
        })
    }

    /// Where a task is. An id without a database is one of the home.
    pub fn locate(&self, task: &TaskRef) -> Result<(Database<Tasker>, TaskId), UnknownDatabase> {
        let database = match &task.database {
            None => self.home(),
            Some(name) => self.named(name)?,
        };
        Ok((database, task.task_id))
    }

    /// Whether each database that holds Tasker's tables can be reached, takes writes and has the schema of this
    /// program, and whether each reading role that can be reached is its replica. Reports everything that is
    /// not so. A reading role that cannot be reached is no error: the writing role is read.
    pub fn check(&self) -> Result<(), StartErrors> {
        let wrong: Vec<_> = self.serving().iter().flat_map(check).collect();
        if wrong.is_empty() { Ok(()) } else { Err(StartErrors(wrong)) }
    }

    /// Brings the schema of each database that holds Tasker's tables up to date, by name. Returns what was
    /// applied to each; stops at the first that fails.
    pub fn migrate(&self) -> Result<Vec<(DatabaseName, Vec<String>)>, StartError> {
        let migrated = self.serving().into_iter().map(|database| {
            let conn = &mut connect(&database)?;
            let applied = migrations::run_pending(conn).map_err(|source| unfit(&database, source))?;
            Ok((database.name().clone(), applied))
        });
        migrated.collect()
    }
}

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = self.inner.all.iter().map(|(name, roles)| (name.as_str(), &roles.url));
        f.debug_struct("Databases")
            .field("home", &self.inner.home)
            .field("all", &urls.collect::<Vec<_>>())
            .finish()
    }
}

/// A connection outside the pool, which waits for nothing.
fn connect(database: &Database<Tasker>) -> Result<PgConnection, StartError> {
    let (name, url) = (database.name().clone(), database.url().clone());
    let target = database.roles().writing.target();
    target.connect().map_err(|reason| StartError::Unreachable { name, url, reason })
}

fn unfit(database: &Database<Tasker>, source: MigrationError) -> StartError {
    let (name, url) = (database.name().clone(), database.url().clone());
    match source {
        MigrationError::Pending(pending) => StartError::Unmigrated { name, url, pending },
        source => StartError::Schema { name, url, source },
    }
}

fn check(database: &Database<Tasker>) -> Vec<StartError> {
    let mut conn = match connect(database) {
        Ok(conn) => conn,
        Err(error) => return vec![error],
    };
    let (name, url) = (database.name().clone(), database.url().clone());
    match is_writable(&mut conn) {
        Ok(true) => {}
        Ok(false) => return vec![StartError::ReadOnly { name, url }],
        Err(e) => return vec![StartError::Unreachable { name, url, reason: e.to_string() }],
    }
    let unfit = migrations::verify(&mut conn).err().map(|source| unfit(database, source));
    unfit.into_iter().chain(check_replicas(database, &mut conn)).collect()
}

fn check_replicas(database: &Database<Tasker>, conn: &mut PgConnection) -> Vec<StartError> {
    let reading = &database.roles().reading;
    if reading.is_empty() {
        return vec![];
    }
    let (name, url) = (database.name(), database.url());
    let primary = match position(conn) {
        Ok(primary) => primary,
        Err(e) => {
            let reason = e.to_string();
            return vec![StartError::Unreachable { name: name.clone(), url: url.clone(), reason }];
        }
    };
    let foreign = reading.iter().filter_map(|replica| {
        let target = replica.pool.target();
        let asked = target.connect().and_then(|mut conn| position(&mut conn).map_err(|e| e.to_string()));
        let reason = match asked {
            Ok(position) => primary.foreign(&position)?,
            Err(reason) => {
                tracing::warn!(replica = %replica.name, "a replica cannot be reached: {reason}; the writing role is read");
                return None;
            }
        };
        let (name, replica) = (name.clone(), replica.name.clone());
        Some(StartError::NotAReplica { name, replica, url: target.url.clone(), reason })
    });
    foreign.collect()
}

/// A task and the database that it is in: `NAME:123`, or `123` in the home.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskRef {
    /// The database; the home where it is not said.
    pub database: Option<DatabaseName>,
    /// The id in that database.
    pub task_id: TaskId,
}

/// A text that names no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of a task: write 123, or NAME:123 with the name of its database")]
pub struct BadTaskRef;

/// An id that names a database which holds no tasks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no database `{name}` holds Tasker's tables; those that do are {}", .known.join(", "))]
pub struct UnknownDatabase {
    /// The name in the id.
    pub name: DatabaseName,
    /// Those that there are.
    pub known: Vec<String>,
}

impl FromStr for TaskRef {
    type Err = BadTaskRef;

    fn from_str(text: &str) -> Result<Self, BadTaskRef> {
        let (name, id) = text.rsplit_once(':').map_or((None, text), |(name, id)| (Some(name), id));
        let database = name.map(str::parse).transpose().map_err(|_| BadTaskRef)?;
        let plain = id.bytes().all(|b| b.is_ascii_digit());
        let task_id = id.parse().map_err(|_| BadTaskRef)?;
        if plain { Ok(Self { database, task_id }) } else { Err(BadTaskRef) }
    }
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(name) => write!(f, "{name}:{}", self.task_id),
            None => self.task_id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_with_its_database() {
        let text = "tasker:123".parse::<TaskRef>().unwrap();
        assert_eq!(text.to_string(), "tasker:123");
        assert_eq!(":tasker:123".parse(), Ok(text));
        assert_eq!("7".parse(), Ok(TaskRef { database: None, task_id: TaskId(7) }));
        for bad in
            ["", ":", "tasker:", ":7", "a:b:7", "tasker:-7", "tasker:+7", "tasker:99999999999999999999", "7:"]
        {
            assert_eq!(bad.parse::<TaskRef>(), Err(BadTaskRef), "{bad}");
        }
    }
}
