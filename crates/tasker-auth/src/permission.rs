//! What may be permitted: resources, actions, and the pairs of both that exist. The only list of them; a pair
//! that is not in it cannot be written in Rust and is refused, with a sentence, in a configuration.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! actions {
    ($($variant:ident = $word:literal,)*) => {
        /// What is done to a resource.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Action { $(#[doc = concat!("`", $word, "`")] $variant,)* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// To list, show, create, update and destroy.
            pub const CRUD: &'static [Self] =
                &[Self::Index, Self::Show, Self::Create, Self::Update, Self::Destroy];

            /// The word in a permission.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

actions! {
    Index = "index", Show = "show", Create = "create", Update = "update", Destroy = "destroy",
    Retry = "retry", Cancel = "cancel", Resolve = "resolve", Reset = "reset", Pause = "pause",
}

impl Action {
    /// Whether it changes something; the others read.
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Index | Self::Show)
    }
}

macro_rules! permissions {
    ($($resource:ident = $name:literal, $about:literal { $($variant:ident = $action:ident $word:literal, $what:literal;)* })*) => {
        /// What something is done to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Resource { $(#[doc = $about] $resource,)* }

        impl Resource {
            /// Every resource.
            pub const ALL: &'static [Self] = &[$(Self::$resource,)*];

            /// Its name, such as `tasker.task`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$resource => $name,)* }
            }

            /// What it is, for people.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$resource => $about,)* }
            }

            /// Its permissions, one for each action that it knows.
            pub const fn permissions(self) -> &'static [Permission] {
                match self { $(Self::$resource => &[$(Permission::$variant,)*],)* }
            }
        }

        /// An action on a resource; written `resource:action`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Permission { $($(#[doc = concat!("`", $name, ":", $word, "`: ", $what)] $variant,)*)* }

        impl Permission {
            /// Every permission, by resource.
            pub const ALL: &'static [Self] = &[$($(Self::$variant,)*)*];

            /// `resource:action`.
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$variant => concat!($name, ":", $word),)*)* }
            }

            /// The resource.
            pub const fn resource(self) -> Resource {
                match self { $($(Self::$variant => Resource::$resource,)*)* }
            }

            /// The action.
            pub const fn action(self) -> Action {
                match self { $($(Self::$variant => Action::$action,)*)* }
            }

            /// What it permits, for people.
            pub const fn description(self) -> &'static str {
                match self { $($(Self::$variant => $what,)*)* }
            }
        }
    };
}

permissions! {
    Task = "tasker.task", "Tasker workflow tasks" {
        TaskIndex = Index "index", "List tasks.";
        TaskShow = Show "show", "See a task, its diagram and why it waits.";
        TaskCreate = Create "create", "Submit a task.";
        TaskUpdate = Update "update", "Change a task's reason, tags or priority.";
        TaskDestroy = Destroy "destroy", "Cancel a task by DELETE; prune finished tasks.";
        TaskRetry = Retry "retry", "Retry a task.";
        TaskCancel = Cancel "cancel", "Cancel a task.";
        TaskResolve = Resolve "resolve", "Resolve a task by hand.";
        TaskReset = Reset "reset", "Reset a task to run again.";
        TaskPause = Pause "pause", "Pause and resume a task.";
    }
    WorkflowStep = "tasker.workflow_step", "Individual workflow steps" {
        StepIndex = Index "index", "List the steps of a task.";
        StepShow = Show "show", "See a step.";
        StepUpdate = Update "update", "Change a step's retry limit or inputs.";
        StepDestroy = Destroy "destroy", "Cancel a step by DELETE.";
        StepRetry = Retry "retry", "Retry a step.";
        StepCancel = Cancel "cancel", "Cancel a step.";
        StepResolve = Resolve "resolve", "Resolve or skip a step by hand.";
        StepReset = Reset "reset", "Reset a step to run again.";
    }
    HealthStatus = "tasker.health_status", "Health status endpoint information" {
        HealthStatusIndex = Index "index", "See the detailed health.";
    }
    Handler = "tasker.handler", "Handler discovery and metadata" {
        HandlerIndex = Index "index", "List namespaces and handlers.";
        HandlerShow = Show "show", "See a handler and its graph.";
    }
    Metrics = "tasker.metrics", "Prometheus metrics endpoint" {
        MetricsIndex = Index "index", "Read the metrics.";
    }
    Analytics = "tasker.analytics", "Analytics and performance monitoring endpoints" {
        AnalyticsIndex = Index "index", "Read the analytics.";
    }
    Queue = "tasker.queue", "Namespaces and handlers as workers claim from them" {
        QueueIndex = Index "index", "List queues.";
        QueuePause = Pause "pause", "Pause and resume a namespace or a queue.";
    }
    Worker = "tasker.worker", "Worker processes" {
        WorkerIndex = Index "index", "List workers.";
    }
    ApiToken = "tasker.api_token", "API tokens" {
        ApiTokenIndex = Index "index", "List API tokens, without their secrets.";
        ApiTokenCreate = Create "create", "Issue an API token.";
        ApiTokenDestroy = Destroy "destroy", "Revoke an API token.";
    }
    Audit = "tasker.audit", "Who did or was refused what" {
        AuditIndex = Index "index", "Read the audit.";
    }
}

impl Resource {
    /// The permission for an action, where the resource knows the action.
    pub fn permission(self, action: Action) -> Option<Permission> {
        self.permissions().iter().copied().find(|p| p.action() == action)
    }
}

/// A text that names no resource, action or permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}; known are {known}")]
pub struct UnknownName {
    what: &'static str,
    text: String,
    known: String,
}

impl UnknownName {
    fn new(what: &'static str, text: &str, known: impl Iterator<Item = &'static str>) -> Self {
        // Whatever was sent comes back in a message, so not more than a line of it.
        let text = text.chars().take(80).filter(|c| !c.is_control()).collect();
        Self { what, text, known: known.collect::<Vec<_>>().join(", ") }
    }
}

macro_rules! text_both_ways {
    ($type:ident, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                found.ok_or_else(|| UnknownName::new($what, text, Self::ALL.iter().map(|one| one.as_str())))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_both_ways!(Action, "action");
text_both_ways!(Resource, "resource");
text_both_ways!(Permission, "permission");

/// A set of permissions. As text it is a list of permissions, `resource:*` and `*`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct PermissionSet(u64);

const _: () = assert!(Permission::ALL.len() <= 64, "a set is one word");

impl PermissionSet {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Everything there is.
    pub fn all() -> Self {
        Permission::ALL.iter().copied().collect()
    }

    /// Whether the permission is in it.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u64) != 0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it holds nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in it, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |p| self.contains(*p))
    }

    /// Reads one entry of a list: a permission, `resource:*` or `*`.
    pub fn parse(text: &str) -> Result<Self, UnknownName> {
        if text == "*" {
            return Ok(Self::all());
        }
        if let Some(resource) = text.strip_suffix(":*") {
            return Ok(resource.parse::<Resource>()?.permissions().iter().copied().collect());
        }
        Ok(Self::from_iter([text.parse::<Permission>()?]))
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |set, p| set | (1 << p as u64)))
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}

impl Serialize for PermissionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for PermissionSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<String>::deserialize(deserializer)?;
        let mut set = Self::NONE;
        for entry in entries {
            set = set.union(Self::parse(&entry).map_err(serde::de::Error::custom)?);
        }
        Ok(set)
    }
}
