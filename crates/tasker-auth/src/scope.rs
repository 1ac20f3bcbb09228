//! What a permission is asked for: one thing with its namespace and owner, a listing, or the whole system.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Namespaces that something is bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Option<BTreeSet<String>>", from = "Option<BTreeSet<String>>")]
pub enum Namespaces {
    /// No bound.
    #[default]
    All,
    /// Only these, by their exact names.
    Only(BTreeSet<String>),
}

impl Namespaces {
    /// Only these.
    pub fn only<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Only(names.into_iter().map(Into::into).collect())
    }

    /// Whether the namespace is within the bound.
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }

    /// What is within either bound.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a.into_iter().chain(b).collect()),
            _ => Self::All,
        }
    }

    /// What is within both bounds.
    #[must_use]
    pub fn intersection(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a.intersection(b).cloned().collect()),
            (Self::All, bound) => bound.clone(),
            (bound, Self::All) => bound,
        }
    }
}

impl From<Option<BTreeSet<String>>> for Namespaces {
    fn from(names: Option<BTreeSet<String>>) -> Self {
        names.map_or(Self::All, Self::Only)
    }
}

impl From<Namespaces> for Option<BTreeSet<String>> {
    fn from(namespaces: Namespaces) -> Self {
        match namespaces {
            Namespaces::All => None,
            Namespaces::Only(names) => Some(names),
        }
    }
}

/// What a permission is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The whole system. Whoever is bound to namespaces or to what is their own is denied.
    System,
    /// A listing whose rows the caller filters by the [`Filter`] of the answer.
    Listing,
    /// One thing.
    Thing(Thing),
}

/// One thing that a permission is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thing {
    /// Its namespace.
    pub namespace: String,
    /// The task that it is or belongs to.
    pub task_id: Option<i64>,
    /// The subject that it belongs to: for a task, who submitted it.
    pub owner: Option<String>,
}

impl Scope {
    /// Something in a namespace.
    pub fn namespace(name: impl Into<String>) -> Self {
        Self::Thing(Thing { namespace: name.into(), task_id: None, owner: None })
    }

    /// A task or something of it.
    pub fn task(namespace: impl Into<String>, task_id: i64, owner: Option<String>) -> Self {
        Self::Thing(Thing { namespace: namespace.into(), task_id: Some(task_id), owner })
    }

    /// The namespace, where the scope is one thing.
    pub fn thing(&self) -> Option<&Thing> {
        match self {
            Self::Thing(thing) => Some(thing),
            _ => None,
        }
    }
}

/// What of a listing an identity may see.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Only in these namespaces.
    pub namespaces: Namespaces,
    /// Only what belongs to this subject.
    pub owner: Option<String>,
}

impl Filter {
    /// Everything.
    pub const ALL: Self = Self { namespaces: Namespaces::All, owner: None };

    /// Only in these namespaces, only what belongs to the owner.
    pub const fn new(namespaces: Namespaces, owner: Option<String>) -> Self {
        Self { namespaces, owner }
    }

    /// Whether the thing passes.
    pub fn passes(&self, thing: &Thing) -> bool {
        self.namespaces.contains(&thing.namespace)
            && self.owner.as_ref().is_none_or(|o| thing.owner.as_ref() == Some(o))
    }
}
