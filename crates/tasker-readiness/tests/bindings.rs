//! The table functions are what the database has, and compose with Diesel's queries like tables.

mod support;

use std::collections::BTreeMap;

use diesel::{
    dsl::{count, count_star},
    pg::Pg,
    prelude::*,
    sql_types::{Array, Oid, Text},
};
use support::{noon, submit_one};
use tasker_model::schema::{tasks, workflow_step_edges, workflow_steps};
use tasker_readiness::{
    Cached, Signature, StepReadinessStatus, TaskExecutionContext, get_step_readiness_status as one,
    get_step_readiness_status_batch as many, get_task_execution_context as context,
    get_task_execution_contexts_batch as contexts,
};
use tasker_testkit::{TestDatabase, shapes};

const ALL: Option<Vec<i64>> = None;

#[derive(QueryableByName)]
struct Installed {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Array<Oid>)]
    arguments: Vec<u32>,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
    #[diesel(sql_type = Array<Oid>)]
    types: Vec<u32>,
}

/// Every function of schema `tasker` that returns a table.
fn installed(conn: &mut PgConnection) -> BTreeMap<String, Installed> {
    let rows: Vec<Installed> = diesel::sql_query(
        "select 'tasker.' || p.proname as name, p.proargtypes::oid[] as arguments,
           array(select n from unnest(p.proargnames, p.proargmodes) with ordinality a (n, mode, place) where mode = 't' order by place) as columns,
           array(select t from unnest(p.proallargtypes, p.proargmodes) with ordinality a (t, mode, place) where mode = 't' order by place) as types
         from pg_proc p where p.pronamespace = 'tasker'::regnamespace and p.proretset and 't' = any (p.proargmodes)",
    )
    .load(conn)
    .unwrap();
    rows.into_iter().map(|r| (r.name.clone(), r)).collect()
}

/// Everything that Rust has bound as a table.
fn bound(conn: &mut PgConnection) -> Vec<Signature> {
    use tasker_engine::functions as f;
    use tasker_readiness as r;
    vec![
        one::signature(conn),
        many::signature(conn),
        context::signature(conn),
        contexts::signature(conn),
        tasker_readiness::explain_steps::signature(conn),
        r::calculate_dependency_levels::signature(conn),
        r::calculate_dependency_levels_batch::signature(conn),
        r::get_task_workflow_summary::signature(conn),
        r::get_task_workflow_summaries_batch::signature(conn),
        r::get_system_health_counts::signature(conn),
        r::get_analytics_metrics::signature(conn),
        r::get_slowest_steps::signature(conn),
        r::get_slowest_tasks::signature(conn),
        r::get_next_ready_steps::signature(conn),
        f::claim_steps::signature(conn),
        f::exchange_steps::signature(conn),
        f::complete_steps::signature(conn),
        f::fail_steps::signature(conn),
        f::release_steps::signature(conn),
        f::ancestor_results::signature(conn),
        f::register_worker::signature(conn),
        f::renew_worker::signature(conn),
        f::written_reports::signature(conn),
        f::count_prunable::signature(conn),
        f::prune_leftovers::signature(conn),
        f::prune_tasks::signature(conn),
        f::submit_and_exchange::signature(conn),
        f::submit_tasks::signature(conn),
        f::cancel_tasks::signature(conn),
        f::retry_tasks::signature(conn),
        f::retry_steps::signature(conn),
        f::resolve_steps::signature(conn),
        f::cancel_steps::signature(conn),
        f::retry_steps_now::signature(conn),
        f::reset_steps::signature(conn),
        f::skip_steps::signature(conn),
        f::set_retry_limits::signature(conn),
        f::set_priorities::signature(conn),
        f::pause_steps::signature(conn),
        f::pause_tasks::signature(conn),
        f::pause_queues::signature(conn),
        f::resolve_tasks::signature(conn),
        f::operated_steps::signature(conn),
    ]
}

/// Functions that Rust has no business with, each for its reason.
const UNBOUND: &[(&str, &str)] = &[
    ("tasker.adjust_tasks", "internal to the commands: settles tasks under their locks"),
    ("tasker.claimed_steps", "internal to the claims"),
    ("tasker.hold_rest", "internal to tasker.fail_steps and the operations"),
    ("tasker.lift_hold", "internal to the operations"),
    ("tasker.recount_tasks", "internal to the operations: holds, counts and settles under their locks"),
    ("tasker.release_children", "internal to the commands"),
    ("tasker.step_controls", "internal to tasker.explain_steps"),
    ("tasker.step_situation", "internal to tasker.explain_steps"),
    ("tasker.step_situation_at", "internal to tasker.explain_steps"),
    ("tasker.step_readiness_at", "what the functions of step readiness filter; they are bound"),
    ("tasker.task_execution_contexts_at", "what the functions of task context filter; they are bound"),
];

#[test]
fn every_signature_is_that_of_the_database() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let installed = installed(conn);
    for signature in bound(conn) {
        let there =
            installed.get(signature.name).unwrap_or_else(|| panic!("{} is not installed", signature.name));
        assert_eq!(signature.arguments, there.arguments, "arguments of {}", signature.name);
        let columns: Vec<_> =
            there.columns.iter().map(String::as_str).zip(there.types.iter().copied()).collect();
        assert_eq!(signature.columns, columns, "columns of {}", signature.name);
        assert!(!signature.columns.is_empty());
    }
}

#[test]
fn every_function_that_returns_a_table_is_bound_or_has_a_reason() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let mut known: Vec<_> =
        bound(conn).iter().map(|s| s.name).chain(UNBOUND.iter().map(|(name, _)| *name)).collect();
    known.sort_unstable();
    assert_eq!(known, installed(conn).keys().map(String::as_str).collect::<Vec<_>>());
}

/// Two dummy tasks, the first of which is returned.
fn two_tasks(conn: &mut PgConnection) -> i64 {
    let definition = shapes::dummy().definition;
    let first = submit_one(conn, &definition);
    submit_one(conn, &definition);
    first.0
}

#[test]
fn calls_are_filtered_narrowed_ordered_and_boxed_like_tables() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = two_tasks(conn);

    let ready: Vec<String> = one(task, ALL, noon())
        .filter(one::ready_for_execution.eq(true))
        .select(one::name)
        .order(one::name)
        .load(conn)
        .unwrap();
    assert_eq!(ready, ["step-one", "step-two"]);
    let last: Vec<(String, i32)> = one(task, ALL, noon())
        .select((one::name, one::total_parents))
        .order(one::workflow_step_id.desc())
        .limit(2)
        .offset(1)
        .load(conn)
        .unwrap();
    assert_eq!(last.len(), 2);
    let whole: Vec<StepReadinessStatus> = many(Some(vec![task]), noon()).load(conn).unwrap();
    assert_eq!(whole.len(), 4);

    let names = |conn: &mut PgConnection, only: Option<&str>| -> Vec<String> {
        let mut query =
            many(ALL, noon()).select(many::name).order((many::name, many::task_id)).into_boxed::<Pg>();
        if let Some(only) = only {
            query = query.filter(many::name.eq(only.to_owned()));
        }
        query.load(conn).unwrap()
    };
    assert_eq!(names(conn, Some("step-three")), ["step-three"; 2]);
    assert_eq!(names(conn, None).len(), 8);

    assert_eq!(many(ALL, noon()).count().get_result::<i64>(conn), Ok(8));
    assert_eq!(
        many(ALL, noon()).filter(many::dependencies_satisfied).select(count_star()).get_result::<i64>(conn),
        Ok(4)
    );
    let by_state: Vec<(String, i64)> = many(ALL, noon())
        .group_by(many::current_state)
        .select((many::current_state, count(many::workflow_step_id)))
        .load(conn)
        .unwrap();
    assert_eq!(by_state, [("pending".to_owned(), 8)]);

    let status: String = context(task, noon()).select(context::execution_status).first(conn).unwrap();
    assert_eq!(status, "has_ready_steps");
    let all: Vec<TaskExecutionContext> =
        contexts(ALL, noon()).order(contexts::task_id.desc()).load(conn).unwrap();
    assert_eq!(all.iter().map(|c| c.task_id.0).collect::<Vec<_>>(), [task + 1, task]);
    assert_eq!(context(-1, noon()).select(context::task_id).load::<i64>(conn), Ok(vec![]));
    assert_eq!(
        one(task, ALL, diesel::dsl::now).count().get_result::<i64>(conn),
        Ok(4),
        "an expression is an argument too"
    );
}

#[test]
fn calls_are_joined_with_tables_and_stand_in_subqueries() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = two_tasks(conn);

    let joined: Vec<(String, i32)> = one(task, ALL, noon())
        .inner_join(
            workflow_steps::table.on(workflow_steps::task_id
                .eq(one::task_id)
                .and(workflow_steps::workflow_step_id.eq(one::workflow_step_id))),
        )
        .filter(workflow_steps::total_parents.gt(0))
        .select((one::name, workflow_steps::generation))
        .order(one::name)
        .load(conn)
        .unwrap();
    assert_eq!(joined, [("step-four".to_owned(), 1), ("step-three".to_owned(), 1)]);

    // A column of the table is an argument: the call is made for each of its rows.
    let lateral: Vec<(i64, i64)> = tasks::table
        .inner_join(one(tasks::task_id, ALL, noon()).on(one::ready_for_execution.eq(true)))
        .group_by(tasks::task_id)
        .select((tasks::task_id, count(one::workflow_step_id)))
        .order(tasks::task_id)
        .load(conn)
        .unwrap();
    assert_eq!(lateral, [(task, 2), (task + 1, 2)]);

    let ready = many(ALL, noon()).filter(many::ready_for_execution.eq(true)).select(many::workflow_step_id);
    let rows: i64 = workflow_steps::table
        .filter(workflow_steps::workflow_step_id.eq_any(ready))
        .count()
        .get_result(conn)
        .unwrap();
    assert_eq!(rows, 4);
    let open = contexts(ALL, noon()).filter(contexts::ready_steps.gt(0)).select(contexts::task_id);
    assert_eq!(tasks::table.filter(tasks::task_id.eq_any(open)).count().get_result::<i64>(conn), Ok(2));

    let parents: Vec<(String, i64)> = many(Some(vec![task]), noon())
        .left_join(
            workflow_step_edges::table.on(workflow_step_edges::task_id
                .eq(many::task_id)
                .and(workflow_step_edges::to_step_id.eq(many::workflow_step_id))),
        )
        .group_by(many::name)
        .select((many::name, count(workflow_step_edges::from_step_id.nullable())))
        .order(many::name)
        .load(conn)
        .unwrap();
    assert_eq!(
        parents,
        [("step-four", 1), ("step-one", 0), ("step-three", 1), ("step-two", 0)]
            .map(|(n, c)| (n.to_owned(), c))
    );

    let both: Vec<(String, i64)> = one(task, ALL, noon())
        .inner_join(context(task, noon()).on(context::task_id.eq(one::task_id)))
        .select((one::name, context::total_steps))
        .limit(1)
        .load(conn)
        .unwrap();
    assert_eq!(both[0].1, 4);
}

#[test]
fn a_call_is_prepared_once() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let task = two_tasks(conn);
    let prepared = |conn: &mut PgConnection| -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            n: i64,
        }
        let query = "select count(*) as n from pg_prepared_statements where statement like '%get_step_readiness%' or statement like '%lease_ms%'";
        diesel::sql_query(query).get_result::<Count>(conn).unwrap().n
    };
    for _ in 0..3 {
        StepReadinessStatus::for_task(conn, tasker_model::TaskId(task), Some(noon())).unwrap();
    }
    assert_eq!(prepared(conn), 1);
    // What Diesel would prepare anew each time is kept by `Cached`.
    use tasker_model::schema::workers;
    for _ in 0..3 {
        let renewed =
            diesel::update(workers::table).set(workers::lease_ms.eq(1000)).returning(workers::worker_id);
        Cached(renewed).load::<i64>(conn).unwrap();
    }
    assert_eq!(prepared(conn), 2);
}
