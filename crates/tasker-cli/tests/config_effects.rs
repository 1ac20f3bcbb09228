//! Every option of the configuration is read: each is changed here, and what it changes is seen. A test that names no
//! option, or an option that no test names, fails.

mod effects;
mod support;

use std::collections::BTreeSet;

/// Tests of options, and the list of the options that they are of.
macro_rules! effects {
    ($($key:literal $name:ident $body:block)*) => {
        const TESTED: &[&str] = &[$($key),*];
        $(#[test] fn $name() $body)*
    };
}

#[test]
fn every_option_has_its_effect_here() {
    let there: BTreeSet<&str> = tasker_config::options().iter().map(|o| o.key).collect();
    let tested: BTreeSet<&str> = TESTED.iter().copied().collect();
    assert_eq!(TESTED.len(), tested.len(), "an option stands here twice");
    assert_eq!(
        tested.difference(&there).collect::<Vec<_>>(),
        [""; 0].iter().collect::<Vec<_>>(),
        "no such option"
    );
    assert_eq!(
        there.difference(&tested).collect::<Vec<_>>(),
        [""; 0].iter().collect::<Vec<_>>(),
        "nothing reads it"
    );
}

use effects::{auth, databases, engine, logs, workers};

effects! {
    "auth.authentication_enabled" authentication_is_switched { auth::authentication() }
    "auth.authenticator" an_authenticator_is_named { auth::authenticator() }
    "auth.authenticator_options" options_reach_the_authenticator { auth::authenticator_options() }
    "auth.authorization_enabled" authorization_is_switched { auth::authorization() }
    "auth.authorization_coordinator" a_coordinator_is_named { auth::coordinator() }
    "auth.authorization_coordinator_options" options_reach_the_coordinator { auth::coordinator_options() }
    "auth.open" a_resource_is_open { auth::open() }
    "auth.audit.record" what_the_audit_records { auth::record() }
    "auth.audit.refusals_per_minute" how_much_the_audit_records { auth::refusals() }
    "backoff.default_backoff_seconds" the_table_of_waits { engine::backoff("default_backoff_seconds = [7]", "/waits_ms", "[7000]") }
    "backoff.backoff_multiplier" what_follows_the_table { engine::backoff("backoff_multiplier = 3", "/factor", "3.0") }
    "backoff.max_backoff_seconds" the_longest_wait { engine::backoff("max_backoff_seconds = 60", "/cap_ms", "60000") }
    "backoff.jitter_enabled" whether_waits_are_moved { engine::backoff("jitter_enabled = false", "/jitter", "0.0") }
    "backoff.jitter_max_percentage" how_far_waits_are_moved { engine::backoff("jitter_max_percentage = 0.5", "/jitter", "0.5") }
    "database.enable_secondary_database" the_secondary_database_is_used { databases::secondary() }
    "database.name" the_secondary_database_is_named { databases::name() }
    "database.on_missing" a_missing_database_is_refused_or_not { databases::on_missing() }
    "database.primary" the_default_database_is_named { databases::primary() }
    "database.namespaces.*" a_namespace_has_its_database { databases::namespaces() }
    "database.databases.*.url" a_database_is_where_its_url_says { databases::url() }
    "database.databases.*.connections" a_pool_has_its_size { databases::connections() }
    "database.databases.*.connect_timeout_seconds" a_silent_server_is_left { databases::connect_timeout() }
    "database.databases.*.checkout_timeout_ms" a_full_pool_is_left { databases::checkout_timeout() }
    "database.databases.*.application_name" sessions_have_a_name { databases::application_name() }
    "database.databases.*.statements" statements_have_names { databases::statements() }
    "database.databases.*.lag_bound_ms" a_late_replica_is_read_within_its_bound { databases::lag_bound() }
    "database.databases.*.reading.*.url" a_replica_is_where_its_url_says { databases::replica_url() }
    "database.databases.*.reading.*.connections" a_replica_s_pool_has_its_size { databases::replica_connections() }
    "engine.identity_strategy" equal_submissions_are_one_task { engine::identity_strategy() }
    "engine.identity_function" a_function_makes_the_identity { engine::identity_function() }
    "engine.task_config_directory" templates_are_found { engine::task_config_directory() }
    "engine.task_handler_directory" generated_workflows_have_their_place { engine::task_handler_directory() }
    "execution.max_concurrent_steps_limit" steps_run_one_by_one { workers::max_concurrent_steps() }
    "execution.lease_seconds" a_lease_has_its_length { workers::lease() }
    "execution.drain_seconds" a_worker_that_stops_waits_as_long { workers::drain() }
    "execution.notifications" a_worker_listens { workers::notifications() }
    "health.readiness_timeout_seconds" a_check_waits_as_long { databases::readiness_timeout() }
    "telemetry.log_level" little_is_logged { logs::level() }
    "telemetry.log_format" the_log_is_for_programs { logs::format() }
    "telemetry.filter_parameters" values_are_masked { logs::parameters() }
    "telemetry.filter_mask" masks_are_chosen { logs::mask() }
}
