//! Every CHECK and every guard of schema `tasker` refuses what it is there to refuse, by its name.

mod support;

use std::collections::BTreeSet;

use diesel::{
    Connection, PgConnection,
    connection::SimpleConnection,
    result::{DatabaseErrorKind, Error},
};
use support::{lines, run};
use tasker_testkit::TestDatabase;

/// One of everything that the statements below need.
const ROWS: &str = "
insert into tasker.task_namespaces (name) values ('n');
insert into tasker.named_tasks (task_namespace_id, name, version) values (1, 't', '1.0.0');
insert into tasker.task_definitions (named_task_id, content_hash, definition, failure_policy) values (1, repeat('0', 64), '{}', 'drain');
insert into tasker.dependent_systems (name) values ('one'), ('two');
insert into tasker.named_steps (dependent_system_id, name) values (1, 'a'), (1, 'b');
insert into tasker.queues (task_namespace_id, handler) values (1, 'h');
insert into tasker.definition_steps (definition_id, named_step_id, queue_id, position, default_retryable, default_retry_limit, skippable, priority, total_parents)
  values (1, 1, 1, 0, true, 3, false, 3, 0);
insert into tasker.tasks (named_task_id, definition_id, live_steps, requested_at, created_at, identity_hash, context)
  values (1, 1, 1, now(), now(), 'i', '{}');
insert into tasker.workers (name, handlers, lease_ms, started_at, last_seen_at, lease_until) values ('w', '{h}', 1000, now(), now(), now());
insert into tasker.workflow_steps (task_id, created_at, named_step_id, queue_id, pending_parents, total_parents, available_at)
  values (1, now(), 1, 1, 0, 0, now()), (1, now(), 2, 1, 1, 1, null);
insert into tasker.workflow_step_edges (task_id, from_step_id, to_step_id, created_at) values (1, 1, 2, now());
insert into tasker.annotation_types (name) values ('note');";

/// The start of each INSERT and the values of a row that would be taken.
const STEP_LOG: &str = "insert into tasker.workflow_step_transitions (task_id, workflow_step_id, at, generation, retry_limit, seq, attempt, from_state, to_state, failure_kind, actor) values (1, 1, now(), 1, 3, ";
const TASK_LOG: &str =
    "insert into tasker.task_transitions (task_id, at, seq, from_state, to_state, actor) values (1, now(), ";
const SET_STEP: &str = "update tasker.workflow_steps set ";
const SET_TASK: &str = "update tasker.tasks set ";

fn violations() -> Vec<(&'static str, String)> {
    let long = |n: usize| format!("repeat('x', {n})");
    let name =
        |table: &str, column: &str, value: &str| format!("update tasker.{table} set {column} = {value}");
    let step = |change: &str| format!("{SET_STEP}{change} where workflow_step_id = 1");
    let child = |change: &str| format!("{SET_STEP}{change} where workflow_step_id = 2");
    let task = |change: &str| format!("{SET_TASK}{change}");
    let step_log = |rest: &str| format!("{STEP_LOG}{rest})");
    let task_log = |rest: &str| format!("{TASK_LOG}{rest})");
    let definition_step = |change: &str| format!("update tasker.definition_steps set {change}");
    let map = |one: &str, two: &str| {
        format!(
            "insert into tasker.dependent_system_object_maps (dependent_system_one_id, dependent_system_two_id, remote_id_one, remote_id_two) values (1, 2, {one}, {two})"
        )
    };
    vec![
        // Lengths, both ends.
        ("namespace_name_length", name("task_namespaces", "name", "''")),
        ("namespace_name_length", name("task_namespaces", "name", &long(65))),
        ("namespace_description_length", name("task_namespaces", "description", &long(256))),
        ("named_task_name_length", name("named_tasks", "name", "''")),
        ("named_task_name_length", name("named_tasks", "name", &long(65))),
        ("dependent_system_name_length", "insert into tasker.dependent_systems (name) values ('')".into()),
        ("dependent_system_name_length", format!("insert into tasker.dependent_systems (name) values ({})", long(65))),
        ("dependent_system_description_length", name("dependent_systems", "description", &long(256))),
        ("remote_id_one_length", map("''", "'r'")),
        ("remote_id_one_length", map(&long(129), "'r'")),
        ("remote_id_two_length", map("'r'", "''")),
        ("remote_id_two_length", map("'r'", &long(129))),
        ("named_step_name_length", "update tasker.named_steps set name = '' where named_step_id = 1".into()),
        ("named_step_name_length", format!("update tasker.named_steps set name = {} where named_step_id = 1", long(129))),
        ("queue_handler_length", name("queues", "handler", "''")),
        ("queue_handler_length", name("queues", "handler", &long(257))),
        ("key_length", task("identity_hash = ''")),
        ("key_length", task(&format!("identity_hash = {}", long(129)))),
        ("label_length", task(&format!("initiator = {}", long(129)))),
        ("label_length", task(&format!("source_system = {}", long(129)))),
        ("label_length", task(&format!("reason = {}", long(129)))),
        ("worker_name_length", name("workers", "name", "''")),
        ("worker_name_length", name("workers", "name", &long(257))),
        ("key_length", name("workflow_step_edges", "name", "''")),
        ("key_length", name("workflow_step_edges", "name", &long(129))),
        ("annotation_type_name_length", name("annotation_types", "name", "''")),
        ("annotation_type_name_length", name("annotation_types", "name", &long(65))),
        ("annotation_type_description_length", name("annotation_types", "description", &long(256))),
        // Forms and words.
        ("named_task_version_form", name("named_tasks", "version", "'1.0'")),
        ("named_task_version_form", name("named_tasks", "version", "'1.0.0.0'")),
        ("named_task_version_form", name("named_tasks", "version", "'1.0.0000000001'")),
        ("named_task_version_form", name("named_tasks", "version", "'1. 0.0'")),
        ("content_hash_form", name("task_definitions", "content_hash", "repeat('A', 64)")),
        ("content_hash_form", name("task_definitions", "content_hash", "repeat('0', 63)")),
        ("definition_is_object", name("task_definitions", "definition", "'[]'")),
        ("failure_policy_known", name("task_definitions", "failure_policy", "'ignore'")),
        ("is_object", task("context = '[1]'")),
        ("is_object", task("context = 'null'")),
        ("annotation_is_object", "insert into tasker.task_annotations (task_id, annotation_type_id, annotation) values (1, 1, '\"text\"')".into()),
        ("step_state_known", step("state = 'failed'")),
        ("task_state_known", task("state = 'failed'")),
        ("failure_kind_known", step("failure_kind = 'odd'")),
        ("control_kind_known", "insert into tasker.control_log (task_id, at, kind) values (1, now(), 'odd')".into()),
        ("control_names_something", "insert into tasker.control_log (at, kind) values (now(), 'paused')".into()),
        // Ranges.
        ("definition_step_position", definition_step("position = -1")),
        ("default_retry_limit_range", definition_step("default_retry_limit = -1")),
        ("default_retry_limit_range", definition_step("default_retry_limit = 1001")),
        ("definition_step_priority", definition_step("priority = 0")),
        ("definition_step_priority", definition_step("priority = 6")),
        ("definition_step_parents", definition_step("total_parents = -1")),
        ("live_steps_range", task("live_steps = -1")),
        ("task_seq_range", task("seq = -1")),
        ("lease_range", name("workers", "lease_ms", "99")),
        ("lease_range", name("workers", "lease_ms", "86400001")),
        ("attempts_range", step("attempts = -1")),
        ("retry_limit_range", step("retry_limit = 1000001")),
        ("retry_limit_range", step("retry_limit = -1, available_at = null")),
        ("step_seq_range", step("seq = -1")),
        ("generation_range", step("generation = 0")),
        ("step_priority", step("priority = 0")),
        ("step_priority", step("priority = 6")),
        ("pending_parents_range", child("pending_parents = 2")),
        ("pending_parents_range", child("pending_parents = -1")),
        ("step_transition_seq", step_log("0, 1, 'pending', 'in_progress', null, null")),
        ("transition_attempt", step_log("1, -1, 'pending', 'in_progress', null, null")),
        ("task_transition_seq", task_log("0, 'pending', 'in_progress', null")),
        // No edge leads back to where it starts.
        ("definition_edge_not_self", "insert into tasker.definition_edges (definition_id, from_named_step_id, to_named_step_id) values (1, 1, 1)".into()),
        ("edge_not_self", "insert into tasker.workflow_step_edges (task_id, from_step_id, to_step_id, created_at) values (1, 1, 1, now())".into()),
        // available_at is there exactly when the step may be claimed: each reason for which it may not.
        ("available_iff_claimable", step("available_at = null")),
        ("available_iff_claimable", child("available_at = now()")),
        ("available_iff_claimable", step("attempts = 3")),
        ("available_iff_claimable", step("retry_limit = 0")),
        ("available_iff_claimable", step("failure_kind = 'permanent'")),
        ("available_iff_claimable", step("retryable = false, attempts = 1")),
        ("available_iff_claimable", step("state = 'in_progress', worker_id = 1, attempts = 1, last_attempted_at = now()")),
        // State and what goes with it.
        ("worker_iff_in_progress", step("worker_id = 1")),
        ("worker_iff_in_progress", step("state = 'in_progress', available_at = null, attempts = 1, last_attempted_at = now()")),
        ("step_finished_iff_terminal", step("finished_at = now()")),
        ("step_finished_iff_terminal", step("state = 'cancelled', available_at = null")),
        ("error_says_how", "insert into tasker.workflow_steps (task_id, created_at, named_step_id, queue_id, pending_parents, total_parents, available_at, state, attempts, last_failure_at) values (1, now(), 1, 1, 0, 0, now(), 'error', 1, now())".into()),
        ("error_says_how", "insert into tasker.workflow_steps (task_id, created_at, named_step_id, queue_id, pending_parents, total_parents, available_at, state, attempts, failure_kind) values (1, now(), 1, 1, 0, 0, now(), 'error', 1, 'timeout')".into()),
        ("attempted_iff_attempts", step("state = 'in_progress', worker_id = 1, available_at = null, last_attempted_at = now()")),
        ("attempted_iff_attempts", step("state = 'in_progress', worker_id = 1, available_at = null, attempts = 1")),
        ("results_only_when_done", step("results = '{}'")),
        ("task_finished_iff_terminal", task("finished_at = now()")),
        ("task_finished_iff_terminal", task("state = 'complete', live_steps = 0")),
        ("task_finished_has_no_live_steps", task("state = 'error', finished_at = now()")),
        ("worker_reaped_after_end", name("workers", "reaped_at", "now()")),
        // The logs.
        ("step_transition_legal", step_log("1, 1, 'pending', 'complete', null, null")),
        ("task_transition_legal", task_log("1, 'complete', 'error', null")),
        ("failure_has_a_kind", step_log("1, 1, 'in_progress', 'error', null, null")),
        ("failure_has_a_kind", step_log("1, 1, 'in_progress', 'complete', 'timeout', null")),
        ("step_operation_has_actor", step_log("1, 1, 'complete', 'pending', null, null")),
        ("step_operation_has_actor", step_log("1, 1, 'pending', 'cancelled', null, null")),
        ("step_operation_has_actor", step_log("1, 1, 'error', 'resolved_manually', null, null")),
        ("task_operation_has_actor", task_log("1, 'error', 'pending', null")),
        ("task_operation_has_actor", task_log("1, 'in_progress', 'cancelled', null")),
        ("step_transition_is_legal", step("state = 'complete', available_at = null, finished_at = now()")),
        ("task_transition_is_legal", task("state = 'resolved_manually', live_steps = 0, finished_at = now()")),
    ]
}

/// The name of the constraint that refused the statement; the statement leaves nothing behind.
fn refused_by(conn: &mut PgConnection, statement: &str) -> Result<String, String> {
    let mut answer = Err("it was accepted".to_owned());
    let _rolled_back = conn.transaction::<(), _, _>(|conn| {
        match conn.batch_execute(statement) {
            Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, info)) => {
                answer = Ok(info.constraint_name().unwrap_or_default().to_owned());
            }
            Err(other) => answer = Err(other.to_string()),
            Ok(()) => {}
        }
        Err(Error::RollbackTransaction)
    });
    answer
}

#[test]
fn every_check_refuses_by_its_name() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    run(conn, ROWS);
    let mut wrong = vec![];
    for (constraint, statement) in violations() {
        let answer = refused_by(conn, &statement);
        if answer.as_deref() != Ok(constraint) {
            wrong.push(format!("{constraint}: {statement}\n  gave {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The tables of tasker-auth are not tried here: their rows are its business.
#[test]
fn no_rule_is_left_out_above() {
    let database = TestDatabase::new();
    let installed = lines(
        &mut database.connection(),
        r"select conname::text as line from pg_constraint where contype = 'c' and connamespace = 'tasker'::regnamespace
            and conrelid::regclass::text not in ('tasker.api_tokens', 'tasker.audit_log', 'tasker.logins', 'tasker.sessions')
          union
          select m[1] from pg_proc p, regexp_matches(p.prosrc, 'then\s+''(\w+)''', 'g') m
          where p.pronamespace = 'tasker'::regnamespace and p.proname like 'guard\_%' order by 1",
    );
    let tried: BTreeSet<_> = violations().into_iter().map(|(name, _)| name).collect();
    assert_eq!(tried.into_iter().collect::<Vec<_>>(), installed);
}

/// What the table above breaks is otherwise accepted, so that each refusal is for the reason given.
#[test]
fn the_rows_beside_them_are_accepted() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    run(conn, ROWS);
    for statement in [
        format!("{STEP_LOG}1, 1, 'pending', 'in_progress', null, null)"),
        format!("{STEP_LOG}2, 1, 'in_progress', 'pending', null, null)"),
        format!("{STEP_LOG}3, 1, 'in_progress', 'error', 'timeout', null)"),
        format!("{STEP_LOG}4, 1, 'error', 'pending', null, 'ada')"),
        format!("{TASK_LOG}1, 'pending', 'in_progress', null)"),
        format!("{TASK_LOG}2, 'error', 'pending', 'ada')"),
        format!(
            "{SET_STEP}state = 'in_progress', worker_id = 1, available_at = null, attempts = 1, last_attempted_at = now() where workflow_step_id = 1"
        ),
        format!(
            "{SET_STEP}state = 'complete', worker_id = null, finished_at = now(), results = '{{}}' where workflow_step_id = 1"
        ),
        format!("{SET_TASK}state = 'complete', live_steps = 0, finished_at = now()"),
        "update tasker.named_tasks set version = '999999999.0.10'".into(),
        "update tasker.task_namespaces set name = repeat('é', 64)".into(),
        "update tasker.definition_steps set default_retry_limit = 1000, priority = 5".into(),
        "update tasker.workers set ended_at = now(), reaped_at = now(), lease_ms = 86400000".into(),
    ] {
        run(conn, &statement);
    }
}

/// The guards ask the functions that decide, also one that was written anew since they were first used.
#[test]
fn the_guards_follow_the_functions() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    run(conn, ROWS);
    let unavailable = "update tasker.workflow_steps set available_at = null where workflow_step_id = 1";
    assert_eq!(refused_by(conn, unavailable).as_deref(), Ok("available_iff_claimable"));
    run(
        conn,
        "create or replace function tasker.is_claimable(
           state text, pending_parents integer, attempts integer, retry_limit integer, retryable boolean, failure_kind text)
         returns boolean language sql immutable return false",
    );
    run(conn, unavailable);
    let log = format!("{STEP_LOG}1, 1, 'pending', 'complete', null, null)");
    assert_eq!(refused_by(conn, &log).as_deref(), Ok("step_transition_legal"));
    run(
        conn,
        "create or replace function tasker.step_transition_is_legal(from_state text, to_state text)
         returns boolean language sql immutable return true",
    );
    run(conn, &log);
}
