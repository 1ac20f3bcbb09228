//! Whether the database's refusal is a right that the role lacks, asked of the catalog: the refusal itself
//! says so only in the server's language.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Nullable, Text},
};

#[derive(QueryableByName)]
struct Missing {
    #[diesel(sql_type = Nullable<Text>)]
    missing: Option<String>,
}

/// The first right that a worker needs and this role lacks, for a sentence: "execute on function …".
pub(super) fn missing(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    sql_query(
        "select coalesce(
           (select format('usage on schema %I', n.nspname) from pg_namespace n
            where n.nspname = 'tasker' and not has_schema_privilege(n.oid, 'usage')),
           (select format('execute on function %s.%s', n.nspname, p.proname)
            from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where n.nspname = 'tasker' and p.proname in ('register_worker', 'renew_lease', 'claim_steps', 'complete_steps', 'fail_steps')
              and not has_function_privilege(p.oid, 'execute') order by p.oid limit 1),
           (select format('%s on table %s.%s', r.name, n.nspname, c.relname)
            from (values ('tasks', 'select'), ('tasks', 'update'), ('workflow_steps', 'select'), ('workflow_steps', 'update'),
                ('workflow_step_edges', 'select'), ('task_transitions', 'insert'), ('workflow_step_transitions', 'insert'),
                ('workers', 'select'), ('workers', 'update'), ('queues', 'select')) r (relation, name)
            join pg_namespace n on n.nspname = 'tasker'
            join pg_class c on c.relnamespace = n.oid and c.relname = r.relation
            where not has_table_privilege(c.oid, r.name) order by c.oid limit 1)) as missing",
    )
    .get_result::<Missing>(conn)
    .map(|row| row.missing)
}
