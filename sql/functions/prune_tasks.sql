-- Deletes finished tasks with all that belongs to them: steps, edges, both logs, control log, annotations. One
-- call is one bounded batch; call it again until it returns no row. Their identities are free again.
--   p_before      tasks that finished before this instant
--   p_state       which of them: complete, error, cancelled or resolved_manually; one state a call, so that one
--                 range of an index is read in order
--   p_namespaces  only tasks of workflows of these namespaces; NULL means all
--   p_limit       at most so many tasks
--   p_step_limit  and no more once they have so many steps; the first is taken whatever it has
--   p_after       where the last batch ended (its last finished_at): what was deleted there is not read again, which
--                 counts where an old snapshot keeps vacuum from removing it. NULL begins with the oldest
-- Returns one row for each task that is gone, the first to finish first.
-- Locks: tasks, then their steps, all without waiting, so that it can stand in nobody's way and in no deadlock.
-- A task that an operator is working on is passed over; one that was opened again is read anew under its lock
-- and stays.
create or replace function tasker.prune_tasks(
  p_before timestamptz, p_state text default 'complete', p_namespaces text[] default null, p_limit integer default 500,
  p_step_limit integer default 10000, p_after timestamptz default null)
returns table (task_id bigint, finished_at timestamptz, steps integer)
language plpgsql rows 500 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_workflows integer[]; v_tasks bigint[]; v_finished timestamptz[]; v_counts integer[];
begin
  if p_state is null or p_state not in ('complete', 'error', 'cancelled', 'resolved_manually') then
    raise exception 'tasks that are % are not pruned', coalesce(p_state, 'NULL') using errcode = 'invalid_parameter_value',
      hint = 'Only finished tasks are: complete, error, cancelled, resolved_manually.';
  end if;
  if p_before is null or p_limit is null or p_limit < 1 or p_step_limit is null or p_step_limit < 1 then
    raise exception 'pruning needs an instant and limits of at least 1' using errcode = 'invalid_parameter_value';
  end if;
  if p_namespaces is not null then
    v_workflows := array(
      select w.named_task_id from tasker.named_tasks w join tasker.task_namespaces n on n.task_namespace_id = w.task_namespace_id
      where n.name = any (p_namespaces));
  end if;

  with k as materialized (
    select t.task_id, t.finished_at from tasker.tasks t
    where t.outcome = p_state and t.finished_at < p_before and t.finished_at >= coalesce(p_after, '-infinity')
      and (v_workflows is null or t.named_task_id = any (v_workflows))
    order by t.finished_at limit p_limit for update skip locked),
  n as (
    select k.*, (select count(*) from tasker.workflow_steps s where s.task_id = k.task_id)::integer as steps from k),
  c as (
    select n.*, row_number() over w as place, sum(n.steps) over w as total from n window w as (order by n.finished_at, n.task_id))
  select array_agg(c.task_id), array_agg(c.finished_at), array_agg(c.steps) into v_tasks, v_finished, v_counts
  from c where c.place = 1 or c.total <= p_step_limit;
  if v_tasks is null then return; end if;

  -- Operations lock steps before tasks. Whoever has a step of a task now, waits for that task: it is let go.
  with k as materialized (select s.task_id from tasker.workflow_steps s where s.task_id = any (v_tasks) for update skip locked),
  n as (select k.task_id, count(*) as locked from k group by 1)
  select array_agg(i.task_id), array_agg(i.finished_at), array_agg(i.steps) into v_tasks, v_finished, v_counts
  from unnest(v_tasks, v_finished, v_counts) i (task_id, finished_at, steps) left join n on n.task_id = i.task_id
  where i.steps = coalesce(n.locked, 0);
  if v_tasks is null then return; end if;

  delete from tasker.workflow_step_edges e where e.task_id = any (v_tasks);
  delete from tasker.workflow_step_transitions l where l.task_id = any (v_tasks);
  delete from tasker.control_log l where l.task_id = any (v_tasks);
  delete from tasker.workflow_steps s where s.task_id = any (v_tasks);
  delete from tasker.task_annotations a where a.task_id = any (v_tasks);
  delete from tasker.task_transitions l where l.task_id = any (v_tasks);
  delete from tasker.tasks t where t.task_id = any (v_tasks);
  return query
  select i.task_id, i.finished_at, i.steps from unnest(v_tasks, v_finished, v_counts) i (task_id, finished_at, steps)
  order by i.finished_at, i.task_id;
end $$;
comment on function tasker.prune_tasks(timestamptz, text, text[], integer, integer, timestamptz) is
  'Deletes a bounded batch of finished tasks with all that belongs to them.';
