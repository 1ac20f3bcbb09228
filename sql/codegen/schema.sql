-- The text of crates/tasker-model/src/schema.rs below its header, from the catalog: one line a row.
-- Comments on tables and columns become documentation.
with types (pg, diesel) as (
  values ('bigint', 'BigInt'), ('integer', 'Integer'), ('smallint', 'SmallInt'), ('text', 'Text'), ('boolean', 'Bool'),
    ('timestamp with time zone', 'Timestamptz'), ('jsonb', 'Jsonb'), ('bytea', 'Binary'), ('text[]', 'Array<Nullable<Text>>'),
    ('integer[]', 'Array<Nullable<Integer>>')),
tables as (
  select c.oid, c.relname as name, obj_description(c.oid) as doc,
    (select string_agg(a.attname, ', ' order by k.place) from pg_index i
     cross join unnest(i.indkey::smallint[]) with ordinality k (attnum, place)
     join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum where i.indrelid = c.oid and i.indisprimary) as pk
  from pg_class c where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'r'),
columns as (
  select t.name as table_name, a.attnum, a.attname, col_description(t.oid, a.attnum) as doc,
    case when a.attnotnull then d.diesel else format('Nullable<%s>', d.diesel) end as type
  from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  join pg_type y on y.oid = a.atttypid
  left join types d on d.pg = format_type(coalesce(nullif(y.typbasetype, 0), y.oid), null)),
keys as (
  select child.relname as child, parent.relname as parent, min(a.attname) as col
  from pg_constraint k join pg_class child on child.oid = k.conrelid join pg_class parent on parent.oid = k.confrelid
  join pg_attribute a on a.attrelid = child.oid and a.attnum = k.conkey[1]
  where k.contype = 'f' and child.relnamespace = 'tasker'::regnamespace
  group by 1, 2 having count(*) = 1 and max(cardinality(k.conkey)) = 1),
lines (part, a, b, line) as (
  select 1, t.name, 0, format(E'diesel::table! {\n    use diesel::sql_types::*;\n\n    /// %s\n    tasker.%s (%s) {', t.doc, t.name, t.pk) from tables t
  union all
  select 1, c.table_name, c.attnum, format(E'        /// %s\n        %s -> %s,', c.doc, c.attname, c.type) from columns c
  union all
  select 1, t.name, 1000, E'    }\n}\n' from tables t
  union all
  select 2, k.child, 0, format('diesel::joinable!(%s -> %s (%s));', k.child, k.parent, k.col) from keys k
  union all
  select 3, '', 0, format(E'\ndiesel::allow_tables_to_appear_in_same_query!(\n%s\n);', string_agg(format('    %s,', t.name), E'\n' order by t.name)) from tables t)
select line from lines order by part, a collate "C", b, line
