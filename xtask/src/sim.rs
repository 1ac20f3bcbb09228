//! `cargo xtask sim`: every order of commands on small tasks, walked on the store in memory, and each seeded fault
//! looked for. Exits with failure where an invariant breaks or a fault is missed.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tasker_testkit::model::{
    Bug,
    explore::{Explored, Violation, caught, explore, scenarios},
};

#[derive(Args)]
pub(crate) struct Options {
    /// How many distinct states to walk, all scenarios together.
    #[arg(long, default_value_t = 1_000_000)]
    states: usize,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was done, and what was wrong.
#[derive(Default)]
struct Figures {
    states: usize,
    commands: usize,
    tasks: usize,
    steps: usize,
    caught: usize,
    violations: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let mut figures = Figures::default();
    walk(options, &mut figures);
    for bug in Bug::ALL {
        match caught(bug) {
            Some(violation) => tell_of(options, bug, &violation, &mut figures),
            None => figures.violations.push(format!("the seeded fault {bug:?} is not caught")),
        }
    }
    figures.violations.iter().for_each(|v| eprintln!("VIOLATION {v}"));
    show(options, &figures, started.elapsed().as_secs_f64());
    Ok(if figures.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Walks the scenarios, each to its share of what the former ones left.
fn walk(options: &Options, figures: &mut Figures) {
    let all = scenarios();
    for (n, scenario) in all.iter().enumerate() {
        let share = options.states.saturating_sub(figures.states) / (all.len() - n);
        let Explored { states, commands, exhausted, violation } = explore(scenario, None, share.max(1));
        if !options.json {
            let all = if exhausted { ", all there are" } else { "" };
            println!("{:<26} {states:>9} states{all}, {commands} commands", scenario.name);
        }
        figures.states += states;
        figures.commands += commands;
        figures.tasks += scenario.workflows.len();
        figures.steps += scenario.workflows.iter().map(|w| w.steps().len()).sum::<usize>();
        figures.violations.extend(violation.map(|v| v.to_string()));
    }
}

fn tell_of(options: &Options, bug: Bug, violation: &Violation, figures: &mut Figures) {
    figures.caught += 1;
    if !options.json {
        println!("\n{bug:?} is caught in {violation}");
    }
}

fn show(options: &Options, figures: &Figures, seconds: f64) {
    let Figures { states, commands, tasks, steps, caught, violations } = figures;
    if options.json {
        println!(
            "{}",
            json!({"states": states, "commands": commands, "tasks": tasks, "steps": steps, "violations": violations.len(),
                "faults": Bug::ALL.len(), "faults_caught": caught, "seconds": seconds})
        );
    } else {
        println!(
            "\n{states} states by {commands} commands, {} violations; {caught} of {} seeded faults caught; {seconds:.0} s",
            violations.len(),
            Bug::ALL.len()
        );
    }
}
