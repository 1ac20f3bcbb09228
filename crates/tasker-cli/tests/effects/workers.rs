//! The section `execution`, by what workers do in the database.

use std::process::{Child, Command};

use super::{configured, sleeping, until};
use crate::support::{Bench, ended};

pub(crate) fn max_concurrent_steps() {
    let overlaps = |config: &str| {
        let bench = Bench::new();
        let steps = ["a", "b", "c"].map(|name| sleeping(name, "50ms")).concat();
        bench.file("w.yaml", &format!("name: w\nstep_templates:\n{steps}"));
        configured(&bench, config, &["submit", "w.yaml"]).expect(0);
        configured(&bench, config, &["worker", "--until-idle"]).expect(0);
        bench.count(
            "with ran as (select workflow_step_id as id, min(at) filter (where to_state = 'in_progress') as began,
                 max(at) filter (where to_state = 'complete') as ended
               from tasker.workflow_step_transitions group by 1)
             select count(*) as n from ran a join ran b on a.id < b.id and a.began < b.ended and b.began < a.ended",
        )
    };
    assert_eq!(overlaps("[execution]\nmax_concurrent_steps_limit = 1"), 0);
    assert_eq!(overlaps(""), 3);
}

pub(crate) fn lease() {
    let lease = |config: &str, args: &[&str]| {
        let bench = Bench::new();
        configured(&bench, config, &[&["worker", "--until-idle"], args].concat()).expect(0);
        bench.count("select lease_ms::bigint as n from tasker.workers")
    };
    assert_eq!(lease("[execution]\nlease_seconds = 7.5", &[]), 7_500);
    assert_eq!(lease("", &[]), 30_000);
    // A flag wins.
    assert_eq!(lease("[execution]\nlease_seconds = 7.5", &["--lease", "9s"]), 9_000);
}

fn terminate(worker: &Child) {
    assert!(Command::new("kill").args(["-TERM", &worker.id().to_string()]).status().unwrap().success());
}

pub(crate) fn drain() {
    let completed = |config: &str, time: &str| {
        let bench = Bench::new();
        bench.file("w.yaml", &format!("name: w\nstep_templates:\n{}", sleeping("a", time)));
        configured(&bench, config, &["submit", "w.yaml"]).expect(0);
        let worker = bench.start(&["worker", "--json"]);
        let running = "select count(*) as n from tasker.workflow_steps where state = 'in_progress'";
        until("the step runs", || bench.count(running) == 1);
        terminate(&worker);
        ended(worker).expect(0).json()["completed"].as_u64()
    };
    // Longer than a busy machine needs to send the signal.
    assert_eq!(completed("[execution]\ndrain_seconds = 0", "60s"), Some(0));
    assert_eq!(completed("", "1s"), Some(1));
}

pub(crate) fn notifications() {
    let listens = |config: &str| {
        let bench = Bench::new();
        bench.file("tasker.toml", config);
        let worker = bench.start(&["worker"]);
        until("the worker waits", || {
            bench.count("select count(*) as n from tasker.workers where waiting") == 1
        });
        let listener = || {
            bench.count("select count(*) as n from pg_stat_activity where datname = current_database() and application_name = 'tasker listener'")
        };
        if config.is_empty() {
            until("it listens", || listener() == 1);
        }
        let listens = listener() == 1;
        terminate(&worker);
        ended(worker).expect(0);
        listens
    };
    assert!(listens(""));
    assert!(!listens("[execution]\nnotifications = false"));
}
