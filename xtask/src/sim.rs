//! `cargo xtask sim`: every order of commands on small tasks, every interleaving of their statements, workers in
//! simulated worlds, and seeded faults of each that must be found. Exits with failure where an invariant breaks or
//! a fault is missed.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Args;
use tasker_testkit::{
    model::{
        Bug,
        explore::{caught, explore, scenarios},
        statements::{Slip, meet, meetings},
    },
    sim::{Fault, Kind, Run, simulate},
};

use crate::battery::evidence::{Evidence, Json, Origin};

#[derive(Args)]
pub(crate) struct Options {
    /// How many distinct states to walk, all scenarios together; 0 walks none.
    #[arg(long, default_value_t = 1_000_000)]
    states: usize,
    /// How many worlds to simulate.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The seed of the first world; the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    json: Json,
}

/// What was done, and what was wrong.
#[derive(Default)]
struct Figures {
    states: usize,
    commands: usize,
    /// States of statements that interleave.
    interleaved: usize,
    run: Run,
    runs: u64,
    faults: usize,
    found: usize,
    lost: usize,
    doubled: usize,
    stuck: usize,
    violations: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (started, origin, mut figures) = (Instant::now(), Origin::now(), Figures::default());
    // Standard output is the object's where it is wanted there.
    let say = |line: String| eprintln!("{line}");
    if options.states > 0 {
        walk(options.states, &mut figures, &say);
        interleave(&mut figures, &say);
    }
    live(options, &mut figures);
    say(format!("{} worlds from seed {}: {:?}", figures.runs, options.seed, figures.run));
    if options.states > 0 {
        look_for_faults(&mut figures, &say);
    }
    let seconds = started.elapsed().as_secs_f64();
    let Figures { states, runs, faults, found, .. } = figures;
    let wrong = figures.violations.len();
    say(format!(
        "\n{states} states, {runs} worlds, {wrong} violations; {found} of {faults} seeded faults found; {seconds:.0} s"
    ));
    options.json.write(figures.evidence(options, seconds), origin)?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Figures {
    fn evidence(self, options: &Options, seconds: f64) -> Evidence {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut evidence = Evidence {
            runs: u32::try_from(self.runs).unwrap_or(u32::MAX),
            tasks: count(self.run.tasks),
            steps: count(self.run.steps),
            kills: self.run.kills as u64,
            lost: count(self.lost),
            doubled: count(self.doubled),
            stuck: count(self.stuck),
            seed: options.seed,
            violations: self.violations,
            ..Evidence::default()
        };
        evidence.set("states", self.states);
        evidence.set("commands", self.commands);
        evidence.set("statement_states", self.interleaved);
        evidence.set("lost_answers", self.run.lost_answers);
        evidence.set("settled_after_ms", self.run.settled_after_ms);
        evidence.set("faults", self.faults);
        evidence.set("faults_found", self.found);
        evidence.set("seconds", seconds.round());
        evidence
    }
}

/// Walks the scenarios, each to its share of what the former ones left.
fn walk(states: usize, figures: &mut Figures, say: &impl Fn(String)) {
    let all = scenarios();
    for (n, scenario) in all.iter().enumerate() {
        let share = states.saturating_sub(figures.states) / (all.len() - n);
        let explored = explore(scenario, None, share.max(1));
        let all = if explored.exhausted { ", all there are" } else { "" };
        say(format!(
            "{:<26} {:>9} states{all}, {} commands",
            scenario.name, explored.states, explored.commands
        ));
        figures.states += explored.states;
        figures.commands += explored.commands;
        figures.violations.extend(explored.violation.map(|v| v.to_string()));
    }
}

fn interleave(figures: &mut Figures, say: &impl Fn(String)) {
    for meeting in meetings() {
        let met = meet(&meeting, None);
        say(format!(
            "{:<32} {:>6} states, {} ends, {} deadlocks",
            meeting.name, met.states, met.ends, met.deadlocks
        ));
        figures.interleaved += met.states;
        figures.violations.extend(met.violation);
    }
}

fn live(options: &Options, figures: &mut Figures) {
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        figures.runs += 1;
        match simulate(seed, None) {
            Ok(run) => figures.run += run,
            Err(failure) => {
                match failure.kind {
                    Kind::Lost => figures.lost += 1,
                    Kind::Doubled => figures.doubled += 1,
                    Kind::Stuck => figures.stuck += 1,
                }
                figures.violations.push(failure.to_string());
            }
        }
    }
}

fn look_for_faults(figures: &mut Figures, say: &impl Fn(String)) {
    let mut look = |name: String, story: Option<String>| {
        figures.faults += 1;
        match story {
            Some(story) => {
                figures.found += 1;
                say(format!("\n{name} is found in {story}"));
            }
            None => figures.violations.push(format!("the seeded fault {name} is not found")),
        }
    };
    for bug in Bug::ALL {
        look(format!("{bug:?}"), caught(bug).map(|v| v.to_string()));
    }
    for slip in Slip::ALL {
        look(format!("{slip:?}"), meetings().iter().find_map(|m| meet(m, Some(slip)).violation));
    }
    for fault in Fault::ALL {
        let found = (1..=400).find_map(|seed| simulate(seed, Some(fault)).err());
        look(format!("{fault:?}"), found.map(|f| format!("seed {}, at {} ms: {}", f.seed, f.at_ms, f.wrong)));
    }
}
