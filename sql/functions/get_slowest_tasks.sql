-- The tasks that took longest from their creation to completion or failure, of those created in a period.
--   p_since      tasks created after it, up to p_now, are looked at; NULL means the 24 hours before p_now
--   p_limit      the most rows; NULL for all
--   p_namespace, p_task_name, p_version  narrow it to workflows; NULL for any
--   p_now        moves the clock, not the state; defaults to the start of the statement
-- Returns one row for each task that is complete or in error, longest first, then by task. The first thirteen
-- columns are those of the original: duration_seconds is from created_at to completed_at, three decimals;
-- completed_at is when it went to its state; completed_steps are complete or resolved_manually. Then task_status.
-- Cost: the tasks of the period (a BRIN index on created_at); steps only of the rows returned.
create or replace function tasker.get_slowest_tasks(
  p_since timestamptz default null, p_limit integer default 10, p_namespace text default null, p_task_name text default null,
  p_version text default null, p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, task_name text, namespace_name text, version text, duration_seconds double precision, step_count bigint,
  completed_steps bigint, error_steps bigint, created_at timestamptz, completed_at timestamptz, initiator text, source_system text,
  task_status text)
language sql stable rows 10 as $$
  select t.task_id, t.task_name, t.namespace_name, t.version, round(extract(epoch from t.finished_at - t.created_at), 3)::double precision,
    s.total, s.done, s.error, t.created_at, t.finished_at, t.initiator, t.source_system, t.state::text
  from (
    select t.*, k.name as task_name, k.version, m.name as namespace_name
    from tasker.tasks t
    join tasker.named_tasks k on k.named_task_id = t.named_task_id join tasker.task_namespaces m on m.task_namespace_id = k.task_namespace_id
    where t.created_at > coalesce(p_since, p_now - interval '24 hours') and t.created_at <= p_now and t.state in ('complete', 'error')
      and (p_namespace is null or m.name = p_namespace) and (p_task_name is null or k.name = p_task_name)
      and (p_version is null or k.version = p_version)
    order by t.finished_at - t.created_at desc, t.task_id limit p_limit) t
  cross join lateral (
    select count(*) as total, count(*) filter (where tasker.is_done(s.state)) as done, count(*) filter (where s.state = 'error') as error
    from tasker.workflow_steps s where s.task_id = t.task_id) s
  order by t.finished_at - t.created_at desc, t.task_id
$$;
comment on function tasker.get_slowest_tasks(timestamptz, integer, text, text, text, timestamptz) is
  'The tasks that took longest to completion or failure, of those created in a period.';
