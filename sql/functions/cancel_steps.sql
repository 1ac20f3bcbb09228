-- Cancels single steps; their tasks go on. What waits for a cancelled step waits until it is retried or reset;
-- under fail-fast it holds the rest, as any dead step does. A handler that still runs learns of it through
-- tasker.lost_claims; its late report is refused.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): cancelled, already_cancelled, refused (with the
-- state of step or task that forbids it), not_found; and task with the new state of a task that changed.
-- Locks: as tasker.operated_steps.
create or replace function tasker.cancel_steps(
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

  with k as (
    select k.*, s.worker_id from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
    join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
    where tasker.step_transition_is_legal(k.state, 'cancelled') and k.task_state in ('pending', 'in_progress', 'error')),
  u as (
    update tasker.workflow_steps s set state = 'cancelled', seq = s.seq + 1, worker_id = null, available_at = null,
      finished_at = v_now, held = false
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, k.state, k.worker_id),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state, actor, reason)
    select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'cancelled', p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;
  -- As tasker.cancel_tasks.
  if v_done_steps is not null and 'in_progress' = any (v_states) then perform pg_notify('tasker', 'check'); end if;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'cancelled'
              when k.state = 'cancelled' then 'already_cancelled' else 'refused' end,
         k.task_id, k.step_id,
         case when d.step_id is not null then 'cancelled' when tasker.step_transition_is_legal(k.state, 'cancelled') then 'task ' || k.task_state else k.state end
  from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
  return query
  select 'task', a.task_id, null::bigint, a.state from tasker.recount_tasks(v_done_tasks, v_now, p_actor, p_reason) a where v_done_tasks is not null;
end $$;
comment on function tasker.cancel_steps(bigint[], bigint[], text, text, timestamptz) is 'Cancels single steps; their tasks go on.';
