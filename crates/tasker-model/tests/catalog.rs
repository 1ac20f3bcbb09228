//! What must hold of every table, column, constraint and index, so that no reviewer needs to remember it.

mod support;

use support::{lines, run};
use tasker_model::{FailureKind, StepState, TaskState};
use tasker_testkit::TestDatabase;

/// Foreign keys that no index supports on the side that refers. What they refer to is reference data, which
/// is never deleted and whose keys are generated, so nothing ever looks for the rows that refer to it; an
/// index would be paid for with every row written. Steps of definitions are deleted by retention, but all of a
/// definition at once, after its edges, whose primary key leads to that definition.
const WITHOUT_INDEX: &[&str] = &[
    "definition_edges(definition_id, to_named_step_id)",
    "definition_steps(named_step_id)",
    "definition_steps(queue_id)",
];

#[test]
fn the_words_of_the_domains_are_those_of_the_enums() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    let mut allowed = |domain: &str| {
        lines(
            conn,
            &format!(
                "select (regexp_matches(pg_get_constraintdef(k.oid), '''([^'']*)''', 'g'))[1] as line
                 from pg_constraint k where k.contypid = 'tasker.{domain}'::regtype"
            ),
        )
    };
    assert_eq!(allowed("step_state"), StepState::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>());
    assert_eq!(allowed("task_state"), TaskState::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>());
    assert_eq!(allowed("failure_kind"), FailureKind::ALL.iter().map(|k| k.as_str()).collect::<Vec<_>>());
}

#[test]
fn every_word_is_read_back_as_it_was_written() {
    for state in StepState::ALL {
        assert_eq!(state.as_str().parse(), Ok(*state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    for state in TaskState::ALL {
        assert_eq!(state.as_str().parse(), Ok(*state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    for kind in FailureKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(*kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    assert_eq!(
        "failed".parse::<StepState>().unwrap_err().to_string(),
        "`failed` is no state of a step; known are pending, in_progress, complete, error, cancelled, resolved_manually"
    );
}

/// Which states are done is said once in SQL and once in Rust.
#[test]
fn both_sides_agree_on_what_is_done() {
    let database = TestDatabase::new();
    for state in StepState::ALL {
        let answer =
            lines(&mut database.connection(), &format!("select tasker.is_done('{state}')::text as line"));
        assert_eq!(answer, [state.is_done().to_string()], "{state}");
    }
}

#[test]
fn every_foreign_key_has_an_index_or_a_reason() {
    let database = TestDatabase::new();
    // An index supports the key if the key's columns lead it in any order; its predicate may leave out NULLs.
    let unsupported = lines(
        &mut database.connection(),
        "select format('%s(%s)', c.relname, (
            select string_agg(a.attname, ', ' order by k.place) from unnest(f.conkey) with ordinality k (attnum, place)
            join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum)) as line
         from pg_constraint f join pg_class c on c.oid = f.conrelid
         where f.contype = 'f' and f.connamespace = 'tasker'::regnamespace and not exists (
           select from pg_index i where i.indrelid = f.conrelid
             and (i.indkey::smallint[])[0:cardinality(f.conkey) - 1] @> f.conkey
             and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) ~ '^\\(\\w+ IS NOT NULL\\)$'))
         order by 1",
    );
    assert_eq!(unsupported, WITHOUT_INDEX);
}

#[test]
fn every_table_and_column_says_what_it_means() {
    let database = TestDatabase::new();
    let silent = lines(
        &mut database.connection(),
        "select format('%s.%s', c.relname, a.attname) as line
         from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'r'
           and (obj_description(c.oid) is null or coalesce(col_description(c.oid, a.attnum), '') !~ '\\.$')
         union all
         select proname || '()' from pg_proc
         where pronamespace = 'tasker'::regnamespace and coalesce(obj_description(oid), '') !~ '\\.$'
         union all
         select typname from pg_type
         where typnamespace = 'tasker'::regnamespace and typtype = 'd' and coalesce(obj_description(oid), '') !~ '\\.$'",
    );
    assert_eq!(silent, [""; 0]);
}

#[test]
fn every_instant_knows_its_zone() {
    let database = TestDatabase::new();
    let wrong = lines(
        &mut database.connection(),
        "select format('%s.%s is %s', table_name, column_name, data_type) as line from information_schema.columns
         where table_schema = 'tasker' and (
           data_type in ('timestamp without time zone', 'date', 'time without time zone')
           or (column_name ~ '_at$' or column_name in ('at', 'lease_until')) <> (data_type = 'timestamp with time zone'))",
    );
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_index_repeats_the_leading_columns_of_another() {
    let database = TestDatabase::new();
    let repeated = lines(
        &mut database.connection(),
        "select format('%s is covered by %s', a.indexrelid::regclass, b.indexrelid::regclass) as line
         from pg_index a join pg_index b on b.indrelid = a.indrelid and b.indexrelid <> a.indexrelid
         join pg_class c on c.oid = a.indrelid
         where c.relnamespace = 'tasker'::regnamespace and a.indexprs is null and b.indexprs is null
           and pg_get_expr(a.indpred, a.indrelid) is not distinct from pg_get_expr(b.indpred, b.indrelid)
           and (b.indkey::smallint[])[0:a.indnkeyatts - 1] = (a.indkey::smallint[])[0:a.indnkeyatts - 1]
           and (not a.indisunique or a.indnkeyatts = b.indnkeyatts)",
    );
    assert_eq!(repeated, [""; 0]);
}

/// The keys that partitioning and distribution need, and that nothing is deleted behind our back.
#[test]
fn keys_of_runtime_tables_begin_with_the_task() {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    // Then every name is printed with its schema, whatever the role is called.
    run(conn, "set search_path = pg_catalog");
    let keys = lines(
        conn,
        "select format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) as line from pg_constraint
         where contype = 'p' and conrelid in ('tasker.tasks'::regclass, 'tasker.workflow_steps'::regclass,
           'tasker.workflow_step_edges'::regclass, 'tasker.workflow_step_transitions'::regclass, 'tasker.task_transitions'::regclass)
         order by 1",
    );
    assert_eq!(
        keys,
        [
            "tasker.task_transitions PRIMARY KEY (task_id, seq)",
            "tasker.tasks PRIMARY KEY (task_id)",
            "tasker.workflow_step_edges PRIMARY KEY (task_id, from_step_id, to_step_id)",
            "tasker.workflow_step_transitions PRIMARY KEY (task_id, workflow_step_id, seq)",
            "tasker.workflow_steps PRIMARY KEY (task_id, workflow_step_id)",
        ]
    );
    let cascading = lines(
        conn,
        "select conname::text as line from pg_constraint
         where contype = 'f' and connamespace = 'tasker'::regnamespace and (confdeltype <> 'a' or confupdtype <> 'a')",
    );
    assert_eq!(cascading, [""; 0]);
}
