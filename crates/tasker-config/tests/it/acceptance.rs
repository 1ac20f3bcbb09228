//! The acceptance lines of the original's configuration, corrected where it was wrong. Each test begins with the id
//! of its line. What the original has and nothing reads here is refused, with the reason.

use std::{sync::Arc, thread, time::Duration};

use tasker_config::{Config, ConfigReport, IdentityFunctions, IdentityStrategy, LogFormat, LogLevel, Source};
use tasker_engine::{
    backoff::wait,
    definition::{WorkflowDefinition, WorkflowParts},
    identity::Identity,
    submit::TaskRequest,
};

fn toml(text: &str) -> Result<Config, ConfigReport> {
    Config::builder().toml("t", text).build()
}

fn good(text: &str) -> Config {
    toml(text).unwrap_or_else(|report| panic!("{text}\n{report}"))
}

/// What is wrong, each `key reason`.
#[track_caller]
fn wrong(text: &str) -> Vec<String> {
    let report = toml(text).err().unwrap_or_else(|| panic!("nothing is wrong with {text}"));
    report.mistakes().iter().map(|m| format!("{} {}", m.key, m.reason)).collect()
}

/// The one thing that is wrong with a value.
#[track_caller]
fn of(key: &str, value: &str) -> String {
    let (section, name) = key.split_once('.').unwrap();
    let mut all = wrong(&format!("[{section}]\n{name} = {value}"));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn c01_a_section_reads_the_same_each_time_and_sources_chain() {
    let config = Config::builder()
        .set("execution.lease_seconds", 7)
        .set("backoff.jitter_enabled", false)
        .build()
        .unwrap();
    assert_eq!(config.execution(), config.execution());
    assert_eq!((config.execution().lease_seconds, config.backoff().jitter_enabled), (7.0, false));
}

#[test]
fn c02_authentication_is_off_and_the_last_word_counts() {
    let auth = Config::default();
    let auth = auth.auth();
    assert!(!auth.authentication_enabled && !auth.authorization_enabled);
    assert_eq!((auth.authenticator.as_deref(), auth.authorization_coordinator.as_str()), (None, "deny_all"));
    let on = Config::builder().set("auth.authentication_enabled", true).set("auth.authenticator", "mine");
    assert!(on.build().unwrap().auth().authentication_enabled);
    let off =
        Config::builder().set("auth.authentication_enabled", true).set("auth.authentication_enabled", false);
    assert!(!off.build().unwrap().auth().authentication_enabled);
    // The original stored the names of methods that nothing called.
    for gone in ["current_user_method", "authenticate_user_method", "user_class", "strategy"] {
        assert!(of(&format!("auth.{gone}"), "\"x\"").contains("is not an option: "), "{gone}");
    }
}

#[test]
fn c03_every_combination_of_features_is_accepted() {
    let session = "[auth]\nauthentication_enabled = true\nauthenticator = \"session\"\n";
    let token = "[auth]\nauthentication_enabled = true\nauthenticator = \"api_token\"\n[auth.authenticator_options]\nheader = \"x-token\"\n";
    let roles = "[auth]\nauthorization_enabled = true\nauthorization_coordinator = \"roles\"\n";
    let database = "[database]\nenable_secondary_database = true\nname = \"tasker\"\n[database.databases]\n\
         primary = { url = \"postgres://db/app\" }\ntasker = { url = \"postgres://db/tasker\" }\n";
    let all = session.to_owned() + &roles.replace("[auth]\n", "") + database;
    for text in ["", session, token, roles, database, &all] {
        good(text);
    }
}

#[test]
fn c04_a_database_is_named_by_a_string_or_like_a_symbol() {
    let config = Config::default();
    assert_eq!((&config.database().name, config.database().enable_secondary_database), (&None, false));
    for (text, name) in [(":tasker", "tasker"), ("tasker_production", "tasker_production")] {
        let config = good(&format!("[database]\nname = \"{text}\""));
        assert_eq!(config.database().name.as_ref().unwrap().as_str(), name);
    }
}

#[test]
fn c05_a_key_that_is_none_is_refused_wherever_it_is_set() {
    let set = |key: &str| Config::builder().set(key, 1).build().unwrap_err().mistakes()[0].to_string();
    assert!(
        set("execution.lease_secs").starts_with("code: execution.lease_secs is not an option; did you mean")
    );
    assert!(set("excution.lease_seconds").ends_with("did you mean `execution`?"));
    assert!(set("lease_seconds").ends_with("did you mean `execution.lease_seconds`?"));
}

#[test]
fn c06_another_configuration_is_another_value_and_a_wrong_type_is_an_error() {
    let one = good("[execution]\nlease_seconds = 5");
    let other = good("[execution]\nlease_seconds = 6");
    assert_ne!(one, other);
    assert_eq!(one.execution().lease_seconds, 5.0);
    assert_eq!(
        of("execution.lease_seconds", "\"long\""),
        "execution.lease_seconds must be a number from 0.1 to 86400, not a text"
    );
}

#[test]
fn c07_there_is_no_global_configuration() {
    let changed = Config::builder().set("execution.lease_seconds", 5).build().unwrap();
    assert_eq!(Config::default(), Config::builder().build().unwrap());
    assert_ne!(Config::default(), changed);
}

#[test]
fn c08_identity_strategies_and_their_three_mistakes() {
    let identity = |text: &str, functions: &IdentityFunctions| good(text).engine().identity(functions);
    let none = IdentityFunctions::default();
    assert!(matches!(identity("", &none), Ok(Identity::Random)));
    assert!(matches!(identity("[engine]\nidentity_strategy = \"hash\"", &none), Ok(Identity::Hash)));
    let custom = "[engine]\nidentity_strategy = \"custom\"\nidentity_function = \"by_id\"";
    let functions =
        IdentityFunctions::default().with("by_id", |_, request| request.context["id"].to_string());
    let of_context = identity(custom, &functions).unwrap();
    let definition = WorkflowDefinition::new(WorkflowParts::new("w")).unwrap();
    let request = TaskRequest::new(serde_json::json!({ "id": 7 }));
    assert_eq!(of_context.of(&definition, &request), "7");

    assert_eq!(
        wrong("[engine]\nidentity_strategy = \"custom\""),
        [
            "engine.identity_function is required, since `identity_strategy` is custom; name a registered function"
        ]
    );
    assert_eq!(
        identity(custom, &none).unwrap_err().to_string(),
        "engine.identity_function: `by_id` is not registered; known are none"
    );
    assert_eq!(
        of("engine.identity_strategy", "\"sequential\""),
        "engine.identity_strategy must be one of default, hash, custom"
    );
    // Said for nothing, it would be an option that nothing reads.
    assert!(
        of("engine.identity_function", "\"by_id\"")
            .contains("is read only where `identity_strategy` is custom")
    );
    assert_eq!(Config::default().engine().identity_strategy, IdentityStrategy::Default);
}

#[test]
fn c09_health_defaults_and_the_words_for_true_and_false() {
    assert_eq!(Config::default().health().readiness_timeout_seconds, 5.0);
    assert!(of("health.cache_duration_seconds", "15").contains("is not an option: "));
    assert!(of("health.status_requires_authentication", "true").contains("write `auth.open`"));
    let notifications = |word: &str| {
        let config = Config::builder().variables([("TASKER_EXECUTION__NOTIFICATIONS", word)]).build();
        config.map(|config| config.execution().notifications).map_err(|report| report.to_string())
    };
    for word in ["true", "TRUE", "yes", "1"] {
        assert_eq!(notifications(word), Ok(true), "{word}");
    }
    for word in ["false", "False", "no", "0", ""] {
        assert_eq!(notifications(word), Ok(false), "{word:?}");
    }
    // The original took everything else for true, so that a slip of the pen switched things on.
    for word in ["flase", "off", "2", "nil"] {
        assert!(notifications(word).unwrap_err().ends_with("must be true or false"), "{word}");
    }
    let config = Arc::new(Config::default());
    let threads = [0; 5].map(|_| {
        let config = Arc::clone(&config);
        thread::spawn(move || config.health().readiness_timeout_seconds)
    });
    assert_eq!(threads.map(|thread| thread.join().unwrap()), [5.0; 5]);
}

#[test]
fn c10_a_copy_is_equal_and_sections_do_not_touch_each_other() {
    let config = good("[health]\nreadiness_timeout_seconds = 2.5");
    let copy = config.clone();
    assert_eq!(copy, config);
    assert_eq!(copy.health().readiness_timeout_seconds, 2.5);
    assert_eq!(copy.execution(), Config::default().execution());
}

fn seconds(config: &Config, failures: u32) -> f64 {
    wait(&config.backoff().policy(), failures, None, 0.5).as_secs_f64()
}

#[test]
fn c11_waits_follow_the_table_and_then_double() {
    let config = good("[backoff]\njitter_enabled = false");
    // The seventh was 49 in the original, the square of 7, and less than the doubled 32 from the eighth on.
    assert_eq!([1, 3, 6, 7, 8, 100].map(|n| seconds(&config, n)), [1., 4., 32., 64., 128., 300.]);
    // Failures are counted from 1; none yet is read as the first.
    assert_eq!(seconds(&config, 0), 1.0);
}

#[test]
fn c12_table_multiplier_cap_and_jitter_are_chosen() {
    let config = good(
        "[backoff]\ndefault_backoff_seconds = [5, 10]\nbackoff_multiplier = 1.5\nmax_backoff_seconds = 60\njitter_enabled = false",
    );
    // The third was 5 in the original, less than the second.
    assert_eq!([1, 2, 3, 4, 100].map(|n| seconds(&config, n)), [5., 10., 15., 22.5, 60.]);
    let config = good("[backoff]\njitter_max_percentage = 0.5");
    let policy = config.backoff().policy();
    let at = |random: f64| wait(&policy, 1, None, random);
    assert_eq!([0.0, 0.5, 1.0].map(at), [500, 1_000, 1_500].map(Duration::from_millis));
    for draw in 0..100 {
        let wait = at(f64::from(draw) / 99.0);
        assert!((500..=1_500).contains(&wait.as_millis()), "{wait:?}");
    }
}

#[test]
fn c13_every_wrong_type_of_the_backoff_is_told() {
    let found = wrong(
        "[backoff]\ndefault_backoff_seconds = 5\nmax_backoff_seconds = \"x\"\nbackoff_multiplier = true\n\
         jitter_max_percentage = []\njitter_enabled = 1",
    );
    assert_eq!(
        found,
        [
            "backoff.default_backoff_seconds must be a list, each item a number from 0.001 to 31536000, not a whole number",
            "backoff.max_backoff_seconds must be a number from 0.001 to 31536000, not a text",
            "backoff.backoff_multiplier must be a number from 1 to 1000, not true or false",
            "backoff.jitter_max_percentage must be a number from 0 to 1, not a list",
            "backoff.jitter_enabled must be true or false, not a whole number",
        ]
    );
    assert!(of("backoff.default_backoff_seconds", "[1, \"x\"]").ends_with("31536000, not a text"));
    assert_eq!(
        of("backoff.max_backoff_seconds", "10"),
        "backoff.default_backoff_seconds has a wait of 32, longer than `max_backoff_seconds` = 10; change one of them"
    );
}

const CACHE: &str = "cache is not an option: answers come from stored counters; nothing is cached that a time to live would bound";

#[test]
fn c14_there_is_no_cache_with_defaults() {
    assert_eq!(wrong("[cache]\ndefault_ttl = 300\nadaptive_ttl_enabled = true"), [CACHE]);
}

#[test]
fn c15_there_is_no_adaptive_time_to_live() {
    assert_eq!(wrong("[cache]\nmin_adaptive_ttl = 30\nmax_adaptive_ttl = 3600"), [CACHE]);
}

#[test]
fn c16_there_is_no_cache_to_be_validated() {
    assert_eq!(wrong("[cache]\nhit_rate_smoothing_factor = 1.5\nmin_adaptive_ttl = 9999"), [CACHE]);
}

#[test]
fn c17_there_is_no_pressure_on_a_cache() {
    assert_eq!(wrong("[cache]\ncache_pressure_threshold = 0.8"), [CACHE]);
}

#[test]
fn c18_execution_defaults_are_the_engine_s() {
    let config = Config::default();
    let execution = config.execution();
    let (ours, engine) = (execution.worker_options(), tasker_engine::worker::WorkerOptions::default());
    assert_eq!(
        (ours.max_in_flight, ours.lease, ours.drain),
        (engine.max_in_flight, engine.lease, engine.drain)
    );
    assert_eq!(ours.notifications, engine.notifications);
    // The original's were 3 to 12 steps; a step here costs no thread.
    assert_eq!(execution.max_concurrent_steps_limit, 64);
    assert!(of("execution.min_concurrent_steps", "3").contains("is not an option: "));
    assert_eq!(config.backoff().policy(), tasker_engine::definition::BackoffPolicy::default());
}

#[test]
fn c19_a_batch_has_no_timeout() {
    for key in ["batch_timeout_base_seconds", "batch_timeout_per_step_seconds", "max_batch_timeout_seconds"] {
        let found = of(&format!("execution.{key}"), "30");
        assert!(found.ends_with("do not wait for each other; the `timeout` of a step ends it"), "{found}");
    }
}

#[test]
fn c20_nothing_is_collected() {
    for key in
        ["gc_trigger_batch_size_threshold", "gc_trigger_duration_threshold", "future_cleanup_wait_seconds"]
    {
        assert!(of(&format!("execution.{key}"), "6").contains("is not an option: nothing is collected"));
    }
}

#[test]
fn c21_d20_every_section_is_validated_at_the_start_and_all_at_once() {
    let found = wrong(
        "[auth]\nauthentication_enabled = true\n[backoff]\nmax_backoff_seconds = 1\n[database]\n\
         enable_secondary_database = true\n[engine]\nidentity_strategy = \"custom\"\n[execution]\n\
         max_concurrent_steps_limit = 0\nconnection_pressure_factors = { low = 1.5 }\n\
         connection_health_log_level = \"loud\"",
    );
    let keys: Vec<&str> = found.iter().filter_map(|m| m.split(' ').next()).collect();
    for key in [
        "auth.authenticator",
        "backoff.default_backoff_seconds",
        "database.name",
        "database.primary",
        "engine.identity_function",
        "execution.max_concurrent_steps_limit",
        "execution.connection_pressure_factors",
        "execution.connection_health_log_level",
    ] {
        assert!(keys.contains(&key), "{key} is missing in {found:#?}");
    }
    assert_eq!(keys.len(), 8, "{found:#?}");
}

#[test]
fn c22_there_are_no_weights_of_a_dependency_graph() {
    let found = wrong("[dependency_graph.impact_multipliers]\ndownstream_weight = 5");
    assert_eq!(found, ["dependency_graph is not an option: no analysis of graphs weighs anything by it"]);
}

#[test]
fn d21_no_unknown_key_is_silently_ignored() {
    for option in tasker_config::options() {
        let typo = format!("{}x", option.key.replace('*', "primary"));
        let path: Vec<&str> = typo.split('.').collect();
        let (last, before) = path.split_last().unwrap();
        if option.key.ends_with('*') {
            continue;
        }
        let found = wrong(&format!("[{}]\n{last} = 1", before.join(".")));
        let refused = found.iter().any(|m| m.starts_with(&typo) && m.contains("is not an option"));
        assert!(refused, "{typo}: {found:?}");
    }
}

#[test]
fn telemetry_has_words_for_levels_and_formats() {
    let config =
        good("[telemetry]\nlog_level = \"debug\"\nlog_format = \"pretty_json\"\nfilter_parameters = []");
    let telemetry = config.telemetry();
    assert_eq!((telemetry.log_level, telemetry.log_format), (LogLevel::Debug, LogFormat::PrettyJson));
    assert!(telemetry.filter_parameters.is_empty());
    assert_eq!(config.source("telemetry.filter_mask"), Source::Default);
    assert!(of("telemetry.log_level", "\"fatal\"").contains("one of error, warn, info, debug, trace"));
}
