//! Z02, Z03: resources, actions and permissions, and the texts of them.

use std::collections::BTreeSet;

use crate::support::Noise;
use tasker_auth::{Action, Permission, PermissionSet, Resource};

/// What the original has; the rest of `Permission::ALL` is ours.
const ORIGINAL: &[(&str, &[&str])] = &[
    ("tasker.task", &["index", "show", "create", "update", "destroy", "retry", "cancel"]),
    ("tasker.workflow_step", &["index", "show", "update", "destroy", "retry", "cancel"]),
    ("tasker.health_status", &["index"]),
    ("tasker.handler", &["index", "show"]),
    ("tasker.metrics", &["index"]),
    ("tasker.analytics", &["index"]),
];

#[test]
fn z02_z03_the_originals_eighteen_permissions_are_here() {
    let texts: Vec<String> =
        ORIGINAL.iter().flat_map(|(r, actions)| actions.iter().map(move |a| format!("{r}:{a}"))).collect();
    assert_eq!(texts.len(), 18);
    for text in &texts {
        let permission: Permission = text.parse().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(permission.to_string(), *text);
        let (resource, action) = text.split_once(':').unwrap();
        assert_eq!(permission.resource().as_str(), resource);
        assert_eq!(permission.action().as_str(), action);
        assert_eq!(
            resource.parse::<Resource>().unwrap().permission(action.parse().unwrap()),
            Some(permission)
        );
    }
    let crud: Vec<_> = Action::CRUD.iter().map(|a| a.as_str()).collect();
    assert_eq!(crud, ["index", "show", "create", "update", "destroy"]);
}

#[test]
fn z03_the_registry_lists_and_describes() {
    let by_resource: Vec<_> = Resource::ALL.iter().flat_map(|r| r.permissions()).copied().collect();
    assert_eq!(by_resource, Permission::ALL);
    let texts: BTreeSet<_> = Permission::ALL.iter().map(|p| p.as_str()).collect();
    assert_eq!(texts.len(), Permission::ALL.len(), "no text twice");
    for p in Permission::ALL {
        assert_eq!(p.as_str(), format!("{}:{}", p.resource(), p.action()));
        assert!(p.description().ends_with('.') && !p.resource().description().is_empty());
        assert_eq!(serde_json::from_value::<Permission>(serde_json::json!(p)).unwrap(), *p);
    }
    assert_eq!(Resource::WorkflowStep.permission(Action::Create), None);
    assert_eq!(Resource::WorkflowStep.permission(Action::Destroy), Some(Permission::StepDestroy));
    assert_eq!(Resource::Task.description(), "Tasker workflow tasks");
}

/// D-04: a pair that does not exist cannot be written in Rust, and is a sentence in a text.
#[test]
fn d04_an_unknown_pair_is_a_sentence() {
    let error = "tasker.handler:show_namespace".parse::<Permission>().unwrap_err().to_string();
    assert!(
        error.starts_with("`tasker.handler:show_namespace` is no permission; known are tasker.task:index, ")
    );
    assert!("tasker.nothing".parse::<Resource>().is_err());
    assert!(PermissionSet::parse("tasker.nothing:*").is_err());
}

#[test]
fn sets_read_and_write_lists() {
    let set: PermissionSet = serde_json::from_str(r#"["tasker.metrics:*", "tasker.task:show"]"#).unwrap();
    assert_eq!(set.iter().collect::<Vec<_>>(), [Permission::TaskShow, Permission::MetricsIndex]);
    assert_eq!(serde_json::to_string(&set).unwrap(), r#"["tasker.task:show","tasker.metrics:index"]"#);
    let all: PermissionSet = serde_json::from_str(r#"["*"]"#).unwrap();
    assert_eq!(all, PermissionSet::all());
    assert!(Permission::ALL.iter().all(|p| all.contains(*p) && !PermissionSet::NONE.contains(*p)));
}

#[test]
fn ten_thousand_random_texts_do_not_panic() {
    let mut noise = Noise(42);
    for _ in 0..10_000 {
        let text = noise.text(&["tasker.task:index", "tasker.task:*", "*"]);
        let _ = (text.parse::<Permission>(), text.parse::<Resource>(), text.parse::<Action>());
        let _ = (PermissionSet::parse(&text), tasker_auth::CorrelationId::parse(&text));
    }
}
