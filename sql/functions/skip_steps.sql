-- Leaves out steps that the definition marks skippable: tasker.resolve_steps without a result, with a reason that
-- says so. What is not skippable can still be resolved.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): skipped, already_resolved, refused (with the state
-- of step or task that forbids it, or not skippable), not_found; and task with the new state of a task that changed.
-- Locks: as tasker.resolve_steps.
create or replace function tasker.skip_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_tasks bigint[]; v_steps bigint[];
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  -- Whether a step is skippable never changes: it is read without a lock.
  select coalesce(array_agg(i.task_id), '{}'), coalesce(array_agg(i.step_id), '{}') into v_tasks, v_steps
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  left join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id where s.skippable is not false;
  return query
  select 'refused', s.task_id, s.workflow_step_id, 'not skippable'
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id where not s.skippable;
  return query
  select case r.outcome when 'resolved' then 'skipped' else r.outcome end, r.task_id, r.workflow_step_id, r.state
  from tasker.resolve_steps(v_tasks, v_steps, array_fill(null::jsonb, array[cardinality(v_steps)]), p_actor, 'skipped' || coalesce(': ' || p_reason, ''), p_now) r;
end $$;
comment on function tasker.skip_steps(bigint[], bigint[], text, text, timestamptz) is 'Leaves out steps that the definition marks skippable.';
