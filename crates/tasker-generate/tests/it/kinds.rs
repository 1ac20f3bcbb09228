//! What the kinds have besides names and files: types, events, and lines of configuration that count.

use std::{fs, path::Path};

use clap::ValueEnum;
use tasker_auth::{AuthConfig, Identity, Registry, read_section};
use tasker_generate::EventName;

use crate::golden::{self, COMMANDS, parsed, try_parsed};

#[test]
fn an_unknown_type_is_an_error_that_lists_them() {
    for words in
        [&["generate", "authenticator", "x", "--type", "devise"][..], &["generate", "authenticator", "x"]]
    {
        let error = try_parsed(words).unwrap_err().to_string();
        assert!(error.contains("--type"), "{error}");
        if words.len() > 3 {
            assert!(error.contains("jwt, session, api-token, oidc, custom"), "{error}");
        }
    }
    assert!(try_parsed(&["generate", "authenticator", "x", "--type", "api_token"]).is_ok());
}

#[test]
fn an_unknown_event_is_an_error_that_lists_them() {
    let error =
        try_parsed(&["generate", "subscriber", "x", "--events", "step_failed,step_danced"]).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("step_danced") && error.contains("worker_expired"), "{error}");
}

/// The engine's events are listed here once more, since its enum may grow.
#[test]
fn every_event_of_the_engine_is_known() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tasker-engine/src/event.rs");
    let source = fs::read_to_string(source).unwrap();
    let body = source.split_once("pub enum Event {").unwrap().1.split_once("\n}").unwrap().0;
    let there: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" {"))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .collect();
    let known: Vec<String> = EventName::value_variants().iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(known, there);
}

/// The lines of configuration in the next steps of a command.
fn section(command: &str) -> AuthConfig {
    let report = parsed(&format!("{command} --dry-run")).run(Path::new("/nowhere")).unwrap();
    let step =
        report.next_steps.iter().find_map(|step| step.strip_prefix("In the configuration:\n")).unwrap();
    let document: serde_json::Value = toml::from_str(step).unwrap();
    read_section(&document["auth"]).unwrap_or_else(|problems| panic!("{command}: {problems:?}"))
}

/// The lines that are printed are those of the authenticator or coordinator that was written: they read, and the
/// registry makes it of them, but for secrets, whose files are not here.
#[test]
fn the_printed_configuration_is_read() {
    for command in COMMANDS.iter().filter(|c| c.starts_with("authenticator") || c.starts_with("coordinator"))
    {
        let config = section(command);
        let registry = golden::shop::register(golden::partner::register(Registry::default()));
        let registry = golden::gateway::register(registry, |_: &str| None::<Identity>);
        let missing = match config.build(&registry).map(drop) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        let said: Vec<&str> = missing.lines().skip(1).map(str::trim).collect();
        match command.split(' ').nth(1).unwrap() {
            "shop" | "gateway" => assert_eq!(said, [""; 0], "{command}"),
            "partner" => {
                assert!(
                    said.len() == 1 && said[0].starts_with("authenticator_options.secret: the file"),
                    "{said:?}"
                );
            }
            // Those in the database are registered with it.
            name => assert!(said[0].contains(&format!("`{name}` is not registered")), "{said:?}"),
        }
    }
}

#[test]
fn the_printed_options_of_the_stores_are_theirs() {
    use tasker_auth::{ApiTokenConfig, OidcConfig, SessionConfig};
    let options = |command: &str| section(command).authenticator_options;
    let tokens: ApiTokenConfig = read_section(&options("authenticator import --type api-token")).unwrap();
    assert_eq!(tokens, ApiTokenConfig::default());
    let session: SessionConfig = read_section(&options("authenticator portal --type session")).unwrap();
    assert!(session.secret.is_some());
    let oidc: OidcConfig = read_section(&options("authenticator staff --type oidc")).unwrap();
    let problems = oidc.problems();
    assert!(
        problems.iter().all(|p| p.reason.contains("/run/secrets/")) && !problems.is_empty(),
        "{problems:?}"
    );
}
