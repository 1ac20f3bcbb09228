//! What the tests of this crate ask of a database beside the crate itself.

#![allow(dead_code, reason = "each test binary uses its part")]

use diesel::{PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::Text};
use tasker_testkit::TestDatabase;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The rows of a query whose one column is the text `line`.
pub(crate) fn lines(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows: Vec<Line> = diesel::sql_query(sql).load(conn).unwrap_or_else(|e| panic!("{sql}: {e}"));
    rows.into_iter().map(|l| l.line).collect()
}

/// Runs statements that must succeed.
pub(crate) fn run(conn: &mut PgConnection, sql: &str) {
    conn.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// Everything that stands in schema `tasker`, one sorted line each, without oids. Empty where the schema is
/// not there.
pub(crate) fn dump(database: &TestDatabase) -> Vec<String> {
    let conn = &mut database.connection();
    // Then every name that the server prints is qualified.
    run(conn, "set search_path = pg_catalog");
    lines(
        conn,
        "select line from (
           select 'schema ' || coalesce(obj_description(n.oid), '') as line, n.oid from pg_namespace n
           union all
           select format('table %s %s %s', c.relname, c.reloptions, obj_description(c.oid)), c.relnamespace
           from pg_class c where c.relkind = 'r'
           union all
           select format('column %s %s %s %s not null %s identity %s generated %s default %s: %s', c.relname, a.attnum, a.attname,
                    format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                    pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)), c.relnamespace
           from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
           left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum where c.relkind = 'r'
           union all
           select format('constraint %s %s %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid)), k.connamespace
           from pg_constraint k
           union all
           select format('index %s', pg_get_indexdef(c.oid)), c.relnamespace from pg_class c where c.relkind = 'i'
           union all
           select format('sequence %s %s', c.relname, format_type(s.seqtypid, null)), c.relnamespace
           from pg_class c join pg_sequence s on s.seqrelid = c.oid
           union all
           select format('domain %s of %s: %s', t.typname, format_type(t.typbasetype, t.typtypmod), obj_description(t.oid)), t.typnamespace
           from pg_type t where t.typtype = 'd'
           union all
           select format('function %s: %s', pg_get_functiondef(p.oid), obj_description(p.oid)), p.pronamespace
           from pg_proc p where p.prokind in ('f', 'p')
           union all
           select format('trigger %s', pg_get_triggerdef(t.oid)), c.relnamespace
           from pg_trigger t join pg_class c on c.oid = t.tgrelid where not t.tgisinternal) x
         where x.oid = to_regnamespace('tasker') order by line collate \"C\"",
    )
}
