//! The decisions of workers in simulated worlds: every task settles, nothing is lost, nothing runs twice that may not;
//! and a core with a seeded fault is found.
//!
//! `TASKER_TEST_SEEDS` simulates more worlds, `TASKER_TEST_SEED` is the first.

use tasker_testkit::sim::{Fault, Run, simulate};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of a run are its evidence")]
fn every_task_settles_whatever_becomes_of_the_workers() {
    let (first, seeds) = (setting("TASKER_TEST_SEED", 1), setting("TASKER_TEST_SEEDS", 1_000));
    let mut total = Run::default();
    for seed in first..first + seeds {
        match simulate(seed, None) {
            Ok(run) => total += run,
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{seeds} seeds from {first}: {total:?}");
}

/// The first seed, of a few hundred, in which the fault shows.
#[test]
#[expect(clippy::print_stdout, reason = "the failures are worth reading")]
fn every_faulty_core_is_found() {
    for fault in Fault::ALL {
        let found = (1..=400).find_map(|seed| simulate(seed, Some(fault)).err());
        let found = found.unwrap_or_else(|| panic!("{fault:?} is not found"));
        println!("{fault:?}: seed {}, {:?}: {}", found.seed, found.kind, found.wrong);
    }
}
