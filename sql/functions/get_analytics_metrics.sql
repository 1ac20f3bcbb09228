-- How the tasks that were created in a period have fared up to now, in one row.
--   p_since  tasks created after it, up to p_now, are looked at; NULL means the hour before p_now
--   p_now    moves the clock, not the state; defaults to the start of the statement
-- Tasks are counted by their own state, each once:
--   active_tasks_count      open tasks, whenever they were created
--   total_namespaces_count  namespaces that have a task, whenever it was created
--   unique_task_types_count workflows that have a task, by namespace and name; versions are one
--   system_health_score     completed of those that completed or failed, three decimals; 1 if there are none
--   task_throughput         tasks created in the period
--   completion_count, error_count, completion_rate, error_rate  those of them that are complete, or in error, and
--                           how many of a hundred that is, two decimals; 0 if there are none
--   avg_task_duration       of the complete ones: seconds from created to finished, three decimals
--   avg_step_duration       of their complete steps: seconds from the last claim to completion, three decimals
--   step_throughput         steps of the tasks created in the period
--   analysis_period_start, calculated_at  the period
--   cancelled_count, resolved_manually_count, open_count  the rest of the tasks created in the period
-- An average of nothing is NULL. A step's row carries the instants of its last claim and of its completion as
-- the log has them, so the log need not be read.
-- Cost: the tasks of the period (a BRIN index on created_at) and their steps by key, which offset 0 sees to, as a
-- join may read all that ever ran; the open tasks by index alone; a probe for each definition.
create or replace function tasker.get_analytics_metrics(p_since timestamptz default null, p_now timestamptz default statement_timestamp())
returns table (
  active_tasks_count bigint, total_namespaces_count bigint, unique_task_types_count bigint, system_health_score double precision,
  task_throughput bigint, completion_count bigint, error_count bigint, completion_rate double precision, error_rate double precision,
  avg_task_duration double precision, avg_step_duration double precision, step_throughput bigint, analysis_period_start timestamptz,
  calculated_at timestamptz, cancelled_count bigint, resolved_manually_count bigint, open_count bigint)
language sql stable rows 1 as $$
  -- From one definition that has tasks to the next: a join would read every task.
  with recursive used (definition_id) as (
    (select t.definition_id from tasker.tasks t order by t.definition_id limit 1)
    union all
    select (select t.definition_id from tasker.tasks t where t.definition_id > u.definition_id order by t.definition_id limit 1)
    from used u where u.definition_id is not null)
  select o.active, k.namespaces, k.types, coalesce(round(m.complete::numeric / nullif(m.complete + m.error, 0), 3), 1)::double precision,
    m.tasks, m.complete, m.error, coalesce(round(m.complete * 100.0 / nullif(m.tasks, 0), 2), 0)::double precision,
    coalesce(round(m.error * 100.0 / nullif(m.tasks, 0), 2), 0)::double precision, round(m.seconds, 3)::double precision,
    round(s.seconds, 3)::double precision, s.steps, coalesce(p_since, p_now - interval '1 hour'), p_now,
    m.cancelled, m.resolved_manually, m.open
  from (
    select count(*) as tasks, count(*) filter (where t.state = 'complete') as complete, count(*) filter (where t.state = 'error') as error,
      count(*) filter (where t.state = 'cancelled') as cancelled, count(*) filter (where t.state = 'resolved_manually') as resolved_manually,
      count(*) filter (where t.state in ('pending', 'in_progress')) as open,
      avg(extract(epoch from t.finished_at - t.created_at)) filter (where t.state = 'complete') as seconds
    from tasker.tasks t where t.created_at > coalesce(p_since, p_now - interval '1 hour') and t.created_at <= p_now) m
  cross join (
    select count(*) as steps, avg(extract(epoch from s.finished_at - s.last_attempted_at)) filter (where s.state = 'complete') as seconds
    from tasker.tasks t
    cross join lateral (select s.state, s.finished_at, s.last_attempted_at from tasker.workflow_steps s where s.task_id = t.task_id offset 0) s
    where t.created_at > coalesce(p_since, p_now - interval '1 hour') and t.created_at <= p_now) s
  cross join (select count(*) as active from tasker.tasks t where t.finished_at is null) o
  cross join (
    select count(distinct n.task_namespace_id) as namespaces, count(distinct (n.task_namespace_id, n.name)) as types
    from used u join tasker.task_definitions d on d.definition_id = u.definition_id join tasker.named_tasks n on n.named_task_id = d.named_task_id) k
$$;
comment on function tasker.get_analytics_metrics(timestamptz, timestamptz) is 'How the tasks that were created in a period have fared up to now.';
