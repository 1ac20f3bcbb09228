//! `cargo xtask codegen`: writes what has its home in `sql/`: the migration of the functions, and `schema.rs`
//! from the comments and columns of the catalog; and the page of the configuration, from its types.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Array, Text},
};
use tasker_engine::db::connect;
use tasker_localpg::{Wanted, resolve, with_database};

use crate::database::show;

const HEADER: &str = "\
//! The tables of schema `tasker`, generated from the migrated catalog by `cargo xtask codegen`: do not edit.
//! What a column means is said once, in the comments of the migration.
";

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

pub(crate) fn run(check: bool) -> Result<()> {
    let root = root();
    put(&root.join("docs/configuration.md"), &tasker_config::reference(), check)?;
    let functions = functions(&root)?;
    let up = functions.iter().fold(
        String::from("-- Generated from sql/functions by `cargo xtask codegen`: the functions as they are installed.\n"),
        |all, (_, text)| all + "\n" + text,
    );
    let server = resolve(None, &Wanted::throw_away(), &mut show)?;
    let name = format!("tasker_codegen_{}", std::process::id());
    connect(&server.url)?.batch_execute(&format!("create database {name}"))?;
    let generated = generate(&root, &with_database(&server.url, &name), &functions, &up);
    connect(&server.url)?.batch_execute(&format!("drop database {name} with (force)"))?;
    let (down, schema) = generated?;
    let dir = root.join("migrations/0002_functions");
    put(&dir.join("up.sql"), &up, check)?;
    put(&dir.join("down.sql"), &down, check)?;
    put(&root.join("crates/tasker-model/src/schema.rs"), &schema, check)
}

/// Name and text of each function, by name.
fn functions(root: &Path) -> Result<Vec<(String, String)>> {
    let mut all = vec![];
    for entry in fs::read_dir(root.join("sql/functions"))? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .and_then(|s| s.to_str())
            .context("a file of sql/functions has no name")?
            .to_owned();
        all.push((name, fs::read_to_string(&path)?));
    }
    // As `sort` orders the files' names, in which the ending counts.
    all.sort_by_key(|(name, _)| format!("{name}.sql"));
    Ok(all)
}

/// What removes the functions of these names.
const DROPS: &str = "select format('drop function %s;', p.oid::regprocedure) as line from pg_proc p
    where pronamespace = 'tasker'::regnamespace and proname = any ($1) order by proname collate \"C\"";

/// The text of the functions' down migration, and of schema.rs, from a database that is made for it.
fn generate(root: &Path, url: &str, functions: &[(String, String)], up: &str) -> Result<(String, String)> {
    let mut conn = connect(url)?;
    // The harness makes the ledger, which is described too; the functions are made anew from their files.
    tasker_model::migrations::run_pending(&mut conn)?;
    // So that the catalog writes every name of ours qualified.
    conn.batch_execute("set search_path = pg_catalog")?;
    let names: Vec<&str> = functions.iter().map(|(n, _)| n.as_str()).collect();
    for drop in lines(&mut conn, DROPS, &names)? {
        conn.batch_execute(&drop)?;
    }
    conn.batch_execute(&format!("set check_function_bodies = off; {up}"))?;
    let drops = lines(&mut conn, DROPS, &names)?;
    ensure!(
        drops.len() == names.len(),
        "each file of sql/functions must define exactly the function of its name"
    );
    let schema = lines(&mut conn, &fs::read_to_string(root.join("sql/codegen/schema.sql"))?, &names)?;
    let down = format!("-- Generated from sql/functions by `cargo xtask codegen`.\n{}\n", drops.join("\n"));
    Ok((down, format(&format!("{HEADER}\n{}\n", schema.join("\n")))?))
}

fn lines(conn: &mut PgConnection, query: &str, names: &[&str]) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let rows: Vec<Line> = if query.contains("$1") {
        sql_query(query).bind::<Array<Text>, _>(names).load(conn)?
    } else {
        sql_query(query).load(conn)?
    };
    Ok(rows.into_iter().map(|r| r.line).collect())
}

/// Through rustfmt, where there is one.
fn format(text: &str) -> Result<String> {
    let file = std::env::temp_dir().join(format!("tasker-schema-{}.rs", std::process::id()));
    fs::write(&file, text)?;
    let _no_rustfmt_no_change =
        Command::new("rustfmt").args(["--edition", "2024", "--config-path"]).arg(root()).arg(&file).status();
    let formatted = fs::read_to_string(&file)?;
    fs::remove_file(&file)?;
    Ok(formatted)
}

fn put(path: &Path, text: &str, check: bool) -> Result<()> {
    let shown = path.strip_prefix(root()).unwrap_or(path).display();
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if check {
        bail!("{shown} is out of date: run `cargo xtask codegen`");
    }
    fs::write(path, text)?;
    println!("wrote {shown}");
    Ok(())
}
