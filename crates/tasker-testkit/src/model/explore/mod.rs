//! Every order of commands that a few workers and an operator can give, breadth first, so that the first violation
//! has the shortest story. Start at [`explore`].

mod action;
mod scenario;
mod world;

pub use action::Action;
pub use scenario::{Scenario, scenarios};

use std::{
    collections::{HashSet, VecDeque, hash_map::DefaultHasher},
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
};

use world::World;

use super::Bug;

/// What a walk saw.
#[derive(Debug, Clone, Default)]
pub struct Explored {
    /// Distinct states.
    pub states: usize,
    /// Commands that were tried.
    pub commands: usize,
    /// Whether there are no others: the walk ended by itself.
    pub exhausted: bool,
    /// The shortest way to the first violation.
    pub violation: Option<Violation>,
}

/// How it came to what must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What was walked.
    pub scenario: &'static str,
    /// The commands that lead there.
    pub story: Vec<String>,
    /// What is wrong then.
    pub wrong: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.scenario)?;
        for (n, line) in (1..).zip(&self.story) {
            writeln!(f, "{n:>3}. {line}")?;
        }
        write!(f, "then: {}", self.wrong)
    }
}

/// A hash that is a key already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// States that were seen, as 64 bits each: among a million, two that share a hash come about once in forty million
/// walks.
type Seen = HashSet<u64, BuildHasherDefault<AsItIs>>;

fn key(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// How a state was reached: from which one, by what.
type Way = (u32, Action);

struct Walk<'a> {
    scenario: &'a Scenario,
    seen: Seen,
    /// States whose tasks all come to their end, without what makes no difference to that.
    ends: Seen,
    ways: Vec<Option<Way>>,
    front: VecDeque<(World, u32)>,
    commands: usize,
}

/// Walks a scenario until there is nothing new, something is wrong, or so many states were seen.
pub fn explore(scenario: &Scenario, bug: Option<Bug>, limit: usize) -> Explored {
    let mut walk = Walk {
        scenario,
        seen: Seen::default(),
        ends: Seen::default(),
        ways: vec![],
        front: VecDeque::new(),
        commands: 0,
    };
    let violation = walk.run(World::new(scenario, bug), limit).err();
    let (states, exhausted) = (walk.ways.len(), walk.front.is_empty());
    Explored { states, commands: walk.commands, exhausted, violation }
}

/// The shortest story in which a seeded fault shows, over all scenarios; `None` if it does not.
pub fn caught(bug: Bug) -> Option<Violation> {
    let all = scenarios();
    [1_000, 10_000, 50_000].iter().find_map(|limit| {
        let found = all.iter().filter_map(|s| explore(s, Some(bug), *limit).violation);
        found.min_by_key(|v| v.story.len())
    })
}

impl Walk<'_> {
    fn run(&mut self, start: World, limit: usize) -> Result<(), Violation> {
        self.meet(start, None)?;
        while let Some((world, place)) = self.front.pop_front() {
            for action in world.actions(self.scenario) {
                self.commands += 1;
                let mut next = world.clone();
                match next.perform(action) {
                    Ok(()) => self.meet(next, Some((place, action)))?,
                    Err(wrong) => return Err(self.violation(Some((place, action)), wrong)),
                }
            }
            if self.ways.len() >= limit {
                break;
            }
        }
        Ok(())
    }

    /// Takes in a state that is new, and judges it.
    fn meet(&mut self, world: World, way: Option<Way>) -> Result<(), Violation> {
        if !self.seen.insert(key(&world)) {
            return Ok(());
        }
        if self.ends.insert(key(&world.bones())) {
            world.comes_to_an_end().map_err(|wrong| self.violation(way, wrong))?;
        }
        self.front.push_back((world, self.ways.len() as u32));
        self.ways.push(way);
        Ok(())
    }

    fn violation(&self, last: Option<Way>, wrong: String) -> Violation {
        let mut actions = vec![];
        let mut way = last;
        while let Some((place, action)) = way {
            actions.push(action);
            way = self.ways[place as usize];
        }
        let story = actions.iter().rev().map(ToString::to_string).collect();
        Violation { scenario: self.scenario.name, story, wrong }
    }
}
