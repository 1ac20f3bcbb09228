//! Submitting: in the caller's transaction, once for each identity, checked before anything is written, on the
//! definition that the task then keeps.

mod support;

use std::sync::{Arc, Barrier};

use diesel::Connection;
use serde_json::{Value, json};
use support::{Bench, number, parts};
use tasker_engine::{
    definition::{JsonError, WorkflowDefinition, WorkflowParts},
    identity::Identity,
    submit::{SubmitError, Submitted, TaskRequest, submit},
};
use tasker_model::{StepState, TaskId, TaskState};

const CHAIN: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"])];

fn tasks(bench: &mut Bench) -> i64 {
    number(&mut bench.conn, "select count(*) from tasker.tasks")
}

fn submit_with(bench: &mut Bench, context: Value, identity: &Identity) -> Submitted {
    submit(&mut bench.conn, &bench.definition, &[TaskRequest::new(context)], identity, None).unwrap()[0]
}

fn refusal(bench: &mut Bench, request: TaskRequest) -> SubmitError {
    let good = TaskRequest::new(json!({}));
    let refused =
        submit(&mut bench.conn, &bench.definition, &[good, request], &Identity::Random, None).unwrap_err();
    assert_eq!(tasks(bench), 0, "all or none");
    refused
}

#[test]
fn a_submission_is_part_of_the_callers_transaction() {
    let mut bench = Bench::new(CHAIN);
    let definition = bench.definition.clone();
    let request = [TaskRequest::new(json!({"n": 1}))];
    let rolled_back = bench.conn.transaction(|conn| {
        submit(conn, &definition, &request, &Identity::Random, None).unwrap();
        Err::<(), _>(diesel::result::Error::RollbackTransaction)
    });
    assert!(rolled_back.is_err());
    for table in ["tasks", "workflow_steps", "workflow_step_edges", "task_definitions"] {
        assert_eq!(number(&mut bench.conn, &format!("select count(*) from tasker.{table}")), 0, "{table}");
    }
    let kept = bench.conn.transaction(|conn| submit(conn, &definition, &request, &Identity::Random, None));
    let task = kept.unwrap()[0].task_id;
    assert_eq!(bench.drain(), ["a", "b"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn random_identities_are_all_different() {
    let mut bench = Bench::new(CHAIN);
    for _ in 0..3 {
        assert!(submit_with(&mut bench, json!({}), &Identity::Random).created);
    }
    assert_eq!(tasks(&mut bench), 3);
}

#[test]
fn a_hashed_identity_names_the_task_that_has_it() {
    let mut bench = Bench::new(CHAIN);
    let context = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let first = submit_with(&mut bench, context(r#"{"a": 1, "b": {"x": 1, "y": 2}}"#), &Identity::Hash);
    assert!(first.created);
    let same = submit_with(&mut bench, context(r#"{"b": {"y": 2, "x": 1}, "a": 1}"#), &Identity::Hash);
    assert_eq!(same, Submitted { task_id: first.task_id, created: false });
    assert!(submit_with(&mut bench, json!({"a": 2}), &Identity::Hash).created);

    let original = parts(CHAIN);
    for other in [
        WorkflowParts { namespace: "elsewhere".into(), ..original.clone() },
        WorkflowParts { version: "0.2.0".parse().unwrap(), ..original.clone() },
        WorkflowParts { name: "other".into(), ..original },
    ] {
        bench.definition = WorkflowDefinition::new(other).unwrap();
        let context = context(r#"{"a": 1, "b": {"x": 1, "y": 2}}"#);
        assert!(submit_with(&mut bench, context, &Identity::Hash).created);
    }
    bench.database.assert_sound();
}

#[test]
fn a_custom_identity_is_what_the_function_says() {
    let mut bench = Bench::new(CHAIN);
    let order = Identity::Custom(Arc::new(|_, r| format!("order {}", r.context["order"])));
    let first = submit_with(&mut bench, json!({"order": 7}), &order);
    let again = submit_with(&mut bench, json!({"order": 7, "note": "again"}), &order);
    assert_eq!((again.task_id, again.created), (first.task_id, false));
    let long = Identity::Custom(Arc::new(|_, _| "x".repeat(129)));
    let refused =
        submit(&mut bench.conn, &bench.definition, &[TaskRequest::new(json!({}))], &long, None).unwrap_err();
    assert!(matches!(refused, SubmitError::TooLong { position: 0, .. }), "{refused}");
}

#[test]
fn one_identity_twice_in_a_batch_is_one_task() {
    let mut bench = Bench::new(CHAIN);
    let requests: Vec<_> = [1, 2, 1, 2, 3].map(|n| TaskRequest::new(json!({"n": n}))).into();
    let all = submit(&mut bench.conn, &bench.definition, &requests, &Identity::Hash, None).unwrap();
    assert_eq!(all.iter().map(|s| s.created).collect::<Vec<_>>(), [true, true, false, false, true]);
    assert_eq!((all[0].task_id, all[1].task_id), (all[2].task_id, all[3].task_id));
    assert_eq!(tasks(&mut bench), 3);
    bench.database.assert_sound();
}

#[test]
fn twenty_sessions_that_submit_one_identity_at_once_make_one_task() {
    let mut bench = Bench::new(CHAIN);
    let barrier = Arc::new(Barrier::new(20));
    let threads: Vec<_> = (0..20)
        .map(|_| {
            let (mut conn, barrier) = (bench.database.connection(), barrier.clone());
            let definition = bench.definition.clone();
            std::thread::spawn(move || {
                barrier.wait();
                submit(&mut conn, &definition, &[TaskRequest::new(json!({}))], &Identity::Hash, None).unwrap()
                    [0]
            })
        })
        .collect();
    let all: Vec<Submitted> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert_eq!(all.iter().filter(|s| s.created).count(), 1);
    assert!(all.iter().all(|s| s.task_id == all[0].task_id));
    assert_eq!(tasks(&mut bench), 1);
    assert_eq!(number(&mut bench.conn, "select count(*) from tasker.task_definitions"), 1);
    bench.database.assert_sound();
}

#[test]
fn only_skippable_steps_are_left_out() {
    let mut parts = parts(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]);
    parts.steps[1].skippable = true;
    let mut bench = Bench::with(parts);
    let bypassing =
        |step: &str| TaskRequest { bypass_steps: vec![step.into()], ..TaskRequest::new(json!({})) };
    assert!(matches!(refusal(&mut bench, bypassing("a")), SubmitError::NotSkippable { position: 1, .. }));
    assert!(matches!(refusal(&mut bench, bypassing("z")), SubmitError::UnknownBypass { position: 1, .. }));
    // The function says the same to callers in other languages.
    let id = tasker_engine::submit::register(&mut bench.conn, &bench.definition).unwrap();
    for step in ["a", "z"] {
        let request = json!([{"context": {}, "identity_hash": step, "bypass_steps": [step]}]);
        let refused = tasker_engine::commands::submit(&mut bench.conn, id, &request, None).unwrap_err();
        assert!(refused.to_string().contains("not skippable"), "{refused}");
    }
    let task = bench.submit_request(bypassing("b"));
    assert_eq!(bench.step_state(task, "b"), StepState::ResolvedManually);
    assert_eq!(bench.drain(), ["a", "c"]);
    assert_eq!(bench.state(task), TaskState::Complete);
    bench.database.assert_sound();
}

#[test]
fn what_is_left_out_is_left_out_in_the_name_of_who_asked_for_that_task() {
    let mut parts = parts(&[("root", &[])]);
    (parts.steps[0].skippable, parts.steps[0].retry_limit) = (true, 0);
    let mut bench = Bench::with(parts);
    let by = |who: &str| TaskRequest {
        initiator: who.into(),
        bypass_steps: vec!["root".into()],
        ..TaskRequest::new(json!({}))
    };
    let requests = [by("ann"), by("bob")];
    let all = submit(&mut bench.conn, &bench.definition, &requests, &Identity::Hash, None).unwrap();
    let log = "select actor || ' ' || to_state from tasker.workflow_step_transitions order by task_id";
    assert_eq!(support::texts(&mut bench.conn, log), ["ann resolved_manually", "bob resolved_manually"]);
    // A step that may never run but is left out does not put the task into error on the way.
    let log = "select from_state || ' ' || to_state from tasker.task_transitions order by task_id, seq";
    assert_eq!(support::texts(&mut bench.conn, log), ["pending complete", "pending complete"]);

    // The same again names the same tasks.
    let again = submit(&mut bench.conn, &bench.definition, &requests, &Identity::Hash, None).unwrap();
    assert!(again.iter().all(|s| !s.created));
    assert_eq!(
        again.iter().map(|s| s.task_id).collect::<Vec<_>>(),
        all.iter().map(|s| s.task_id).collect::<Vec<_>>()
    );
    bench.database.assert_sound();
}

#[test]
fn a_context_that_cannot_be_stored_is_refused_before_anything_is_written() {
    let mut bench = Bench::new(CHAIN);
    let deep = (0..70).fold(json!({}), |inner, _| json!({"in": inner}));
    let cases: [(Value, fn(&JsonError) -> bool); 4] = [
        (json!({"a": {"b": ["x\0y"]}}), |e| matches!(e, JsonError::NulCharacter { .. })),
        (deep, |e| matches!(e, JsonError::TooDeep { limit: 64, .. })),
        (json!([1]), |e| matches!(e, JsonError::NotAnObject { .. })),
        (json!({"x": "y".repeat(2 << 20)}), |e| matches!(e, JsonError::TooLarge { .. })),
    ];
    for (context, is_expected) in cases {
        match refusal(&mut bench, TaskRequest::new(context)) {
            SubmitError::Json { position: 1, source } => assert!(is_expected(&source), "{source}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_large_batch_is_answered_in_the_order_of_its_requests() {
    let mut bench = Bench::new(CHAIN);
    let requests: Vec<_> = (0..1_203).map(|n| TaskRequest::new(json!({"n": n}))).collect();
    let all = submit(&mut bench.conn, &bench.definition, &requests, &Identity::Random, None).unwrap();
    assert!(all.iter().all(|s| s.created));
    assert!(all.is_sorted_by_key(|s| s.task_id));
    assert_eq!(bench.task(all[1_202].task_id).context, json!({"n": 1_202}));
    assert_eq!(number(&mut bench.conn, "select count(*) from tasker.workflow_steps"), 2_406);
}

#[test]
fn a_running_task_keeps_the_definition_that_it_started_with() {
    let mut bench = Bench::new(CHAIN);
    let old = bench.submit();
    bench.definition = WorkflowDefinition::new(parts(&[("a", &[]), ("c", &["a"]), ("d", &["c"])])).unwrap();
    let new = bench.submit();
    assert_ne!(bench.task(old).definition_id, bench.task(new).definition_id);
    assert_eq!(bench.task(old).named_task_id, bench.task(new).named_task_id);
    let mut ran = bench.drain();
    ran.sort();
    assert_eq!(ran, ["a", "a", "b", "c", "d"]);
    bench.database.assert_sound();
}

#[test]
fn by_name_the_highest_semantic_version_is_submitted() {
    let mut bench = Bench::new(CHAIN);
    for version in ["10.0.0", "9.0.0", "9.10.0"] {
        let parts = WorkflowParts { version: version.parse().unwrap(), ..parts(CHAIN) };
        bench.definition = WorkflowDefinition::new(parts).unwrap();
        tasker_engine::submit::register(&mut bench.conn, &bench.definition).unwrap();
    }
    let mut by_name = |arguments: &str| {
        let task =
            number(&mut bench.conn, &format!("select tasker.submit_task('default', 'bench', {arguments})"));
        let named = tasker_model::Task::find(&mut bench.conn, TaskId(task)).unwrap().unwrap().1;
        (task, named.version)
    };
    assert_eq!(by_name("'{}'").1, "10.0.0");
    assert_eq!(by_name("'{}', '9.0.0'").1, "9.0.0");
    let (first, _) = by_name("'{}', null, 'one'");
    assert_eq!(by_name("'{}', '9.10.0', 'one'"), (first, "10.0.0".into()));
    let unknown = diesel::connection::SimpleConnection::batch_execute(
        &mut bench.conn,
        "select tasker.submit_task('default', 'nothing', '{}')",
    );
    assert!(unknown.unwrap_err().to_string().contains("no workflow nothing is registered"));
    bench.database.assert_sound();
}

#[test]
fn a_hash_belongs_to_one_definition() {
    let mut bench = Bench::new(CHAIN);
    let hash = bench.definition.content_hash();
    let one = serde_json::to_value(&bench.definition).unwrap();
    let register = |bench: &mut Bench, text: &Value| {
        tasker_engine::commands::register_definition(&mut bench.conn, text, &hash)
    };
    let id = register(&mut bench, &one).unwrap();
    assert_eq!(register(&mut bench, &one).unwrap(), id);
    let mut other = one.clone();
    other["description"] = json!("another text under the same hash");
    let refused = register(&mut bench, &other).unwrap_err().to_string();
    assert!(refused.contains("belongs to another definition"), "{refused}");
    assert_eq!(register(&mut bench, &one).unwrap(), id);
}
