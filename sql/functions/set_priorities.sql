-- Changes in which order steps are claimed. A step that runs keeps running; its next attempt has the new priority.
--   p_priority         1 is claimed first, 5 last
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): prioritized, unchanged, refused (with the state of
-- step or task that forbids it), not_found.
-- Locks: as tasker.operated_steps.
create or replace function tasker.set_priorities(
  p_task_ids bigint[], p_step_ids bigint[], p_priority integer, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[];
  v_done_tasks bigint[]; v_done_steps bigint[];
begin
  if p_priority is null or p_priority not between 1 and 5 then
    raise exception 'a priority lies between 1 and 5, this is %', p_priority using errcode = 'invalid_parameter_value';
  end if;
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());

  with b as materialized (
    select s.task_id, s.workflow_step_id, s.priority from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
    join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
    where k.state in ('pending', 'in_progress', 'error') and k.task_state in ('pending', 'in_progress', 'error') and s.priority <> p_priority),
  u as (
    update tasker.workflow_steps s set priority = p_priority from b
    where s.task_id = b.task_id and s.workflow_step_id = b.workflow_step_id
    returning s.task_id, s.workflow_step_id, b.priority),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, old_value, new_value, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, 'priority', to_jsonb(u.priority), to_jsonb(p_priority), p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'prioritized'
              when k.state in ('pending', 'in_progress', 'error') and k.task_state in ('pending', 'in_progress', 'error') then 'unchanged' else 'refused' end,
         k.task_id, k.step_id,
         case when k.state in ('pending', 'in_progress', 'error') and k.task_state not in ('pending', 'in_progress', 'error')
           then 'task ' || k.task_state else k.state end
  from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
end $$;
comment on function tasker.set_priorities(bigint[], bigint[], integer, text, text, timestamptz) is 'Changes in which order steps are claimed.';
