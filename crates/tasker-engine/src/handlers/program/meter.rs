//! What one job of programs may spend, and the check that every loop of a program passes through.

use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jaq_json::Val;

/// Steps of loops and calls in one job.
pub(crate) const MAX_STEPS: u64 = 1_000_000;
/// The time of one job.
pub(crate) const MAX_TIME: Duration = Duration::from_secs(10);
/// Bytes of one string, and elements of one array or object, that a loop may carry.
pub(crate) const MAX_LENGTH: usize = 16 * 1024 * 1024;
/// How deep a value may be nested. Dropping a value recurses, and so does writing it.
const MAX_DEPTH: usize = 1_000;
/// Stack that recursion in a program may use, well below that of the thread.
const MAX_STACK: usize = super::evaluator::STACK / 4;
/// How many steps lie between two looks at the clock and into the value.
const INTERVAL: u64 = 256;
/// How many parts of a value such a look visits at most.
const MAX_VISITS: usize = 4_096;

/// Which bound a program ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Steps,
    Time,
    Length,
    Depth,
    Stack,
    Cancelled,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => write!(f, "it took more than {MAX_STEPS} steps"),
            Self::Time => write!(f, "it ran for more than {} s", MAX_TIME.as_secs()),
            Self::Length => write!(f, "a value grew over {MAX_LENGTH} bytes or elements"),
            Self::Depth => write!(f, "a value was nested more than {MAX_DEPTH} deep"),
            Self::Stack => f.write_str("it recursed too deep"),
            Self::Cancelled => f.write_str("it was cancelled"),
        }
    }
}

/// The budget of one job, on the job's thread.
pub(crate) struct Meter {
    /// The instant of the claim in seconds, which is what `now` gives.
    pub(crate) now: f64,
    started: Instant,
    steps: Cell<u64>,
    stack: usize,
    stopped: Arc<AtomicBool>,
    limit: Cell<Option<Limit>>,
}

impl Meter {
    /// A full budget. To be called near the bottom of the thread's stack; `stopped` ends the job.
    pub(crate) fn new(now: f64, stopped: Arc<AtomicBool>) -> Self {
        Self {
            now,
            started: Instant::now(),
            steps: Cell::new(0),
            stack: stack_position(),
            stopped,
            limit: Cell::new(None),
        }
    }

    /// The bound that was hit, if one was.
    pub(crate) fn limit(&self) -> Option<Limit> {
        self.limit.get()
    }

    /// Counts one step that carries `value`; false when the program must end.
    pub(crate) fn step(&self, value: &Val) -> bool {
        self.steps.set(self.steps.get() + 1);
        if self.limit.get().is_none() {
            self.limit.set(self.exceeded(value));
        }
        self.limit.get().is_none()
    }

    /// Ends the program for a value that would be too long; true when it is not.
    pub(crate) fn allows_length(&self, length: usize) -> bool {
        if length > MAX_LENGTH {
            self.limit.set(Some(Limit::Length));
        }
        length <= MAX_LENGTH
    }

    fn exceeded(&self, value: &Val) -> Option<Limit> {
        if self.steps.get() > MAX_STEPS {
            return Some(Limit::Steps);
        }
        if self.stack.abs_diff(stack_position()) > MAX_STACK {
            return Some(Limit::Stack);
        }
        if length(value) > MAX_LENGTH {
            return Some(Limit::Length);
        }
        if self.steps.get().is_multiple_of(INTERVAL) { self.look(value) } else { None }
    }

    fn look(&self, value: &Val) -> Option<Limit> {
        if self.stopped.load(Ordering::Relaxed) {
            return Some(Limit::Cancelled);
        }
        if self.started.elapsed() > MAX_TIME {
            return Some(Limit::Time);
        }
        too_deep(value).then_some(Limit::Depth)
    }
}

/// Where the stack stands, good enough to tell how much of it recursion has used.
fn stack_position() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here).addr()
}

fn length(value: &Val) -> usize {
    match value {
        Val::TStr(s) | Val::BStr(s) => s.len(),
        Val::Arr(a) => a.len(),
        Val::Obj(o) => o.len(),
        Val::Null | Val::Bool(_) | Val::Num(_) => 0,
    }
}

/// Whether the value is nested too deep, as far as a bounded look can tell. The look goes down before
/// it goes aside, since it is depth that is sought.
fn too_deep(value: &Val) -> bool {
    let mut open = vec![(value, 0)];
    for _ in 0..MAX_VISITS {
        let Some((value, depth)) = open.pop() else { return false };
        if depth > MAX_DEPTH {
            return true;
        }
        match value {
            Val::Arr(a) => open.extend(a.iter().take(MAX_VISITS).map(|v| (v, depth + 1))),
            Val::Obj(o) => open.extend(o.values().take(MAX_VISITS).map(|v| (v, depth + 1))),
            Val::Null | Val::Bool(_) | Val::Num(_) | Val::TStr(_) | Val::BStr(_) => {}
        }
    }
    false
}
