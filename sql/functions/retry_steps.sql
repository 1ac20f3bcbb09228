-- Gives dead or failed steps a new generation: pending again, attempts from 0, a new idempotency key. The
-- task opens again. Under fail-fast the hold is lifted once no dead step is left; until then it takes in the
-- retried steps too.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): retried, already_pending, refused (with the state of
-- step or task that forbids it), not_found; and task with the new state of a task that changed.
-- Locks: as tasker.operated_steps.
create or replace function tasker.retry_steps(
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
    select * from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
    where k.state in ('error', 'cancelled') and k.task_state in ('pending', 'in_progress', 'error', 'cancelled')),
  u as (
    update tasker.workflow_steps s set state = 'pending', seq = s.seq + 1, generation = s.generation + 1, attempts = 0,
      failure_kind = null, last_error = null, backoff_request_seconds = null, finished_at = null,
      available_at = case when tasker.is_claimable('pending', s.pending_parents, 0, s.retry_limit, s.retryable, null) then v_now end
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = k.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, s.available_at, k.state),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, at, available_at, seq, attempt, generation, retry_limit, from_state, to_state, actor, reason)
    select u.task_id, u.workflow_step_id, v_now, u.available_at, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'pending', p_actor, p_reason from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id) into v_done_tasks, v_done_steps from u;

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'retried'
              when k.state = 'pending' then 'already_pending' else 'refused' end,
         k.task_id, k.step_id,
         case when d.step_id is not null then 'pending' when k.state in ('error', 'cancelled') then 'task ' || k.task_state else k.state end
  from unnest(v_tasks, v_steps, v_states, v_task_states) k (task_id, step_id, state, task_state)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id) order by 2, 3;
  return query
  select 'task', a.task_id, null::bigint, a.state from tasker.recount_tasks(v_done_tasks, v_now, p_actor, p_reason) a where v_done_tasks is not null;
end $$;
comment on function tasker.retry_steps(bigint[], bigint[], text, text, timestamptz) is
  'Gives dead or failed steps a new generation and opens their tasks again.';
