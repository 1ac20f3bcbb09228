//! `cargo xtask mutants`: small faults put into the SQL of the commands, one at a time, and the tests that should find
//! them. A fault that no test finds is told; the exit code says whether nine in ten were found.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text,
};
use serde_json::{Map, Value};
use tasker_engine::db::connect;
use tasker_localpg::{Environment, Wanted, resolve_in, with_database};

use crate::{
    battery::evidence::{Evidence, Json, Origin},
    codegen::root,
    database::show,
};

#[derive(Args)]
pub(crate) struct Options {
    /// The functions that are spoilt, by their files in sql/functions.
    #[arg(long, value_delimiter = ',', default_values_t = FUNCTIONS.map(str::to_owned))]
    functions: Vec<String>,
    /// The most faults; fewer than there are, and a sample is drawn.
    #[arg(long, default_value_t = usize::MAX)]
    limit: usize,
    /// The seed of the sample, and of the tests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    json: Json,
}

const FUNCTIONS: [&str; 16] = [
    "adjust_task",
    "adjust_tasks",
    "claimed_step",
    "exchange_steps",
    "expire_leases",
    "fail_steps",
    "finish_step",
    "finish_steps",
    "first_priority",
    "hold_rest",
    "release_child",
    "release_children",
    "release_steps",
    "renew_lease",
    "submit_and_exchange",
    "take_steps",
];

/// The tests that should find the faults, those first that find most.
const TESTS: [&[&str]; 2] = [
    &["-p", "tasker-testkit", "--test", "model"],
    &[
        "-p",
        "tasker-engine",
        "--test",
        "exchange",
        "--test",
        "lone_turns",
        "--test",
        "leases",
        "--test",
        "settling",
        "--test",
        "retrying",
        "--test",
        "interleavings",
        "--test",
        "claim_order",
        "--test",
        "waiting",
    ],
];

/// What is replaced by what, one place at a time.
const FAULTS: [(&str, &str); 24] = [
    (" + 1", " + 2"),
    (" - 1", " - 2"),
    ("array_fill(-1", "array_fill(0"),
    (", -1 ", ", 0 "),
    (", 1)", ", 0)"),
    (" <= ", " < "),
    (" > 0", " >= 0"),
    (" > ", " >= "),
    (" <> ", " = "),
    ("not exists", "exists"),
    ("not s.held", "true"),
    ("not s.paused", "true"),
    ("is null", "is not null"),
    ("is not null", "is null"),
    (", false)", ", true)"),
    (" for update skip locked", ""),
    (" for update of s", ""),
    (" for update of t", ""),
    (" for update;", ";"),
    (" and s.seq = i.token", ""),
    (" and s.state = 'in_progress'", ""),
    ("worker_id = null", "worker_id = s.worker_id"),
    ("'complete'", "'error'"),
    ("greatest(", "least("),
];

/// Faults that nobody can notice: the function, the line that the fault makes, and why it does what the right one does.
const EQUIVALENT: [(&str, &str, &str); 10] = [
    (
        "claimed_step",
        "if v_parents >= 0 then",
        "without parents the query finds none, and the results stay {}",
    ),
    ("exchange_steps", "elsif cardinality(p_task_ids) >= 1 then", "one report went the other way"),
    ("exchange_steps", "if cardinality(p_task_ids) >= 0 then", "finish_steps does nothing of no reports"),
    ("expire_leases", "if v_count >= 0 then", "fail_steps does nothing of no reports"),
    ("fail_steps", "if cardinality(v_fast) >= 0 then", "hold_rest does nothing of no tasks"),
    (
        "fail_steps",
        "from k join i using (task_id, step_id) where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.seq = i.token",
        "the state was read under the lock",
    ),
    (
        "finish_step",
        "where s.task_id = p_task_id and s.workflow_step_id = p_step_id and s.seq = p_token",
        "the state was read under the lock",
    ),
    (
        "finish_steps",
        "from g where s.task_id = g.task_id and s.workflow_step_id = g.workflow_step_id and s.seq = g.token",
        "the state was read under the lock",
    ),
    (
        "release_steps",
        "from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id",
        "the state was read under the lock",
    ),
    ("release_child", "taken := p_limit >= 0 and coalesce(", "who has no place left passes no queues"),
];

/// One fault: where it is, and the function with it.
struct Mutant {
    function: String,
    line: usize,
    from: &'static str,
    to: &'static str,
    /// The line that it makes.
    spoilt: String,
    text: String,
}

impl Mutant {
    fn place(&self) -> String {
        format!("{}:{} `{}` as `{}`", self.function, self.line, self.from.trim(), self.to.trim())
    }

    /// Why nobody can notice it.
    fn equivalent(&self) -> Option<&'static str> {
        let known = EQUIVALENT.iter().find(|e| e.0 == self.function && e.1 == self.spoilt);
        known.map(|(_, _, why)| *why)
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let origin = Origin::now();
    let named = Environment::current().text("TASKER_TEST_DATABASE_URL");
    let unnamed: Environment =
        std::env::vars_os().filter(|(k, _)| k != "TASKER_DATABASE_URL" && k != "DATABASE_URL").collect();
    let server = resolve_in(&unnamed, named, &Wanted::throw_away().max_connections(300), &mut show)?;
    ensure!(passes(&server.url, options.seed)?, "the tests fail without any fault: mend them first");
    let mut conn = connect(&template(&server.url)?)?;
    let (equivalent, mutants): (Vec<_>, Vec<_>) =
        drawn(options)?.into_iter().partition(|m| m.equivalent().is_some());
    let (mut found, mut survivors, mut invalid) = (0, BTreeMap::<String, Vec<String>>::new(), 0);
    for (n, mutant) in mutants.iter().enumerate() {
        if conn.batch_execute(&mutant.text).is_err() {
            invalid += 1;
            continue;
        }
        // A database that is copied must have no session.
        drop(conn);
        let survives = passes(&server.url, options.seed)?;
        conn = connect(&template(&server.url)?)?;
        conn.batch_execute(&original(&mutant.function)?)?;
        let place = mutant.place();
        eprintln!("{}/{} {} {place}", n + 1, mutants.len(), if survives { "SURVIVED" } else { "found" });
        if survives {
            survivors.entry(mutant.function.clone()).or_default().push(place);
        } else {
            found += 1;
        }
    }
    conclude(options, origin, found, invalid, survivors, &equivalent)
}

fn conclude(
    options: &Options,
    origin: Origin,
    found: usize,
    invalid: usize,
    survivors: BTreeMap<String, Vec<String>>,
    equivalent: &[Mutant],
) -> Result<ExitCode> {
    let survived = survivors.values().map(Vec::len).sum::<usize>();
    let equivalents: Map<String, Value> =
        equivalent.iter().map(|m| (m.place(), m.equivalent().into())).collect();
    eprintln!(
        "{found} of {} faults found; {} more change nothing, and {invalid} were no SQL",
        found + survived,
        equivalents.len()
    );
    let mut evidence = Evidence { seed: options.seed, ..Evidence::default() };
    evidence.set("found", found);
    evidence.set("survived", survived);
    evidence.set("survivors", serde_json::to_value(&survivors)?);
    evidence.set("equivalent", equivalents);
    options.json.write(evidence, origin)?;
    Ok(if found * 10 >= (found + survived) * 9 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn original(function: &str) -> Result<String> {
    let file = root().join("sql/functions").join(format!("{function}.sql"));
    fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))
}

/// All faults of the functions, or a sample.
fn drawn(options: &Options) -> Result<Vec<Mutant>> {
    let mut mutants = vec![];
    for function in &options.functions {
        mutants.extend(mutants_of(function, &original(function)?));
    }
    if options.limit < mutants.len() {
        fastrand::Rng::with_seed(options.seed).shuffle(&mut mutants);
        mutants.truncate(options.limit);
    }
    Ok(mutants)
}

fn mutants_of(function: &str, text: &str) -> Vec<Mutant> {
    let mut mutants = vec![];
    let mut start = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let code = !line.trim_start().starts_with("--") && !line.starts_with("comment on");
        for (from, to) in FAULTS.iter().filter(|_| code) {
            for (at, _) in line.match_indices(from) {
                let (before, after) = (&text[..start + at], &text[start + at + from.len()..]);
                let text = format!("{before}{to}{after}");
                let spoilt = format!("{}{to}{}", &line[..at], &line[at + from.len()..]).trim().to_owned();
                // Two rules may make one fault.
                if mutants.iter().all(|m: &Mutant| m.text != text) {
                    mutants.push(Mutant {
                        function: function.to_owned(),
                        line: number,
                        from,
                        to,
                        spoilt,
                        text,
                    });
                }
            }
        }
        start += line.len();
    }
    mutants
}

/// Whether all tests pass against the template as it is.
fn passes(url: &str, seed: u64) -> Result<bool> {
    for args in TESTS {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "-q"]).args(args).current_dir(root());
        cargo.env("TASKER_TEST_DATABASE_URL", url).env("TASKER_TEST_SEED", seed.to_string());
        let status =
            cargo.stdout(Stdio::null()).stderr(Stdio::null()).status().context("cargo cannot be run")?;
        if !status.success() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The database that every test's is copied from.
fn template(url: &str) -> Result<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        datname: String,
    }
    let conn: &mut PgConnection = &mut connect(url)?;
    let sql = "select datname::text from pg_database where datname ~ '^tasker_template_[0-9a-f]+$'";
    let rows: Vec<Row> = sql_query(sql).load(conn)?;
    match &rows[..] {
        [row] => Ok(with_database(url, &row.datname)),
        _ => bail!("the server has {} templates of tests; give it for this alone", rows.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_that_changes_nothing_is_one_that_is_made() {
        let mutants: Vec<Mutant> =
            FUNCTIONS.iter().flat_map(|f| mutants_of(f, &original(f).unwrap())).collect();
        for (function, spoilt, _) in EQUIVALENT {
            let made = mutants.iter().filter(|m| m.function == function && m.spoilt == spoilt).count();
            assert_eq!(made, 1, "{function}: {spoilt}");
        }
    }
}
