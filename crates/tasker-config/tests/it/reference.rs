//! The page that describes the options.

use std::path::Path;

use serde_json::Value;
use tasker_config::{Config, Kind, options};

#[test]
fn the_page_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let is_so = page == tasker_config::reference();
    assert!(is_so, "{} is out of date: run `cargo xtask codegen`", path.display());
}

/// A range or a list of words that the page shows is what the section's own type takes, whoever owns it.
#[test]
fn kinds_are_what_the_sections_take() {
    for option in options() {
        let key = option.key.replace('*', "primary");
        let problems = |value: Value| -> usize {
            let base = Config::builder().set("database.databases.primary.url", "postgres://db/app");
            let base = base.set("database.databases.primary.reading.primary.url", "postgres://db/app");
            let set = base.set(&*key, value).build();
            set.err().map_or(0, |report| report.mistakes().iter().filter(|m| m.key == key).count())
        };
        match option.kind {
            // Both ends are taken; that nothing beyond them is, the kind says by itself.
            Kind::Integer(least, most) => {
                assert_eq!(problems(least.into()) + problems(most.into()), 0, "{key}")
            }
            Kind::Choice(words) if key != "engine.identity_strategy" => {
                words.iter().for_each(|word| assert_eq!(problems((*word).into()), 0, "{key} = {word}"));
            }
            Kind::Number(least, most) => {
                assert_eq!(problems(least.into()) + problems(most.into()), 0, "{key}")
            }
            _ => {}
        }
    }
}
