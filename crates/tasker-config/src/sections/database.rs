//! The options of the section `database`, whose type is tasker-multidb's.

use crate::{Kind, OptionSpec};

const fn option(key: &'static str, kind: Kind, doc: &'static str, reader: &'static str) -> OptionSpec {
    OptionSpec { key, kind, doc, reader }
}

const HOME: &str = "`DatabaseConfig::home`";
const BOTH: &str = "every command, `tasker_multidb::Databases`";
const POOLS: &str = "`tasker_multidb::Databases`";

pub(crate) const OPTIONS: &[OptionSpec] = &[
    option(
        "database.enable_secondary_database",
        Kind::Bool,
        "Whether Tasker's tables are in the database called `name` rather than in the default database.",
        HOME,
    ),
    option(
        "database.name",
        Kind::Text,
        "The name of the database with Tasker's tables, `tasker` or `:tasker`.",
        HOME,
    ),
    option(
        "database.on_missing",
        Kind::Choice(&["error", "use_primary"]),
        "What happens where that database is enabled and missing: nothing starts, or the default database is used and \
         the log says so.",
        HOME,
    ),
    option(
        "database.primary",
        Kind::Text,
        "The name of the default database, the host application's own.",
        HOME,
    ),
    option(
        "database.namespaces.*",
        Kind::Text,
        "The database of a namespace that does not live with the rest.",
        POOLS,
    ),
    option(
        "database.databases.*.url",
        Kind::Url,
        "Where the writing role is: postgres://user@host/database, with several hosts and \
         target_session_attrs=read-write for failover.",
        BOTH,
    ),
    option(
        "database.databases.*.connections",
        Kind::Integer(1, 1_000),
        "The most connections of its pool.",
        POOLS,
    ),
    option(
        "database.databases.*.connect_timeout_seconds",
        Kind::Integer(1, 300),
        "How long making one connection to one host may take.",
        BOTH,
    ),
    option(
        "database.databases.*.checkout_timeout_ms",
        Kind::Integer(10, 600_000),
        "How long work waits for a connection of the pool.",
        POOLS,
    ),
    option(
        "database.databases.*.application_name",
        Kind::Text,
        "What the server's list of sessions calls its connections.",
        BOTH,
    ),
    option(
        "database.databases.*.statements",
        Kind::Choice(&["named", "unnamed"]),
        "Whether statements are prepared once a connection under names; unnamed for a pooler of transactions that does \
         not keep them.",
        BOTH,
    ),
    option(
        "database.databases.*.lag_bound_ms",
        Kind::Integer(100, 86_400_000),
        "How far behind a replica may be and still be read.",
        POOLS,
    ),
    option("database.databases.*.reading.*.url", Kind::Url, "Where a reading role is.", POOLS),
    option(
        "database.databases.*.reading.*.connections",
        Kind::Integer(1, 1_000),
        "The most connections of the reading role's pool.",
        POOLS,
    ),
];
