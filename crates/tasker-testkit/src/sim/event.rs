//! What is to come, in the order of its time.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc, time::Duration};

use tasker_engine::{
    commands::Claim,
    report::Report,
    worker::core::{Answer, Exchange},
};

use crate::model::Workflow;

/// A process in one of its lives: what was meant for a former one finds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) process: usize,
    pub(super) life: u32,
}

/// What a process asks of the database.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Exchange(Exchange),
    /// Tasks are submitted by way of the process, which takes a turn along.
    Submit(Workflow, Exchange),
    Renew {
        asked: Duration,
        claims: Vec<Claim>,
    },
    /// A transactional handler: its writes and its completion are one commit.
    Commit(Claim),
    SignOff,
}

/// What comes back.
#[derive(Debug, Clone)]
pub(super) enum Response {
    Exchanged(u64, Answer),
    Refused(u64),
    CalledOff(u64),
    Renewed {
        asked: Duration,
        alive: bool,
        lost: Vec<Claim>,
        others: Vec<Claim>,
    },
    NotRenewed {
        asked: Duration,
    },
    /// The commit of a transactional handler came about, or its claim was gone.
    Committed(Claim),
    NotCommitted(Claim),
}

/// How a handler ends.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    Reports(Report),
    Commits,
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    Register(usize),
    Timer(Who, u64),
    Ends(Who, Claim, Ending),
    Arrives(Who, Arc<Request>),
    Answers(Who, Arc<Response>),
    Notified(Who),
    Dies(usize),
    Freezes(usize, u64),
    Stops(usize),
    CutOff(usize, u64),
    Outage(u64),
    Jump(i64),
    Operates,
    Submits,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    place: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.place).cmp(&(self.at, self.place))
    }
}

/// Events by time, and among equals in the order in which they were planned.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Entry>,
    planned: u64,
}

impl Events {
    pub(super) fn plan(&mut self, at: u64, event: Event) {
        self.planned += 1;
        self.heap.push(Entry { at, place: self.planned, event });
    }

    pub(super) fn next(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|e| (e.at, e.event))
    }
}
