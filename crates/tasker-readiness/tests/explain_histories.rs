//! Explain against the claim, against what removes a reason, and against itself: in worlds that random
//! commands drive, what it says live is what the claim does, and what it says later of that instant.
//!
//! `TASKER_EXPLAIN_WORLDS` is the number of worlds (a small one if not said), `TASKER_EXPLAIN_SEED` the seed
//! of the first.

#![allow(clippy::print_stderr, reason = "case counts are printed")]

mod explain_world;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use explain_world::World;
use tasker_engine::commands;
use tasker_model::{StepId, TaskState};
use tasker_readiness::{Change, Explanation, Moment, Reason, explain};

const INSTANTS: usize = 130;

#[derive(Default)]
struct Counts {
    live: usize,
    claimable: usize,
    replayed: usize,
    leases_not_kept: usize,
    removed: BTreeMap<&'static str, usize>,
    seen: BTreeMap<&'static str, usize>,
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[test]
fn no_reason_is_the_same_as_claimable_and_the_past_is_told_as_it_was() {
    let (worlds, seed) = (variable("TASKER_EXPLAIN_WORLDS", 2), variable("TASKER_EXPLAIN_SEED", 1));
    let mut counts = Counts::default();
    for seed in seed..seed + worlds {
        live_through(seed, &mut counts);
    }
    let Counts { live, claimable, replayed, leases_not_kept, removed, seen } = counts;
    eprintln!(
        "{live} answers live ({claimable} claimable) as the claim, {replayed} of the past as recorded live"
    );
    eprintln!(
        "{leases_not_kept} of these of running steps whose lease was renewed later, compared without its end"
    );
    eprintln!("reasons given: {seen:?}\nreasons removed, gone afterwards: {removed:?}");
    for (reason, removable) in REASONS {
        assert!(seen.get(reason).is_some_and(|n| *n > 0), "no case of {reason}");
        assert!(!removable || removed.get(reason).is_some_and(|n| *n > 0), "{reason} was never removed");
    }
}

/// The reasons that must come up, and whether something takes them away.
const REASONS: [(&str, bool); 14] = [
    ("not_created", false),
    ("in_progress", true),
    ("complete", false),
    ("resolved_manually", false),
    ("cancelled", true),
    ("permanent", true),
    ("exhausted", true),
    ("not_retryable", true),
    ("waiting_for_parents", true),
    ("held", true),
    ("paused", true),
    ("task_finished", true),
    ("waiting_for_retry", true),
    ("no_worker", true),
];

fn live_through(seed: u64, counts: &mut Counts) {
    let mut world = World::new(seed);
    for _ in 0..8 {
        world.random_definition();
    }
    for _ in 0..12 {
        world.random_submit();
    }
    (0..3).for_each(|_| world.random_worker());
    let mut recorded: BTreeMap<DateTime<Utc>, Vec<Explanation>> = BTreeMap::new();
    for n in 0..INSTANTS {
        // Now and then two commands share an instant: only what stands after both is an answer.
        let step = world.rng.i64(0..600_000);
        world.now += TimeDelta::microseconds(if n % 9 == 0 { 0 } else { 1 + step });
        world.random_command();
        let now = world.now;
        let answers = world.explain_now();
        hold_against_claim(&mut world, &answers, seed, counts);
        if n % 2 == 0
            && let Some(answer) = rarest(&mut world, &answers, counts)
        {
            remove_each(&mut world, &answer, seed, counts);
        }
        recorded.insert(now, answers);
    }
    world.database.assert_sound();
    for (at, live) in recorded {
        let past = world.explain(Moment::Past(at));
        hold_against_record(&past, live, seed, counts);
    }
}

fn hold_against_claim(world: &mut World, answers: &[Explanation], seed: u64, counts: &mut Counts) {
    let taken = world.claimable();
    for answer in answers {
        let claimed = taken.binary_search(&answer.step_id).is_ok();
        let context = || format!("seed {seed}: claimed {claimed}: {answer:#?}");
        assert_eq!(answer.blocking().next().is_none(), claimed, "{}", context());
        assert_eq!(answer.claimable, Some(claimed), "{}", context());
        assert_eq!(answer.claimable_since.is_some(), claimed, "{}", context());
        for reason in &answer.reasons {
            *counts.seen.entry(reason.as_str()).or_default() += 1;
            assert!(reason.since().is_some_and(|since| since <= answer.at), "{}", context());
        }
        counts.claimable += usize::from(claimed);
    }
    counts.live += answers.len();
}

/// An answer with a reason that has been removed least often so far.
fn rarest(world: &mut World, answers: &[Explanation], counts: &Counts) -> Option<Explanation> {
    let how_often = |r: &Reason| counts.removed.get(r.as_str()).copied().unwrap_or_default();
    let removable = |a: &&Explanation| a.reasons.iter().any(|r| r.change() != Change::Nothing);
    let rank = |a: &Explanation| {
        a.reasons.iter().filter(|r| r.change() != Change::Nothing).map(how_often).min().unwrap_or_default()
    };
    let least = answers.iter().filter(removable).map(rank).min()?;
    let all: Vec<_> = answers.iter().filter(removable).filter(|a| rank(a) == least).collect();
    Some(all[world.rng.usize(..all.len())].clone())
}

/// Takes every reason of a step away, one at a time and each by what it names, and back again.
fn remove_each(world: &mut World, answer: &Explanation, seed: u64, counts: &mut Counts) {
    for reason in &answer.reasons {
        let after = world.supposing(|w| remove(w, answer, reason));
        let Some(after) = after else { continue };
        let same = |r: &Reason| match (r, reason) {
            (Reason::Paused { what, .. }, Reason::Paused { what: before, .. }) => what == before,
            _ => r.as_str() == reason.as_str(),
        };
        assert!(
            !after.reasons.iter().any(same),
            "seed {seed}: {reason} of {answer:#?} is still in {after:#?}"
        );
        *counts.removed.entry(reason.as_str()).or_default() += 1;
    }
}

/// Does what the reason names and explains anew; `None` where nothing needs to change.
fn remove(world: &mut World, answer: &Explanation, reason: &Reason) -> Option<Explanation> {
    let (task, step, mut moment) = (answer.task_id, answer.step_id, Moment::Clock(world.now));
    match reason.change() {
        Change::Time { at } => moment = Moment::Clock(at),
        Change::Report | Change::Reclaim => {
            let claim = world.token(task, step);
            commands::release(&mut world.conn, &[claim], None, Some(world.now)).unwrap();
        }
        Change::Parents { .. } => {
            let Reason::WaitingForParents { parents, .. } = reason else { unreachable!() };
            parents.iter().for_each(|p| world.finish(task, p.step_id));
        }
        Change::Retry => {
            commands::retry_single(&mut world.conn, &[(task, step)], "ann", None, Some(world.now)).unwrap();
        }
        Change::RetryOrResolve if world.rng.bool() => world.revive(task, step),
        Change::LimitOrResolve if answer.task_state != TaskState::Cancelled && world.rng.bool() => {
            let Reason::Exhausted { attempts, .. } = reason else { unreachable!() };
            let (steps, limit) = ([(task, step)], attempts + 1);
            commands::set_retry_limit(&mut world.conn, &steps, limit, "ann", None, Some(world.now)).unwrap();
        }
        Change::RetryOrResolve | Change::LimitOrResolve => world.finish(task, step),
        Change::LiftHold { dead } => {
            let Reason::Held { dead: steps, .. } = reason else { unreachable!() };
            assert!(!dead.is_empty(), "held for nothing: {answer:#?}");
            steps.iter().for_each(|d| world.revive(task, d.step_id));
        }
        Change::ReopenTask => {
            let dead: Vec<StepId> = dead_steps(world, answer);
            dead.into_iter().for_each(|d| world.revive(task, d));
        }
        Change::Resume { what } => world.resume(&what, task, step),
        Change::StartWorker { namespace, handler } => {
            let (namespaces, handlers) = (Some(vec![namespace]), [handler]);
            let now = Some(world.now);
            commands::register(&mut world.conn, "new", namespaces.as_deref(), &handlers, 1000, now).unwrap();
        }
        Change::Nothing => return None,
        other => panic!("{other:?} is not expected of a step of the present"),
    }
    explain(&mut world.conn, task, step, moment).unwrap()
}

fn dead_steps(world: &mut World, answer: &Explanation) -> Vec<StepId> {
    let all =
        tasker_readiness::explain_task(&mut world.conn, answer.task_id, Moment::Clock(world.now)).unwrap();
    let dead = ["cancelled", "permanent", "exhausted", "not_retryable"];
    all.iter().filter(|e| e.reasons.iter().any(|r| dead.contains(&r.as_str()))).map(|e| e.step_id).collect()
}

fn hold_against_record(past: &[Explanation], mut live: Vec<Explanation>, seed: u64, counts: &mut Counts) {
    let mut live_steps = live.iter_mut().peekable();
    for then in past {
        counts.replayed += 1;
        if live_steps.peek().is_none_or(|l| l.step_id != then.step_id) {
            let only: Vec<_> = then.reasons.iter().map(Reason::as_str).collect();
            assert_eq!((&only[..], then.state, then.claimable), (&["not_created"][..], None, Some(false)));
            *counts.seen.entry("not_created").or_default() += 1;
            continue;
        }
        let recorded = live_steps.next().unwrap_or_else(|| unreachable!());
        if let [Reason::InProgress { lease_until: None, .. }] = &then.reasons[..] {
            let [Reason::InProgress { lease_until, lease_ran_out: false, .. }] = &mut recorded.reasons[..]
            else {
                panic!("seed {seed}: {recorded:#?} is told as {then:#?}")
            };
            *lease_until = None;
            counts.leases_not_kept += 1;
        }
        assert_eq!(then, recorded, "seed {seed}: the past (left) is not what was recorded live (right)");
    }
    assert!(live_steps.next().is_none());
}
