-- Makes steps that wait for their next attempt due at once. Nothing else changes: the same generation, the same
-- idempotency key, no attempt given back.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): due, already_due, refused (with the state of step
-- or task that forbids it, or not claimable), not_found.
-- Logs the instant with the step's seq, so that explain finds what it replaces.
-- Locks: as tasker.operated_steps.
create or replace function tasker.retry_steps_now(
  p_task_ids bigint[], p_step_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[];
  v_done_tasks bigint[]; v_done_steps bigint[];
begin
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());

  with b as materialized (
    select s.task_id, s.workflow_step_id, s.available_at from unnest(v_tasks, v_steps, v_task_states) k (task_id, step_id, task_state)
    join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
    where s.available_at > v_now and k.task_state in ('pending', 'in_progress', 'error')),
  u as (
    update tasker.workflow_steps s set available_at = v_now from b
    where s.task_id = b.task_id and s.workflow_step_id = b.workflow_step_id and s.available_at = b.available_at
    returning s.task_id, s.workflow_step_id, s.seq, b.available_at),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, old_value, new_value, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, 'due', to_jsonb(u.available_at), jsonb_build_object('seq', u.seq, 'available_at', v_now), p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  if v_done_tasks is not null then perform tasker.wake_workers(); end if;
  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'due'
              when s.available_at is not null and k.task_state in ('pending', 'in_progress', 'error') then 'already_due' else 'refused' end,
         k.task_id, k.step_id,
         case when k.state not in ('pending', 'error') or s.available_at is not null and k.task_state in ('pending', 'in_progress', 'error') then k.state
              when k.task_state not in ('pending', 'in_progress', 'error') then 'task ' || k.task_state
              when k.state is not null then 'not claimable' end
  from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
  left join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) on d.task_id = k.task_id and d.step_id = k.step_id order by 2, 3;
end $$;
comment on function tasker.retry_steps_now(bigint[], bigint[], text, text, timestamptz) is
  'Makes steps that wait for their next attempt due at once.';
