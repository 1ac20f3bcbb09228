-- Counts done parents off their children, in the order of the children's ids, and makes those available
-- whose last parent this was. The decrement is relative and is applied to the row as it is once its lock
-- is held, so two parents that end at once are both counted.
--   p_task_ids, p_step_ids  steps that have just become complete or resolved_manually
-- Returns one row for each child that became available: task, step, and whether fail-fast holds it.
create or replace function tasker.release_children(p_task_ids bigint[], p_step_ids bigint[], p_now timestamptz)
returns table (task_id bigint, workflow_step_id bigint, held boolean)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query
  with d as (
    select e.task_id, e.to_step_id, count(*)::integer as n
    from unnest(p_task_ids, p_step_ids) p (task_id, step_id)
    join tasker.workflow_step_edges e on e.task_id = p.task_id and e.from_step_id = p.step_id group by 1, 2),
  k as materialized (
    select s.task_id, s.workflow_step_id, d.n
    from d join tasker.workflow_steps s on s.task_id = d.task_id and s.workflow_step_id = d.to_step_id
    order by s.workflow_step_id for update of s),
  u as (
    update tasker.workflow_steps s set
      pending_parents = s.pending_parents - k.n,
      available_at = case when tasker.is_claimable(s.state, s.pending_parents - k.n, s.attempts, s.retry_limit, s.retryable, s.failure_kind) then p_now end
    from k where s.task_id = k.task_id and s.workflow_step_id = k.workflow_step_id
    returning s.task_id, s.workflow_step_id, s.held, s.available_at)
  select u.task_id, u.workflow_step_id, u.held from u where u.available_at is not null;
end $$;
comment on function tasker.release_children(bigint[], bigint[], timestamptz) is
  'Counts done parents off their children and makes available those with none left; internal to the commands.';
