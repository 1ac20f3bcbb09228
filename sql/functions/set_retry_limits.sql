-- Changes how many attempts steps may have. A raised limit brings an exhausted step back: due at the instant that
-- its last transition or tasker.retry_steps_now set, or at once if there is none or it is past; its task opens
-- again. A lowered one may leave a step dead, and the task may settle by it.
--   p_retry_limit      the total number of attempts, 0 to 1000000; 0 means never
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): limited, unchanged, refused (with the state of step
-- or task that forbids it, or attempts N where the limit would be below the attempts made), not_found; and task
-- with the new state of a task that changed.
-- Locks: as tasker.operated_steps.
create or replace function tasker.set_retry_limits(
  p_task_ids bigint[], p_step_ids bigint[], p_retry_limit integer, p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_states text[];
  v_refusals text[]; v_done_tasks bigint[]; v_done_steps bigint[];
begin
  if p_retry_limit is null or p_retry_limit not between 0 and 1000000 then
    raise exception 'a retry limit lies between 0 and 1000000, this is %', p_retry_limit using errcode = 'invalid_parameter_value';
  end if;
  select array_agg(o.task_id), array_agg(o.workflow_step_id), array_agg(o.state), array_agg(o.task_state)
  into v_tasks, v_steps, v_states, v_task_states from tasker.operated_steps(p_task_ids, p_step_ids, p_actor) o;
  v_now := coalesce(p_now, clock_timestamp());
  select array_agg(case
      when k.state not in ('pending', 'in_progress', 'error') then k.state
      when k.task_state not in ('pending', 'in_progress', 'error') then 'task ' || k.task_state
      when s.attempts > p_retry_limit then 'attempts ' || s.attempts end order by k.place)
  into v_refusals
  from unnest(v_tasks, v_steps, v_states, v_task_states) with ordinality k (task_id, step_id, state, task_state, place)
  left join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id;

  with b as materialized (
    select s.task_id, s.workflow_step_id, s.retry_limit, greatest(v_now, coalesce((
        select (c.new_value ->> 'available_at')::timestamptz from tasker.control_log c
        where c.task_id = s.task_id and c.workflow_step_id = s.workflow_step_id and c.kind = 'due' and (c.new_value ->> 'seq')::integer = s.seq
        order by c.control_id desc limit 1), l.available_at)) as due_at
    from unnest(v_tasks, v_steps, v_refusals) k (task_id, step_id, refusal)
    join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
    left join tasker.workflow_step_transitions l on l.task_id = s.task_id and l.workflow_step_id = s.workflow_step_id and l.seq = s.seq
    where k.refusal is null and s.retry_limit <> p_retry_limit),
  u as (
    update tasker.workflow_steps s set retry_limit = p_retry_limit, available_at =
      case when tasker.is_claimable(s.state, s.pending_parents, s.attempts, p_retry_limit, s.retryable, s.failure_kind)
        then coalesce(s.available_at, b.due_at) end
    from b where s.task_id = b.task_id and s.workflow_step_id = b.workflow_step_id
    returning s.task_id, s.workflow_step_id, b.retry_limit),
  l as (
    insert into tasker.control_log (task_id, workflow_step_id, at, kind, old_value, new_value, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, 'retry_limit', to_jsonb(u.retry_limit), to_jsonb(p_retry_limit), p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'limited' when k.refusal is not null then 'refused' else 'unchanged' end,
         k.task_id, k.step_id, coalesce(k.refusal, k.state)
  from unnest(v_tasks, v_steps, v_states, v_refusals) k (task_id, step_id, state, refusal)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
  return query
  select 'task', a.task_id, null::bigint, a.state from tasker.recount_tasks(v_done_tasks, v_now, p_actor, p_reason) a where v_done_tasks is not null;
end $$;
comment on function tasker.set_retry_limits(bigint[], bigint[], integer, text, text, timestamptz) is 'Changes how many attempts steps may have.';
