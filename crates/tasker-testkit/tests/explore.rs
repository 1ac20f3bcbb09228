//! Every order of commands on small tasks keeps the invariants; and a store with a seeded fault breaks them.
//!
//! `TASKER_TEST_STATES` walks further.

use tasker_testkit::model::{
    Bug,
    explore::{caught, explore, scenarios},
};

/// How many states are walked, all scenarios together.
fn states() -> usize {
    std::env::var("TASKER_TEST_STATES").map_or(140_000, |text| text.parse().unwrap())
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of a run are its evidence")]
fn no_order_of_commands_breaks_an_invariant() {
    let all = scenarios();
    for scenario in &all {
        let explored = explore(scenario, None, states() / all.len());
        println!(
            "{}: {} states by {} commands, exhausted: {}",
            scenario.name, explored.states, explored.commands, explored.exhausted
        );
        assert!(explored.violation.is_none(), "{}", explored.violation.unwrap());
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the stories are worth reading")]
fn every_seeded_fault_is_caught() {
    for bug in Bug::ALL {
        let violation = caught(bug).unwrap_or_else(|| panic!("{bug:?} is not caught"));
        println!("{bug:?} in {violation}\n");
    }
}
