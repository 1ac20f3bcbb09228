//! The sections `backoff` and `engine`, through commands.

use tasker_config::{Config, IdentityFunctions};
use tasker_engine::{
    definition::{WorkflowDefinition, WorkflowParts},
    submit::TaskRequest,
};

use super::{ONE, configured};
use crate::support::Bench;

/// What the stored definition says of the backoff, with a line of the section and without.
pub(crate) fn backoff(line: &str, pointer: &str, expected: &str) {
    let stored = |config: &str| {
        let bench = Bench::new();
        bench.file("w.yaml", ONE);
        configured(&bench, config, &["submit", "w.yaml"]).expect(0);
        let path = format!("steps,0,backoff{}", pointer.replace('/', ","));
        let sql =
            "select count(*) as n from tasker.task_definitions where definition #> '{PATH}' = 'VALUE'::jsonb";
        bench.count(&sql.replace("PATH", &path).replace("VALUE", expected))
    };
    assert_eq!(stored(&format!("[backoff]\n{line}")), 1, "{line} is not read");
    assert_eq!(stored(""), 0, "{line} changes nothing");
}

pub(crate) fn identity_strategy() {
    let created = |config: &str| {
        let bench = Bench::new();
        bench.file("w.yaml", ONE);
        let submit = || configured(&bench, config, &["submit", "w.yaml", "--json"]).expect(0).json();
        submit();
        submit()[0]["created"].as_bool()
    };
    assert_eq!(created("[engine]\nidentity_strategy = \"hash\""), Some(false));
    assert_eq!(created(""), Some(true));
}

pub(crate) fn identity_function() {
    let config = |name: &str| {
        let config =
            Config::builder().set("engine.identity_strategy", "custom").set("engine.identity_function", name);
        config.build().unwrap()
    };
    let functions = IdentityFunctions::default().with("a", |_, _| "A".into()).with("b", |_, _| "B".into());
    let definition = WorkflowDefinition::new(WorkflowParts::new("w")).unwrap();
    let request = TaskRequest::new(serde_json::json!({}));
    for (name, identity) in [("a", "A"), ("b", "B")] {
        assert_eq!(config(name).engine().identity(&functions).unwrap().of(&definition, &request), identity);
    }
    // The command has no functions, and says so.
    let bench = Bench::new();
    bench.file("w.yaml", ONE);
    let text = "[engine]\nidentity_strategy = \"custom\"\nidentity_function = \"a\"";
    let ran = configured(&bench, text, &["submit", "w.yaml"]).expect(4);
    assert!(ran.err.contains("`a` is not registered; known are none"), "{ran:?}");
}

pub(crate) fn task_config_directory() {
    let bench = Bench::new();
    std::fs::create_dir(bench.dir.path().join("flows")).unwrap();
    bench.file("flows/one.yaml", ONE);
    let config = "[engine]\ntask_config_directory = \"flows\"";
    configured(&bench, config, &["submit", "one"]).expect(0);
    configured(&bench, config, &["graph", "one.yaml"]).expect(0);
    configured(&bench, "", &["submit", "one"]).expect(4);
}

pub(crate) fn task_handler_directory() {
    let bench = Bench::new();
    let generate = ["generate", "handler", "order", "--steps", "pay"];
    configured(&bench, "[engine]\ntask_handler_directory = \"src/flows\"", &generate).expect(0);
    assert!(bench.dir.path().join("src/flows/order.yaml").is_file());
    configured(&bench, "", &generate).expect(0);
    assert!(bench.dir.path().join("src/workflows/order.yaml").is_file());
}
