//! Object maps, annotations, edges, names: what the functions of the crate read and write.

mod support;

use std::{sync::Barrier, thread};

use diesel::{
    PgConnection, RunQueryDsl,
    result::{DatabaseErrorKind, Error},
};
use serde_json::json;
use support::{lines, run};
use tasker_engine::{
    commands,
    definition::{StepDefinition, WorkflowDefinition, WorkflowParts, sha256_hex},
    identity::Identity,
    submit::{TaskRequest, register, submit},
};
use tasker_model::{
    Edge, NamedTask, ObjectRef, StepId, StepTransition, StepWithName, Task, TaskFilter, TaskId, TaskState,
    TaskTransition, annotate, annotations, counterpart, map_objects,
};
use tasker_testkit::TestDatabase;

/// A workflow of steps with their parents.
fn workflow(name: &str, steps: &[(&str, &[&str])]) -> WorkflowDefinition {
    let mut parts = WorkflowParts::new(name);
    for (step, parents) in steps {
        let mut definition = StepDefinition::new(*step, "handler");
        definition.depends_on = parents.iter().map(|p| (*p).to_owned()).collect();
        parts.steps.push(definition);
    }
    WorkflowDefinition::new(parts).unwrap_or_else(|e| panic!("{e}"))
}

fn task(conn: &mut PgConnection, definition: &WorkflowDefinition) -> TaskId {
    let requests = [TaskRequest::new(json!({"n": 1}))];
    submit(conn, definition, &requests, &Identity::Random, None).unwrap_or_else(|e| panic!("{e}"))[0].task_id
}

fn count(conn: &mut PgConnection, table: &str) -> String {
    lines(conn, &format!("select count(*)::text as line from tasker.{table}")).remove(0)
}

fn order(id: &str) -> ObjectRef {
    ObjectRef::new("shop", id)
}

fn invoice(id: &str) -> ObjectRef {
    ObjectRef::new("billing", id)
}

#[test]
fn an_object_is_found_from_either_side_and_stored_once() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let row = map_objects(conn, &order("7"), &invoice("A-1")).unwrap();
    assert_eq!(
        map_objects(conn, &order("7"), &invoice("A-1")).unwrap(),
        row,
        "a second time changes nothing"
    );
    assert_eq!(map_objects(conn, &invoice("A-1"), &order("7")).unwrap(), row, "nor does the other way round");
    assert_eq!(count(conn, "dependent_system_object_maps"), "1");
    assert_eq!(count(conn, "dependent_systems"), "2");

    assert_eq!(counterpart(conn, &order("7"), "billing").unwrap().as_deref(), Some("A-1"));
    assert_eq!(counterpart(conn, &invoice("A-1"), "shop").unwrap().as_deref(), Some("7"));
    // The ids alone do not make the pair, nor do the systems.
    assert_eq!(counterpart(conn, &order("A-1"), "billing").unwrap(), None);
    assert_eq!(counterpart(conn, &invoice("7"), "shop").unwrap(), None);
    assert_eq!(counterpart(conn, &order("7"), "shop").unwrap(), None);
    assert_eq!(counterpart(conn, &order("7"), "nowhere").unwrap(), None);

    assert_ne!(map_objects(conn, &order("8"), &invoice("A-1")).unwrap(), row, "another pair is another row");
    // The same ids the other way over are another pair too.
    let crossed = map_objects(conn, &order("A-1"), &invoice("7")).unwrap();
    assert_ne!(crossed, row);
    assert_eq!(map_objects(conn, &invoice("7"), &order("A-1")).unwrap(), crossed);
}

#[test]
fn two_objects_of_one_system_may_be_one() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let row = map_objects(conn, &order("old"), &order("new")).unwrap();
    assert_eq!(map_objects(conn, &order("new"), &order("old")).unwrap(), row);
    assert_eq!(counterpart(conn, &order("old"), "shop").unwrap().as_deref(), Some("new"));
    assert_eq!(counterpart(conn, &order("new"), "shop").unwrap().as_deref(), Some("old"));
}

#[test]
fn a_pair_that_many_record_at_once_is_one_row() {
    let database = TestDatabase::new();
    let barrier = Barrier::new(8);
    let rows: Vec<i64> = thread::scope(|scope| {
        let (database, barrier) = (&database, &barrier);
        let recorders: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn(move || {
                    let conn = &mut database.connection();
                    barrier.wait();
                    let (one, two) =
                        if n % 2 == 0 { (order("7"), invoice("A-1")) } else { (invoice("A-1"), order("7")) };
                    map_objects(conn, &one, &two).unwrap_or_else(|e| panic!("{e}"))
                })
            })
            .collect();
        recorders.into_iter().map(|r| r.join().expect("no panic")).collect()
    });
    assert!(rows.iter().all(|r| *r == rows[0]), "{rows:?}");
    assert_eq!(count(&mut database.connection(), "dependent_system_object_maps"), "1");
}

#[test]
fn annotations_are_kept_in_order_under_kinds_that_are_shared() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let definition = workflow("noted", &[("only", &[])]);
    let (one, two) = (task(conn, &definition), task(conn, &definition));
    annotate(conn, one, "note", &json!({"by": "ada", "text": "slow"})).unwrap();
    annotate(conn, one, "link", &json!({"url": "https://example.org"})).unwrap();
    annotate(conn, one, "note", &json!({"by": "bob"})).unwrap();
    annotate(conn, two, "note", &json!({})).unwrap();
    let found = annotations(conn, one).unwrap();
    assert_eq!(found.iter().map(|a| a.kind.as_str()).collect::<Vec<_>>(), ["note", "link", "note"]);
    assert_eq!(found[0].annotation, json!({"by": "ada", "text": "slow"}));
    assert_eq!(annotations(conn, two).unwrap().len(), 1);
    assert_eq!(annotations(conn, TaskId(-1)).unwrap(), []);
    assert_eq!(count(conn, "annotation_types"), "2");

    for (note, kind, refusal) in [
        (json!("text"), "note", DatabaseErrorKind::CheckViolation),
        (json!({}), "", DatabaseErrorKind::CheckViolation),
        (json!({}), &*"k".repeat(65), DatabaseErrorKind::CheckViolation),
    ] {
        let refused = annotate(conn, one, kind, &note).unwrap_err();
        assert!(
            matches!(&refused, Error::DatabaseError(k, _) if std::mem::discriminant(k) == std::mem::discriminant(&refusal)),
            "{refused}"
        );
    }
    let refused = annotate(conn, TaskId(-1), "note", &json!({})).unwrap_err();
    assert!(matches!(refused, Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)));
}

#[test]
fn siblings_have_exactly_the_same_parents() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let definition = workflow(
        "family",
        &[
            ("a", &[]),
            ("b", &[]),
            ("both_1", &["a", "b"]),
            ("both_2", &["b", "a"]),
            ("both_3", &["a", "b"]),
            ("only_a", &["a"]),
            ("only_b", &["b"]),
            ("more", &["a", "b", "only_a"]),
            ("below", &["both_1"]),
        ],
    );
    let (task_id, other) = (task(conn, &definition), task(conn, &definition));
    let steps = StepWithName::of_task(conn, task_id).unwrap();
    let id =
        |name: &str| steps.iter().find(|s| s.name == name).map(|s| s.step.workflow_step_id).expect("a step");
    let mut siblings = |name: &str| Edge::siblings(conn, task_id, id(name)).unwrap();
    assert_eq!(
        siblings("both_1"),
        [id("both_2"), id("both_3")],
        "once each, although there are two edges each"
    );
    assert_eq!(siblings("both_2"), [id("both_1"), id("both_3")]);
    for alone in ["only_a", "only_b", "more", "below"] {
        assert_eq!(siblings(alone), [], "{alone} shares a parent with others but not all");
    }
    assert_eq!(siblings("a"), [], "what has no parents has none in common");
    assert_eq!(Edge::siblings(conn, task_id, StepId(-1)).unwrap(), []);

    let edges = Edge::of_task(conn, task_id).unwrap();
    assert_eq!(edges.len(), 12);
    assert!(edges.is_sorted_by_key(|e| (e.from_step_id, e.to_step_id)));
    assert!(Edge::of_task(conn, other).unwrap().iter().all(|e| e.task_id == other));
    assert_eq!(StepWithName::of_task(conn, TaskId(-1)).unwrap(), []);
}

#[test]
fn tasks_are_found_and_listed_with_their_names() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let (red, blue) = (workflow("red", &[("only", &[])]), workflow("blue", &[("only", &[])]));
    let ids = [task(conn, &red), task(conn, &blue), task(conn, &red)];
    let (found, name) = Task::find(conn, ids[1]).unwrap().expect("the task");
    assert_eq!((found.task_id, found.state, found.live_steps), (ids[1], TaskState::Pending, 1));
    assert_eq!(name.full_name(), "default.blue@0.1.0");
    assert_eq!(Task::find(conn, TaskId(-1)).unwrap(), None);

    let listed = |conn: &mut PgConnection, filter: TaskFilter| -> Vec<TaskId> {
        Task::list(conn, &filter).unwrap().into_iter().map(|(t, _): (Task, NamedTask)| t.task_id).collect()
    };
    let all = TaskFilter { limit: 10, ..TaskFilter::default() };
    assert_eq!(listed(conn, all.clone()), [ids[2], ids[1], ids[0]], "newest first");
    assert_eq!(listed(conn, TaskFilter { limit: 2, ..all.clone() }), [ids[2], ids[1]]);
    assert_eq!(listed(conn, TaskFilter { before: Some(ids[2]), ..all.clone() }), [ids[1], ids[0]]);
    assert_eq!(listed(conn, TaskFilter { name: Some("red".into()), ..all.clone() }), [ids[2], ids[0]]);
    assert_eq!(listed(conn, TaskFilter { namespace: Some("Default".into()), ..all.clone() }), []);
    commands::cancel(conn, &[ids[0]], "ada", Some("not needed"), None).unwrap();
    assert_eq!(listed(conn, TaskFilter { state: Some(TaskState::Cancelled), ..all.clone() }), [ids[0]]);
    assert_eq!(listed(conn, TaskFilter { state: Some(TaskState::Pending), ..all }), [ids[2], ids[1]]);

    let history = TaskTransition::of_task(conn, ids[0]).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].from_state, history[0].to_state), (TaskState::Pending, TaskState::Cancelled));
    assert_eq!(
        (history[0].actor.as_deref(), history[0].reason.as_deref()),
        (Some("ada"), Some("not needed"))
    );
    assert_eq!(StepTransition::of_task(conn, ids[0]).unwrap().len(), 1);
    assert_eq!(StepTransition::of_task(conn, ids[1]).unwrap(), [], "creation is no transition");
    database.assert_sound();
}

#[test]
fn namespaces_are_unique_and_tell_case() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let mut insert = |name: &str| {
        diesel::sql_query("insert into tasker.task_namespaces (name) values ($1)")
            .bind::<diesel::sql_types::Text, _>(name)
            .execute(conn)
    };
    insert("orders").unwrap();
    insert("Orders").unwrap();
    insert("orders ").unwrap();
    insert(&"ß".repeat(64)).unwrap();
    let refused = insert("orders").unwrap_err();
    assert!(matches!(&refused, Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)), "{refused}");
    for name in ["", &"x".repeat(65)] {
        let refused = insert(name).unwrap_err();
        assert!(matches!(&refused, Error::DatabaseError(DatabaseErrorKind::CheckViolation, _)), "{refused}");
    }
}

#[test]
fn versions_are_ordered_as_numbers() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    run(conn, "insert into tasker.task_namespaces (name) values ('n')");
    run(
        conn,
        "insert into tasker.named_tasks (task_namespace_id, name, version) select 1, 't', v from unnest('{9.0.0,10.0.0,9.10.0,9.9.0,0.0.1}'::text[]) v",
    );
    let ordered = lines(conn, "select version as line from tasker.named_tasks order by version_key");
    assert_eq!(ordered, ["0.0.1", "9.0.0", "9.9.0", "9.10.0", "10.0.0"]);
}

/// Eight sessions register one text at once, while eight others register others that share its names.
#[test]
fn what_many_register_at_once_is_written_once() {
    let database = TestDatabase::new();
    let texts: Vec<_> = (0..4)
        .map(|n| workflow("shared", &[("a", &[]), ("b", &["a"]), (["c", "d", "e", "f"][n], &["a", "b"])]))
        .collect();
    let (threads, barrier) = (16, Barrier::new(16));
    let ids: Vec<(usize, _)> = thread::scope(|scope| {
        let (database, texts, barrier) = (&database, &texts, &barrier);
        let sessions: Vec<_> = (0..threads)
            .map(|n| {
                scope.spawn(move || {
                    let which = if n < 8 { 0 } else { n % 4 };
                    let conn = &mut database.connection();
                    barrier.wait();
                    (which, register(conn, &texts[which]).unwrap_or_else(|e| panic!("{e}")))
                })
            })
            .collect();
        sessions.into_iter().map(|s| s.join().expect("no panic")).collect()
    });
    for (which, id) in &ids {
        assert!(
            ids.iter().all(|(w, i)| (w == which) == (i == id)),
            "equal texts have equal ids and only they: {ids:?}"
        );
    }
    let conn = &mut database.connection();
    for (table, rows) in [
        ("task_namespaces", "1"),
        ("named_tasks", "1"),
        ("task_definitions", "4"),
        ("dependent_systems", "1"),
        ("named_steps", "6"),
        ("queues", "1"),
        ("definition_steps", "12"),
        ("definition_edges", "12"),
    ] {
        assert_eq!(count(conn, table), rows, "{table}");
    }
}

/// What other languages may send: a limit left out or null is three.
#[test]
fn a_retry_limit_that_is_not_said_is_three() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let step = |name: &str| json!({"name": name, "handler": "h", "dependent_system": "unknown", "retryable": true, "skippable": false, "priority": 3, "depends_on": []});
    let mut steps = [step("null"), step("absent"), step("zero")];
    steps[0]["retry_limit"] = json!(null);
    steps[2]["retry_limit"] = json!(0);
    let document = json!({"namespace": "n", "name": "t", "version": "1.0.0", "steps": steps});
    let id =
        commands::register_definition(conn, &document, &sha256_hex(document.to_string().as_bytes())).unwrap();
    let request = json!([{"context": {}, "identity_hash": "i"}]);
    let rows = commands::submit(conn, id, &request, None).unwrap();
    let steps = StepWithName::of_task(conn, rows[0].1).unwrap();
    let limits: Vec<_> =
        steps.iter().map(|s| (s.name.as_str(), s.step.retry_limit, s.step.available_at.is_some())).collect();
    assert_eq!(limits, [("null", 3, true), ("absent", 3, true), ("zero", 0, false)]);
}
