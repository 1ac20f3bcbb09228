//! `calculate_dependency_levels` and its batch form.

mod flow;

use diesel::result::Error;
use flow::{Flow, at, parts, steps};
use tasker_engine::definition::StepDefinition;
use tasker_model::TaskId;
use tasker_readiness::DependencyLevel;

/// The levels of a task by the steps' names.
fn levels(flow: &mut Flow, task: TaskId) -> Vec<(String, i32)> {
    let names = flow.ids(task);
    let name =
        |l: &DependencyLevel| names.iter().find(|(_, id)| **id == l.workflow_step_id).unwrap().0.clone();
    let levels = DependencyLevel::for_task(&mut flow.conn, task).unwrap();
    assert!(levels.iter().all(|l| l.task_id == task));
    levels.iter().map(|l| (name(l), l.dependency_level)).collect()
}

fn named(expected: &[(&str, i32)]) -> Vec<(String, i32)> {
    expected.iter().map(|(n, l)| ((*n).to_owned(), *l)).collect()
}

/// Layers of ten steps, each below all ten of the layer above.
fn layered(layers: usize) -> Vec<StepDefinition> {
    let name = |layer: usize, n: usize| format!("l{layer}-{n}");
    let step = |(layer, n)| StepDefinition {
        depends_on: (0..10).filter(|_| layer > 0).map(|p| name(layer - 1, p)).collect(),
        ..StepDefinition::new(name(layer, n), "h")
    };
    (0..layers).flat_map(|l| (0..10).map(move |n| (l, n))).map(step).collect()
}

fn chain(length: usize) -> Vec<StepDefinition> {
    let step = |n: usize| StepDefinition {
        depends_on: n.checked_sub(1).map(|p| format!("s{p}")).into_iter().collect(),
        ..StepDefinition::new(format!("s{n}"), "h")
    };
    (0..length).map(step).collect()
}

#[test]
fn a_level_is_the_longest_path_that_leads_to_a_step() {
    let mut flow = Flow::new();
    let long_arm = steps(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a", "c"])]);
    let task = flow.submit(parts("diamond", long_arm), 0);
    assert_eq!(levels(&mut flow, task), named(&[("a", 0), ("b", 1), ("c", 2), ("d", 3)]));
    assert_eq!(DependencyLevel::for_task(&mut flow.conn, TaskId(-1)), Ok(vec![]));
}

#[test]
fn every_component_is_there_by_level_and_step() {
    let mut flow = Flow::new();
    let three =
        steps(&[("a", &[]), ("b", &["a"]), ("alone", &[]), ("x", &[]), ("y", &[]), ("z", &["y", "x"])]);
    let task = flow.submit(parts("components", three), 0);
    let expected = [("a", 0), ("alone", 0), ("x", 0), ("y", 0), ("b", 1), ("z", 1)];
    assert_eq!(levels(&mut flow, task), named(&expected));
}

#[test]
fn levels_do_not_change_with_the_state_of_the_steps() {
    let mut flow = Flow::new();
    let task = flow.submit(parts("w", steps(&[("a", &[]), ("b", &["a"])])), 0);
    let fresh = levels(&mut flow, task);
    flow.drain(0);
    assert_eq!(levels(&mut flow, task), fresh);
}

#[test]
fn a_batch_has_each_task_once_by_id_and_null_means_every_open_one() {
    let mut flow = Flow::new();
    let done = flow.submit(parts("done", steps(&[("a", &[])])), 0);
    flow.drain(0);
    let first = flow.submit(parts("w", steps(&[("a", &[]), ("b", &["a"])])), 1);
    let second = flow.submit(parts("w", steps(&[("a", &[]), ("b", &["a"])])), 2);
    let conn = &mut flow.conn;
    let all = DependencyLevel::for_tasks(conn, Some(&[second, TaskId(-1), done, first, second])).unwrap();
    let of = |task| DependencyLevel::for_task(&mut flow.database.connection(), task).unwrap();
    assert_eq!(all, [of(done), of(first), of(second)].concat());
    assert_eq!(DependencyLevel::for_tasks(conn, None).unwrap(), [of(first), of(second)].concat());
    assert_eq!(DependencyLevel::for_tasks(conn, Some(&[])), Ok(vec![]));
}

/// With every path counted this would take 10^9 rows; what is read is what is there, by key.
#[test]
fn the_number_of_paths_does_not_matter() {
    let mut flow = Flow::new();
    let task = flow.submit(parts("layers", layered(10)), 0);
    let rows = DependencyLevel::for_task(&mut flow.conn, task).unwrap();
    let expected: Vec<i32> = (0..100).map(|n| n / 10).collect();
    assert_eq!(rows.iter().map(|r| r.dependency_level).collect::<Vec<_>>(), expected);
    assert_eq!(rows_read(&mut flow, task), (100, 900));
}

#[test]
fn a_long_chain_is_read_once() {
    let mut flow = Flow::new();
    let task = flow.submit(parts("chain", chain(2_000)), 0);
    let rows = DependencyLevel::for_task(&mut flow.conn, task).unwrap();
    assert_eq!(rows.iter().map(|r| r.dependency_level).collect::<Vec<_>>(), (0..2_000).collect::<Vec<_>>());
    assert_eq!(rows_read(&mut flow, task), (2_000, 1_999));
}

/// Rows of steps and of edges that one call reads from the tables and their indexes, and that no part of its
/// plan handles more often than there are edges: the plan is read back from the server's own counters.
fn rows_read(flow: &mut Flow, task: TaskId) -> (i64, i64) {
    let read = |flow: &mut Flow, table: &str| {
        flow.number(&format!(
            "select pg_stat_get_xact_tuples_returned('tasker.{table}'::regclass) + (
               select coalesce(sum(pg_stat_get_xact_tuples_returned(i.indexrelid)), 0)::bigint
               from pg_index i where i.indrelid = 'tasker.{table}'::regclass) as n"
        ))
    };
    flow.execute(
        "analyze tasker.workflow_steps; analyze tasker.workflow_step_edges; set enable_seqscan = off; begin",
    );
    let before = (read(flow, "workflow_steps"), read(flow, "workflow_step_edges"));
    flow.execute(&format!("select from tasker.calculate_dependency_levels({task})"));
    let after = (read(flow, "workflow_steps"), read(flow, "workflow_step_edges"));
    flow.execute("commit");
    (after.0 - before.0, after.1 - before.1)
}

/// Joins inside the function would not show in the rows read: its plans must hold no nested loop.
#[test]
fn edges_are_numbered_without_a_nested_loop() {
    let mut flow = Flow::new();
    let setting = "select count(*) as n from pg_proc where oid = 'tasker.calculate_dependency_levels_batch(bigint[])'::regprocedure
      and 'enable_nestloop=off' = any (proconfig)";
    assert_eq!(flow.number(setting), 1);
}

#[test]
fn a_circle_ends_with_an_error_that_names_it() {
    let mut flow = Flow::new();
    let task = flow.submit(parts("w", steps(&[("a", &[]), ("b", &["a"]), ("c", &["b"])])), 0);
    let ids = flow.ids(task);
    let (b, c) = (ids["b"], ids["c"]);
    flow.execute(&format!(
        "insert into tasker.workflow_step_edges values ({task}, {c}, {b}, 'provides', '{}')",
        at(0)
    ));
    let refused = DependencyLevel::for_task(&mut flow.conn, task).unwrap_err();
    let Error::DatabaseError(_, info) = &refused else { panic!("{refused}") };
    assert_eq!(info.message(), format!("steps of task {task} wait for each other in a circle"));
    assert_eq!(info.details(), Some(format!("Step {b} is in the circle or below it.").as_str()));

    // A component without a root is found too, beside one that is sound.
    flow.execute(&format!("delete from tasker.workflow_step_edges where from_step_id = {}", ids["a"]));
    DependencyLevel::for_task(&mut flow.conn, task).unwrap_err();
}
