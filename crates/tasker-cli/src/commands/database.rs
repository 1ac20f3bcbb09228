//! `tasker database`: the databases of the configuration, whether they can be used, and their schema.

use clap::Subcommand;
use comfy_table::Cell;
use serde_json::{Value, json};
use tasker_config::Config;
use tasker_multidb::{DatabaseName, Databases};

use crate::{
    database::DatabaseArgs,
    exit::{Exit, Outcome},
    output::Output,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List them with what they hold
    List,
    /// Say whether each that holds Tasker's tables can be reached and has the schema, and each reading role is its
    /// replica
    Check,
    /// Bring the schema of each that holds Tasker's tables up to date
    Migrate,
}

pub(crate) fn run(action: &Action, config: &Config, args: &DatabaseArgs, out: &Output) -> Outcome {
    let databases = args.databases(config)?;
    match action {
        Action::List => list(config, &databases, out),
        Action::Check => {
            databases.check()?;
            out.either(&json!({ "usable": true }), || out.line("every database can be used"));
        }
        Action::Migrate => migrate(&databases, out)?,
    }
    Ok(Exit::Ok)
}

fn list(config: &Config, databases: &Databases, out: &Output) {
    let all: Vec<Value> =
        config.database().databases.keys().map(|name| described(name, config, databases)).collect();
    out.either(&all, || {
        let cell = |value: &Value| Cell::new(value.as_str().unwrap_or_default());
        let words = |value: &Value| {
            let words = value.as_array().map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>());
            Cell::new(words.unwrap_or_default().join(", "))
        };
        let rows = all
            .iter()
            .map(|d| vec![cell(&d["database"]), words(&d["holds"]), words(&d["reading"]), cell(&d["url"])]);
        out.table(&["database", "holds", "reading roles", "url"], rows.collect());
    });
}

/// What a database holds: the tables of the host, the home of tasks, namespaces.
fn described(name: &DatabaseName, config: &Config, databases: &Databases) -> Value {
    let section = config.database();
    let mut holds = vec![];
    if section.primary == *name {
        holds.push("the default".to_owned());
    }
    if databases.home().name() == name {
        holds.push("home".to_owned());
    }
    let routed = section.namespaces.iter().filter(|(_, to)| *to == name);
    holds.extend(routed.map(|(namespace, _)| format!("namespace {namespace}")));
    let reading: Vec<&DatabaseName> =
        section.databases.get(name).into_iter().flat_map(|d| d.reading.keys()).collect();
    let url = databases.host(name).map(|database| database.url().to_string());
    json!({ "database": name, "holds": holds, "reading": reading, "url": url })
}

fn migrate(databases: &Databases, out: &Output) -> Outcome<()> {
    let migrated = databases.migrate()?;
    let document: Vec<Value> =
        migrated.iter().map(|(name, applied)| json!({ "database": name, "applied": applied })).collect();
    out.either(&document, || {
        for (name, applied) in &migrated {
            match &applied[..] {
                [] => out.line(format_args!("{name}: the schema is up to date")),
                applied => out.line(format_args!("{name}: applied {}", applied.join(", "))),
            }
        }
    });
    Ok(())
}
