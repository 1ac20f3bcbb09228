//! The commands once more, as PostgreSQL lets them interleave: each is several statements that read what was
//! committed when they began, wait for row locks, and are seen by others only after the commit. Every interleaving
//! of a few sessions on one task is walked; after each commit the rows must be sound.

mod programs;
mod rows;

pub use programs::Program;

use std::collections::{HashSet, VecDeque};

use programs::Session;
use rows::Rows;

use super::{Plan, Store, Workflow};

/// A seeded fault: a statement that relies on what it read before it held the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// A child's counter is read before its lock and written back less 1.
    StaleDecrement,
    /// A task's counter is read before its lock.
    StaleLive,
    /// The steps are read in the statement that waits for the task's lock.
    SettlesInOneStatement,
    /// A report is judged by what its statement saw when it began.
    ReportNotRechecked,
    /// A claim does not lock its worker.
    ClaimWithoutItsWorker,
    /// A worker that signs off reads its steps in the statement that waits for its lock.
    EndsInOneStatement,
    /// A cancellation takes only what was waiting or running when it began.
    CancelLooksOnce,
}

impl Slip {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::StaleDecrement,
        Self::StaleLive,
        Self::SettlesInOneStatement,
        Self::ReportNotRechecked,
        Self::ClaimWithoutItsWorker,
        Self::EndsInOneStatement,
        Self::CancelLooksOnce,
    ];
}

/// Sessions that meet on one task.
#[derive(Debug, Clone)]
pub struct Meeting {
    /// What it is called.
    pub name: &'static str,
    /// The rows before.
    pub store: Store,
    /// What each session runs.
    pub programs: Vec<Program>,
}

/// A task of steps with these parents, of which two incarnations, 0 and 1, have claimed so many.
fn begun(parents: &[&[usize]], claimed: usize) -> Store {
    let steps = parents.iter().map(|p| Plan { retry_limit: 2, ..Plan::below(p) }).collect();
    let mut store = Store::default();
    store.submit(&Workflow::new(steps, false), &[], 0);
    for _ in 0..2 {
        store.register(&[0], 1, 0);
    }
    for n in 0..claimed {
        store.claim(n % 2, 1, 0);
    }
    store.log.clear();
    store
}

/// All that is walked.
pub fn meetings() -> Vec<Meeting> {
    use Program::{Cancel, Claim, Complete, EndWorker, Expire, Fail};
    let of = |name, store, programs: &[Program]| Meeting { name, store, programs: programs.to_vec() };
    let join: &[&[usize]] = &[&[], &[], &[0, 1]];
    let wide: &[&[usize]] = &[&[], &[], &[], &[0, 1, 2]];
    let free: &[&[usize]] = &[&[], &[]];
    let chain: &[&[usize]] = &[&[], &[0]];
    vec![
        of("two parents end at once", begun(join, 2), &[Complete(0, 1), Complete(1, 1)]),
        of("three parents end at once", begun(wide, 3), &[Complete(0, 1), Complete(1, 1), Complete(2, 1)]),
        of("the last two steps end at once", begun(free, 2), &[Complete(0, 1), Complete(1, 1)]),
        of("one ends well, one badly", begun(free, 2), &[Complete(0, 1), Fail(1, 1), Complete(1, 1)]),
        of("a report comes twice", begun(chain, 1), &[Complete(0, 1), Complete(0, 1), Claim(1)]),
        of("a report meets recovery", begun(chain, 1), &[Complete(0, 1), Expire(0), Claim(1)]),
        of("a claim meets recovery", begun(free, 0), &[Claim(0), Expire(0), Claim(1)]),
        of("a claim meets its worker's end", begun(free, 0), &[Claim(0), EndWorker(0), Claim(1)]),
        of("a cancellation meets a claim", begun(free, 1), &[Cancel, Claim(1), Complete(0, 1)]),
        of("a cancellation meets recovery", begun(free, 2), &[Cancel, Expire(0), Complete(1, 1)]),
        of("a cancellation meets a release", begun(chain, 1), &[Cancel, Complete(0, 1), Claim(1)]),
    ]
}

/// What a walk saw.
#[derive(Debug, Clone, Default)]
pub struct Met {
    /// Distinct states.
    pub states: usize,
    /// Distinct ends.
    pub ends: usize,
    /// Deadlocks that PostgreSQL would have ended.
    pub deadlocks: usize,
    /// The first violation, with the sessions in the order in which they moved.
    pub violation: Option<String>,
}

/// Walks every interleaving.
pub fn meet(meeting: &Meeting, slip: Option<Slip>) -> Met {
    let sessions: Vec<Session> = meeting.programs.iter().map(|p| Session::new(*p)).collect();
    let (mut met, mut seen) = (Met::default(), HashSet::new());
    let mut left = VecDeque::from([(Rows::new(meeting.store.clone()), sessions, vec![])]);
    while let Some((rows, sessions, story)) = left.pop_front() {
        if !seen.insert((rows.clone(), sessions.clone())) {
            continue;
        }
        if sessions.iter().all(|s| s.stage.is_none()) {
            met.ends += 1;
            continue;
        }
        let before = left.len();
        for n in 0..sessions.len() {
            let (mut rows, mut sessions, mut story) = (rows.clone(), sessions.clone(), story.clone());
            let stage = sessions[n].stage;
            sessions[n].advance(n, &mut rows, slip);
            if stage.is_none() || sessions[n].waits {
                continue;
            }
            story.push(n);
            if sessions[n].stage.is_none()
                && let Err(wrong) = rows.committed.check()
            {
                met.violation = Some(tell(meeting, &story, &wrong));
                met.states = seen.len();
                return met;
            }
            left.push_back((rows, sessions, story));
        }
        if left.len() == before {
            met.deadlocks += 1;
            end_deadlock(&rows, &sessions, &story, &mut left);
        }
    }
    met.states = seen.len();
    met
}

type State = (Rows, Vec<Session>, Vec<usize>);

/// Whichever of the sessions PostgreSQL ends, it begins again.
fn end_deadlock(rows: &Rows, sessions: &[Session], story: &[usize], left: &mut VecDeque<State>) {
    for n in (0..sessions.len()).filter(|n| sessions[*n].stage.is_some()) {
        let (mut rows, mut sessions) = (rows.clone(), sessions.to_vec());
        sessions[n].roll_back(n, &mut rows);
        left.push_back((rows, sessions, story.to_vec()));
    }
}

/// The sessions in the order in which they moved, each with how far.
fn tell(meeting: &Meeting, story: &[usize], wrong: &str) -> String {
    let turns = story.chunk_by(|a, b| a == b);
    let turn = |moves: &[usize]| format!("  {:?}, {} moves", meeting.programs[moves[0]], moves.len());
    let turns: Vec<String> = turns.map(turn).collect();
    format!("{}:\n{}\nthen: {wrong}", meeting.name, turns.join("\n"))
}
