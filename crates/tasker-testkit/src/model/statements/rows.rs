//! Rows as sessions see them under read committed: a statement reads what was committed when it began and what its
//! own transaction wrote; a lock waits for its holder and then shows the row as it is.

use crate::model::Store;

/// A row of the one task that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Row {
    Worker(usize),
    Step(usize),
    Task,
}

/// What a statement does about a row that another session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    Update,
    UpdateSkipLocked,
    /// Passes others of its kind, waits for an update.
    KeyShare,
}

/// How a statement that takes locks gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    /// One row further.
    Further,
    /// It waits for another session.
    Waits,
    /// It has all that it wanted.
    All,
}

/// A statement that takes locks: what it saw when it began, what it still wants, what it got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Statement {
    pub(super) snapshot: Option<Store>,
    wanted: Vec<Row>,
    pub(super) got: Vec<Row>,
}

/// All rows, with those who hold them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Rows {
    pub(super) committed: Store,
    /// With what is not committed yet: only the holder of a row writes it.
    pub(super) latest: Store,
    held: Vec<(Row, usize, bool)>,
}

fn copy(row: Row, from: &Store, to: &mut Store) {
    match row {
        Row::Worker(w) => to.workers[w] = from.workers[w].clone(),
        Row::Step(s) => to.tasks[0].steps[s] = from.tasks[0].steps[s].clone(),
        Row::Task => {
            let (from, to) = (&from.tasks[0], &mut to.tasks[0]);
            (to.state, to.seq, to.live) = (from.state, from.seq, from.live);
        }
    }
}

impl Rows {
    pub(super) fn new(store: Store) -> Self {
        Self { latest: store.clone(), committed: store, held: vec![] }
    }

    fn of(&self, session: usize) -> impl Iterator<Item = Row> {
        self.held.iter().filter(move |h| h.1 == session).map(|h| h.0)
    }

    /// What a statement of this session that begins now reads.
    pub(super) fn snapshot(&self, session: usize) -> Store {
        let mut seen = self.committed.clone();
        self.of(session).for_each(|row| copy(row, &self.latest, &mut seen));
        seen
    }

    /// Takes locks, a row a call, on the rows that `wanted` found at the beginning and that `still` finds under
    /// the lock.
    pub(super) fn lock(
        &mut self,
        session: usize,
        statement: &mut Statement,
        how: Lock,
        wanted: impl Fn(&Store) -> Vec<Row>,
    ) -> Got {
        if statement.snapshot.is_none() {
            let seen = self.snapshot(session);
            statement.wanted = wanted(&seen);
            statement.wanted.reverse();
            statement.got.clear();
            statement.snapshot = Some(seen);
            return Got::Further;
        }
        let Some(row) = statement.wanted.last().copied() else {
            statement.snapshot = None;
            return Got::All;
        };
        let shares = how == Lock::KeyShare;
        if self.held.iter().any(|h| h.0 == row && h.1 != session && !(shares && h.2)) {
            if how == Lock::UpdateSkipLocked {
                statement.wanted.pop();
                return Got::Further;
            }
            return Got::Waits;
        }
        statement.wanted.pop();
        self.held.push((row, session, shares));
        if wanted(&self.latest_for(session, row)).contains(&row) {
            statement.got.push(row);
        }
        Got::Further
    }

    /// The row as it is under its lock.
    fn latest_for(&self, session: usize, row: Row) -> Store {
        let mut seen = self.snapshot(session);
        copy(row, &self.latest, &mut seen);
        seen
    }

    pub(super) fn commit(&mut self, session: usize) {
        let rows: Vec<Row> = self.of(session).collect();
        rows.into_iter().for_each(|row| copy(row, &self.latest, &mut self.committed));
        self.held.retain(|h| h.1 != session);
    }

    pub(super) fn roll_back(&mut self, session: usize) {
        let rows: Vec<Row> = self.of(session).collect();
        rows.into_iter().for_each(|row| copy(row, &self.committed, &mut self.latest));
        self.held.retain(|h| h.1 != session);
    }
}
