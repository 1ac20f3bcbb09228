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

const BATCH: &str = "steps of a batch do not wait for each other; the `timeout` of a step ends it";
const COLLECTED: &str = "nothing is collected: memory is freed where it goes out of use";
const EXPORT: &str = "metrics are neither kept nor exported by this version";
const IDENTITY: &str = "an authenticator answers with an identity; no method is called by its name";
const LOGS: &str = "logs are always structured; write `telemetry.log_format`";
const PRESSURE: &str =
    "the pool admits no more than its connections, and work waits there; nothing assesses it";
const REENQUEUE: &str =
    "nothing is put back into a queue; a step has the instant from which it may be claimed";
const SAMPLED: &str = "events are told one by one to whoever listens, without samples or filters";

/// In the order of the sections.
pub(crate) const GONE: &[Gone] = &[
    gone("auth.strategy", "the authenticator that `auth.authenticator` names is the strategy"),
    gone("auth.authenticator_class", "write `auth.authenticator`, the name of a registered constructor"),
    gone(
        "auth.authorization_coordinator_class",
        "write `auth.authorization_coordinator`, the name of a registered constructor",
    ),
    gone("auth.current_user_method", IDENTITY),
    gone("auth.authenticate_user_method", IDENTITY),
    gone("auth.user_class", "a program hands its users over as values, by the trait `HostUser`"),
    gone("backoff.reenqueue_delays", REENQUEUE),
    gone("backoff.default_reenqueue_delay", REENQUEUE),
    gone("backoff.buffer_seconds", REENQUEUE),
    gone("cache", "answers come from stored counters; nothing is cached that a time to live would bound"),
    gone("dependency_graph", "no analysis of graphs weighs anything by it"),
    gone("engine.default_module_namespace", "write `--namespace` where a handler is generated"),
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
    gone("execution.batch_timeout_base_seconds", BATCH),
    gone("execution.batch_timeout_per_step_seconds", BATCH),
    gone("execution.max_batch_timeout_seconds", BATCH),
    gone("execution.connection_pressure_factors", PRESSURE),
    gone("execution.health_assessment_cache_duration", PRESSURE),
    gone("execution.connection_health_log_level", PRESSURE),
    gone("execution.future_cleanup_wait_seconds", COLLECTED),
    gone("execution.gc_trigger_batch_size_threshold", COLLECTED),
    gone("execution.gc_trigger_duration_threshold", COLLECTED),
    gone(
        "health.status_endpoint_requires_auth",
        "write `auth.open`, the resources that are open to everybody",
    ),
    gone(
        "health.status_requires_authentication",
        "write `auth.open`, the resources that are open to everybody",
    ),
    gone(
        "health.ready_requires_authentication",
        "whether a program is ready is always told without asking who asks",
    ),
    gone("health.cache_duration_seconds", "nothing keeps the answer of a check for the next one who asks"),
    gone("telemetry.enabled", "what a program logs and whom it tells of events is its own choice"),
    gone("telemetry.service_name", EXPORT),
    gone("telemetry.service_version", EXPORT),
    gone("telemetry.structured_logging_enabled", LOGS),
    gone("telemetry.correlation_id_header", "a request has its correlation id in `X-Correlation-ID`"),
    gone("telemetry.metrics_enabled", EXPORT),
    gone("telemetry.metrics_endpoint", EXPORT),
    gone("telemetry.metrics_format", EXPORT),
    gone("telemetry.metrics_auth_required", "write `auth.open`, the resources that are open to everybody"),
    gone("telemetry.metrics_retention_hours", EXPORT),
    gone("telemetry.performance_monitoring_enabled", EXPORT),
    gone("telemetry.memory_threshold_mb", EXPORT),
    gone(
        "telemetry.slow_query_threshold_seconds",
        "the database logs slow statements itself: log_min_duration_statement",
    ),
    gone("telemetry.event_sampling_rate", SAMPLED),
    gone("telemetry.filtered_events", SAMPLED),
    gone("telemetry.max_stored_samples", SAMPLED),
    gone("telemetry.prometheus", EXPORT),
    gone("telemetry.config", SAMPLED),
];

/// The entry that a path falls under.
pub(crate) fn find(path: &[String]) -> Option<&'static Gone> {
    GONE.iter().find(|gone| {
        let mut path = path.iter();
        gone.key.split('.').all(|part| path.next().is_some_and(|own| own == part))
    })
}
