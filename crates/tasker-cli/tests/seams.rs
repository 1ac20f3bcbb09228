//! Every verb of the command, driven against a real server: a verb without a line here fails.

mod support;

use std::collections::BTreeSet;

use support::{Bench, PRICES, Ran, TROUBLE, command, run};

/// Verb, arguments, exit code, and what stdout or stderr has to say.
type Line = (&'static str, &'static [&'static str], i32, &'static str);

/// One after the other on one database. Task 1 is complete, task 2 in error, task 3 open at first.
const SCRIPT: &[Line] = &[
    ("migrate up", &[], 0, "applied 0001_tables"),
    ("migrate status", &[], 0, "0001_tables"),
    ("migrate verify", &[], 0, ""),
    ("migrate sql", &[], 0, "create table tasker.tasks"),
    ("run", &["p.yaml", "--input", "i.json"], 0, "1 task of shop.prices@1.2.0"),
    ("run", &["t.yaml", "--input", "bad.json"], 3, "judge"),
    ("submit", &["t.yaml", "--input", "bad.json", "--json"], 0, "3"),
    ("task list", &[], 0, "shop.trouble@0.1.0"),
    ("task annotate", &["2", "note", "{}"], 0, "is annotated"),
    ("task show", &["2"], 0, "judge"),
    ("explain", &["2"], 0, "judge failed for good"),
    ("graph", &["p.yaml"], 0, "total"),
    ("check", &["p.yaml", "t.yaml"], 0, "shop.trouble@0.1.0, 3 steps"),
    ("database list", &["--config", "m.toml"], 0, "home"),
    ("database check", &["--config", "m.toml"], 0, "every database can be used"),
    ("database migrate", &["--config", "m.toml"], 0, "primary: the schema is up to date"),
    ("config check", &[], 0, "no mistakes"),
    ("config show", &[], 0, "default"),
    ("generate authenticator", &["partner", "--type", "jwt"], 0, "wrote src/authenticators/partner.rs"),
    ("generate coordinator", &["shop"], 0, "wrote src/coordinators/shop.rs"),
    ("generate subscriber", &["alerts"], 0, "wrote src/subscribers/alerts.rs"),
    ("generate handler", &["orders", "--steps", "fetch,ship"], 0, "wrote src/workflows/orders.rs"),
    ("task priority", &["1", "3"], 0, "3 steps changed"),
    ("task pause", &["3"], 0, "is paused"),
    ("task resume", &["3"], 0, "is resumed"),
    ("task retry-now", &["3"], 0, "is so already"),
    ("step pause", &["3", "fetch"], 0, "is paused"),
    ("step resume", &["3", "fetch"], 0, "is resumed"),
    ("step limit", &["3", "judge", "4"], 0, "new retry limit"),
    ("step priority", &["3", "judge", "2"], 0, "new priority"),
    ("step retry-now", &["3", "fetch"], 0, "was due already"),
    ("queue list", &[], 0, "jq"),
    ("queue pause", &["--namespace", "shop"], 0, "is paused"),
    ("queue resume", &["--handler", "jq"], 0, "is resumed"),
    ("token create", &["--subject", "nightly", "--name", "import"], 0, "it is shown this once"),
    ("token list", &[], 0, "nightly"),
    ("token revoke", &["1"], 0, "is taken back"),
    ("worker", &["--until-idle"], 0, "attempts completed"),
    ("task resolve", &["2"], 0, "is resolved"),
    ("step skip", &["2", "judge"], 7, "not marked skippable"),
    ("step reset", &["2", "fetch"], 7, "children that ran"),
    ("step retry-from", &["2", "judge"], 0, "is reset"),
    ("step cancel", &["2", "judge"], 0, "is cancelled"),
    ("step retry", &["2", "judge"], 0, "is retried"),
    ("task cancel", &["2"], 0, "is cancelled"),
    ("task retry", &["3"], 0, "is retried"),
    ("step resolve", &["3", "judge"], 0, "is resolved"),
    ("prune", &["--older-than", "0s"], 0, "deleted 2 tasks with 7 steps"),
    ("pg status", &[], 0, "does not run"),
    ("pg stop", &[], 0, ""),
    ("completions", &["bash"], 0, "_tasker"),
    ("migrate down", &["--all", "--yes"], 0, "took back 0001_tables"),
];

/// Verbs that need what a test cannot have, each with the reason.
const APART: &[(&str, &str)] =
    &[("pg fetch", "it asks the network; crates/tasker-localpg/tests/fetch.rs serves it")];

fn tasker(bench: &Bench, args: &[&str]) -> Ran {
    let mut command = command(bench.dir.path());
    command
        .env("TASKER_DATABASE_URL", bench.database.url())
        .env("TASKER_DATA_DIR", bench.dir.path().join("pg"));
    run(command.args(args), "")
}

/// The verbs that the program itself lists, down to those that have none below them.
fn verbs(bench: &Bench, above: &str) -> BTreeSet<String> {
    let args: Vec<&str> = above.split_whitespace().chain(["--help"]).collect();
    let help = tasker(bench, &args).expect(0).out;
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return BTreeSet::from([above.to_owned()]) };
    let lines = list.lines().take_while(|line| !line.is_empty());
    // A description that is too long for the line goes on further to the right.
    let names =
        lines.filter(|line| !line.starts_with("    ")).filter_map(|line| line.split_whitespace().next());
    let below = names.filter(|name| *name != "help").map(|name| format!("{above} {name}"));
    below.flat_map(|verb| verbs(bench, verb.trim())).collect()
}

#[test]
fn every_verb_is_driven() {
    let mut bench = Bench::new();
    let there = verbs(&bench, "");
    let driven: BTreeSet<String> =
        SCRIPT.iter().map(|line| line.0).chain(APART.iter().map(|a| a.0)).map(str::to_owned).collect();
    let missing: Vec<_> = there.difference(&driven).collect();
    assert!(missing.is_empty(), "give these verbs a line in SCRIPT: {missing:?}");
    let gone: Vec<_> = driven.difference(&there).collect();
    assert!(gone.is_empty(), "these are verbs no more: {gone:?}");

    bench.database = tasker_testkit::TestDatabase::empty();
    let files = [("p.yaml", PRICES), ("t.yaml", TROUBLE), ("i.json", "{\"items\": [{\"price\": 2}]}")];
    files
        .into_iter()
        .chain([("bad.json", "{\"bad\": true}")])
        .for_each(|(name, text)| drop(bench.file(name, text)));
    bench.file("m.toml", &format!("[database.databases.primary]\nurl = \"{}\"\n", bench.database.url()));
    for (verb, args, code, says) in SCRIPT {
        let line: Vec<&str> = verb.split_whitespace().chain(args.iter().copied()).collect();
        let ran = tasker(&bench, &line).expect(*code);
        assert!(ran.out.contains(says) || ran.err.contains(says), "{line:?}: {ran:?}");
    }
}
