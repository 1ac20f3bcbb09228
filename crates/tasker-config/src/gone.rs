//! Options of the Rails original that nothing reads here, and why.

/// An option or section that is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone {
    /// The key of the option, or of the section with everything in it.
    pub(crate) key: &'static str,
    /// Why, and what to write instead.
    pub(crate) why: &'static str,
}

const fn gone(key: &'static str, why: &'static str) -> Gone {
    Gone { key, why }
}

/// In the order of the sections.
pub(crate) const GONE: &[Gone] = &[
    gone("auth.strategy", "the authenticator that `auth.authenticator` names is the strategy"),
    gone("auth.authenticator_class", "write `auth.authenticator`, the name of a registered constructor"),
    gone(
        "auth.authorization_coordinator_class",
        "write `auth.authorization_coordinator`, the name of a registered constructor",
    ),
    gone(
        "auth.current_user_method",
        "an authenticator answers with an identity; no method is called by its name",
    ),
    gone(
        "auth.authenticate_user_method",
        "an authenticator answers with an identity; no method is called by its name",
    ),
    gone("auth.user_class", "a program hands its users over as values, by the trait `HostUser`"),
    gone(
        "engine.identity_strategy_class",
        "write `engine.identity_function`, the name of a registered function",
    ),
    gone("engine.custom_events_directories", "events have types; none are declared in files"),
    gone(
        "execution.min_concurrent_steps",
        "a worker fills the slots that are free; there is no lower bound to keep",
    ),
    gone(
        "execution.concurrency_cache_duration",
        "the number of slots is fixed and nothing about it is cached",
    ),
    gone(
        "execution.batch_timeout_base_seconds",
        "steps of a batch do not wait for each other; the `timeout` of a step ends it",
    ),
    gone(
        "execution.batch_timeout_per_step_seconds",
        "steps of a batch do not wait for each other; the `timeout` of a step ends it",
    ),
    gone(
        "execution.max_batch_timeout_seconds",
        "steps of a batch do not wait for each other; the `timeout` of a step ends it",
    ),
    gone(
        "execution.connection_pressure_factors",
        "the pool admits no more than its connections; pressure waits there",
    ),
    gone(
        "execution.health_assessment_cache_duration",
        "the pool admits no more than its connections; nothing assesses it",
    ),
    gone(
        "execution.connection_health_log_level",
        "the pool admits no more than its connections; nothing assesses it",
    ),
    gone(
        "execution.future_cleanup_wait_seconds",
        "nothing is collected: memory is freed where it goes out of use",
    ),
    gone(
        "execution.gc_trigger_batch_size_threshold",
        "nothing is collected: memory is freed where it goes out of use",
    ),
    gone(
        "execution.gc_trigger_duration_threshold",
        "nothing is collected: memory is freed where it goes out of use",
    ),
    gone("cache", "answers come from stored counters, so nothing is cached that a time to live would bound"),
    gone("dependency_graph", "no analysis of graphs weighs anything by it"),
];

/// The entry that a path falls under.
pub(crate) fn find(path: &[String]) -> Option<&'static Gone> {
    GONE.iter().find(|gone| {
        let mut path = path.iter();
        gone.key.split('.').all(|part| path.next().is_some_and(|own| own == part))
    })
}
