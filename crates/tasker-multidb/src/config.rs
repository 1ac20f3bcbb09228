//! The section `database` of a configuration: plain data and every mistake in it that can be seen without a
//! connection.

use std::{collections::BTreeMap, fmt, marker::PhantomData, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{ConfigError, DatabaseName, DatabaseUrl, Problem, UrlSource};

/// The section `database`. Without `databases` it says nothing, and is not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// The database that holds Tasker's tables, if `enable_secondary_database` is true. Default none.
    pub name: Option<DatabaseName>,
    /// Whether Tasker's tables are in the database called `name` rather than in the default database. Default
    /// false.
    pub enable_secondary_database: bool,
    /// What happens where the secondary database is enabled, and `name` or the database so called is missing.
    /// Default `error`.
    pub on_missing: OnMissing,
    /// The name of the default database, which is the host application's own. Default `primary`.
    pub primary: DatabaseName,
    /// The databases by name. Default none.
    #[serde(deserialize_with = "by_name")]
    pub databases: BTreeMap<DatabaseName, NamedDatabase>,
    /// The databases of namespaces that do not live with the rest, by namespace. Default none.
    pub namespaces: BTreeMap<String, DatabaseName>,
}

/// What to do without the secondary database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// Refuse to start.
    #[default]
    Error,
    /// Use the default database, and say so in the log.
    UsePrimary,
}

/// One database: a writing role, and where it has replicas, reading roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NamedDatabase {
    /// Where its writing role is: `postgres://…`, with several hosts and `target_session_attrs=read-write` for
    /// failover. Required.
    pub url: Option<UrlSource>,
    /// The most connections of the writing role's pool, 1 to 1,000. Default 8.
    pub connections: u32,
    /// How long making one connection to one host may take, 1 to 300. Default 5.
    pub connect_timeout_seconds: u32,
    /// How long work waits for a connection, 10 to 600,000. Default 5,000.
    pub checkout_timeout_ms: u64,
    /// What the server's list of sessions calls them, 1 to 63 characters. Default `tasker`.
    pub application_name: String,
    /// Whether statements are prepared once a connection under names; `unnamed` for a pooler of transactions
    /// that does not keep them. Default `named`.
    pub statements: StatementNames,
    /// How far behind the writing role a replica may be and still be read, 100 to 86,400,000. Default 5,000.
    pub lag_bound_ms: u64,
    /// The reading roles by name. Default none: the writing role is read.
    #[serde(deserialize_with = "by_name")]
    pub reading: BTreeMap<DatabaseName, ReplicaConfig>,
}

/// A reading role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplicaConfig {
    /// Where it is: `postgres://…`. Required.
    pub url: Option<UrlSource>,
    /// The most connections of its pool, 1 to 1,000. Default 8.
    pub connections: u32,
}

/// How statements reach a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementNames {
    /// Prepared once a connection and named.
    #[default]
    Named,
    /// Parsed anew each time.
    Unnamed,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            name: None,
            enable_secondary_database: false,
            on_missing: OnMissing::default(),
            primary: "primary".parse().expect("a name"),
            databases: BTreeMap::new(),
            namespaces: BTreeMap::new(),
        }
    }
}

impl Default for NamedDatabase {
    fn default() -> Self {
        Self {
            url: None,
            connections: 8,
            connect_timeout_seconds: 5,
            checkout_timeout_ms: 5_000,
            application_name: "tasker".into(),
            statements: StatementNames::default(),
            lag_bound_ms: 5_000,
            reading: BTreeMap::new(),
        }
    }
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self { url: None, connections: 8 }
    }
}

/// Which database holds Tasker's tables, and why that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The database.
    pub name: DatabaseName,
    /// Why it is not the one that was asked for, a sentence for the log.
    pub warning: Option<String>,
}

impl PartialEq<&str> for Home {
    fn eq(&self, other: &&str) -> bool {
        self.name == *other
    }
}

impl DatabaseConfig {
    /// Whether it names a database at all.
    pub fn is_used(&self) -> bool {
        !self.databases.is_empty()
    }

    /// The database that holds Tasker's tables, unless a namespace is routed elsewhere: the default one, or
    /// where the secondary one is enabled, the one called `name`.
    pub fn home(&self) -> Result<Home, Problem> {
        let primary = |warning| Home { name: self.primary.clone(), warning };
        if !self.enable_secondary_database {
            return Ok(primary(None));
        }
        let (text, problem) = match &self.name {
            Some(name) if self.databases.contains_key(name) => {
                return Ok(Home { name: name.clone(), warning: None });
            }
            Some(name) => (
                format!("secondary database '{name}' is enabled but not found in database.databases"),
                format!("is `{name}`, which `databases` does not have; write `[database.databases.{name}]` with its `url`"),
            ),
            None => (
                "a secondary database is enabled but database.name is not set".into(),
                "is required, since `enable_secondary_database` is true; write the name of a database in `databases`".into(),
            ),
        };
        match self.on_missing {
            OnMissing::UsePrimary => {
                Ok(primary(Some(format!("{text}, using the default database '{}'", self.primary))))
            }
            OnMissing::Error => Err(Problem::new(
                "name",
                format!("{problem}, or `on_missing = \"use_primary\"` to do without"),
            )),
        }
    }

    /// The database that a namespace lives in, other than the home.
    pub fn route(&self, namespace: &str) -> Option<&DatabaseName> {
        self.namespaces.get(namespace)
    }

    /// Every mistake that can be seen without a connection; files with URLs are read.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.home().err().into_iter().collect();
        let known = |name: &DatabaseName| self.databases.contains_key(name);
        let anything = self.is_used() || self.enable_secondary_database || !self.namespaces.is_empty();
        if anything && !known(&self.primary) {
            let name = &self.primary;
            let reason = format!(
                "is `{name}`, which `databases` does not have; write `[database.databases.{name}]` with its `url`"
            );
            problems.push(Problem::new("primary", reason));
        }
        for (namespace, name) in self.namespaces.iter().filter(|(_, name)| !known(name)) {
            let reason = format!(
                "is `{name}`, which `databases` does not have; write `[database.databases.{name}]` with its `url`"
            );
            problems.push(Problem::new(format!("namespaces.{namespace}"), reason));
        }
        for (name, database) in &self.databases {
            problems.extend(database.problems().into_iter().map(|p| within(&format!("databases.{name}"), p)));
        }
        problems
    }

    /// Itself, or every mistake in it.
    pub fn checked(&self) -> Result<&Self, ConfigError> {
        let mut problems = self.problems();
        if !self.is_used() {
            problems.push(Problem::new(
                "databases",
                "is empty; write `[database.databases.primary]` with its `url`",
            ));
        }
        if problems.is_empty() { Ok(self) } else { Err(ConfigError(problems)) }
    }
}

fn within(section: &str, problem: Problem) -> Problem {
    Problem::new(format!("{section}.{}", problem.key), problem.reason)
}

impl NamedDatabase {
    /// A database with this URL and every default.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: Some(UrlSource::text(url)), ..Self::default() }
    }

    /// How long work waits for a connection.
    pub fn checkout_timeout(&self) -> Duration {
        Duration::from_millis(self.checkout_timeout_ms)
    }

    /// How far behind a replica may be.
    pub fn lag_bound(&self) -> Duration {
        Duration::from_millis(self.lag_bound_ms)
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = vec![];
        problems.extend(url_of(self.url.as_ref()).err());
        problems.extend(range("connections", self.connections.into(), 1, 1_000));
        problems.extend(range("connect_timeout_seconds", self.connect_timeout_seconds.into(), 1, 300));
        problems.extend(range("checkout_timeout_ms", self.checkout_timeout_ms, 10, 600_000));
        problems.extend(range("lag_bound_ms", self.lag_bound_ms, 100, 86_400_000));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
        if !(1..=63).contains(&self.application_name.len()) || !self.application_name.chars().all(plain) {
            let reason = "must be 1 to 63 letters, digits, spaces, `-`, `_` and `.`";
            problems.push(Problem::new("application_name", reason));
        }
        for (name, replica) in &self.reading {
            let connections = range("connections", replica.connections.into(), 1, 1_000);
            let both = url_of(replica.url.as_ref()).err().into_iter().chain(connections);
            problems.extend(both.map(|p| within(&format!("reading.{name}"), p)));
        }
        problems
    }
}

/// The URL that a key `url` gives, or its mistake.
pub(crate) fn url_of(url: Option<&UrlSource>) -> Result<DatabaseUrl, Problem> {
    let url = url.ok_or_else(|| Problem::new("url", "is required; write postgres://user@host/database"))?;
    url.read().map_err(|reason| Problem::new("url", reason))
}

fn range(key: &str, value: u64, least: u64, most: u64) -> Option<Problem> {
    let fits = (least..=most).contains(&value);
    (!fits).then(|| Problem::new(key, format!("is {value}; write {least} to {most}")))
}

/// Sections by name. A name that comes twice is refused, `tasker` and `:tasker` being one, and a text where a
/// section should be is not quoted: it may be a URL.
fn by_name<'de, D, V>(deserializer: D) -> Result<BTreeMap<DatabaseName, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    deserializer.deserialize_any(Sections(PhantomData))
}

struct Sections<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Sections<V> {
    type Value = BTreeMap<DatabaseName, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section with a section for each name")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("is a text; write a section for each name"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = BTreeMap::new();
        while let Some(name) = map.next_key::<DatabaseName>()? {
            if all.contains_key(&name) {
                return Err(A::Error::custom(format!("the name `{name}` is there twice")));
            }
            let Section(section) = map.next_value()?;
            all.insert(name, section);
        }
        Ok(all)
    }
}

struct Section<V>(V);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Section<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SectionVisitor(PhantomData)).map(Self)
    }
}

struct SectionVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for SectionVisitor<V> {
    type Value = V;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section with `url`")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<V, E> {
        Err(E::custom("is a text; write a section with it as `url`"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V, A::Error> {
        V::deserialize(MapAccessDeserializer::new(map))
    }
}
