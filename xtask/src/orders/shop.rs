//! What the service remembers: the events it took, the faults it dealt and its counts. It knows no HTTP.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;

use super::{
    catalogue::{Cart, Catalogue},
    faults::{Encounters, Fault, Faults, Identity},
};

/// What has happened so far. Looking at health or stats is not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Stats {
    pub(crate) requests: u64,
    /// Requests that met a fault, by its kind.
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// Events stored: one for each key.
    pub(crate) events: u64,
    /// Events that came again under a key that was there already.
    pub(crate) repeated_events: u64,
    pub(crate) carts_served: u64,
}

/// How an event was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Stored,
    Repeated,
}

pub(super) struct Shop {
    catalogue: Arc<Catalogue>,
    book: Mutex<Book>,
}

struct Book {
    stats: Stats,
    encounters: Encounters,
    events: BTreeMap<String, Value>,
}

impl Shop {
    pub(super) fn new(catalogue: Arc<Catalogue>, faults: Faults) -> Self {
        let book =
            Book { stats: Stats::default(), encounters: Encounters::new(faults), events: BTreeMap::new() };
        Self { catalogue, book: Mutex::new(book) }
    }

    /// Counts a request and tells the fault it meets.
    pub(super) fn meet(&self, identity: Identity) -> Option<(Fault, Duration)> {
        let mut book = self.book();
        book.stats.requests += 1;
        let met = book.encounters.meet(identity);
        if let Some((fault, _)) = met {
            *book.stats.faults.entry(fault).or_default() += 1;
        }
        met
    }

    pub(super) fn serve_cart(&self, id: u64) -> Option<&Cart> {
        let cart = self.catalogue.cart(id)?;
        self.book().stats.carts_served += 1;
        Some(cart)
    }

    pub(super) fn products(&self) -> Vec<&Value> {
        self.catalogue.products.iter().map(|product| &product.json).collect()
    }

    /// Stores an event once for its key; the first body stays.
    pub(super) fn take_event(&self, key: &str, event: Value) -> Taken {
        let mut book = self.book();
        if book.events.contains_key(key) {
            book.stats.repeated_events += 1;
            return Taken::Repeated;
        }
        book.events.insert(key.to_owned(), event);
        book.stats.events += 1;
        Taken::Stored
    }

    /// The events that were stored, in the order of their keys.
    #[cfg(test)]
    pub(super) fn events(&self) -> Vec<Value> {
        self.book().events.values().cloned().collect()
    }

    pub(super) fn stats(&self) -> Stats {
        self.book().stats.clone()
    }

    /// Every change is complete before the lock is given back, so a panic elsewhere leaves nothing half done.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_stored_once_for_its_key() {
        let shop = Shop::new(Arc::new(Catalogue::generate(1, 1)), Faults::off());
        assert_eq!(shop.take_event("a", json!(1)), Taken::Stored);
        assert_eq!(shop.take_event("a", json!(2)), Taken::Repeated);
        assert_eq!(shop.take_event("b", json!(3)), Taken::Stored);
        assert_eq!(shop.events(), [json!(1), json!(3)]);
        assert_eq!(shop.stats(), Stats { events: 2, repeated_events: 1, ..Stats::default() });
    }
}
