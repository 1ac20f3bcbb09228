-- Gives dead or failed steps a new generation: pending again, attempts from 0, a new idempotency key. The
-- task opens again, and a hold of fail-fast is lifted once no dead step is left.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns rows of (outcome, task_id, workflow_step_id, state): retried, refused (with the state of step or
-- task that forbids it), not_found; and task with the new state of a task that changed.
-- Locks: steps in progress of the tasks by id, their other unfinished steps by id, their tasks by id.
create or replace function tasker.retry_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (outcome text, task_id bigint, workflow_step_id bigint, state text)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_states text[]; v_task_ids bigint[]; v_task_states text[]; v_live integer[];
  v_done_tasks bigint[]; v_done_steps bigint[];
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state = 'in_progress' order by s.workflow_step_id for update;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state <> 'in_progress' order by s.workflow_step_id for update;
  with k as materialized (
    select t.task_id, t.state::text as state, t.live_steps from tasker.tasks t where t.task_id = any (p_task_ids) order by t.task_id for update)
  select array_agg(k.task_id), array_agg(k.state), array_agg(k.live_steps) into v_task_ids, v_task_states, v_live from k;
  select array_agg(s.task_id), array_agg(s.workflow_step_id), array_agg(s.state::text) into v_tasks, v_steps, v_states
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (
    select k.* from unnest(v_tasks, v_steps, v_states) k (task_id, step_id, state)
    join unnest(v_task_ids, v_task_states) t (task_id, state) on t.task_id = k.task_id
    where k.state in ('error', 'cancelled') and t.state in ('pending', 'in_progress', 'error', 'cancelled')),
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

  perform tasker.lift_hold(v_done_tasks, v_now, p_actor, p_reason);

  return query
  select case when k.state is null then 'not_found' when d.step_id is not null then 'retried' else 'refused' end,
         i.task_id, i.step_id,
         case when d.step_id is not null then 'pending' when k.state in ('error', 'cancelled') then 'task ' || t.state else k.state end
  from (select distinct * from unnest(p_task_ids, p_step_ids) i (task_id, step_id)) i
  left join unnest(v_tasks, v_steps, v_states) k (task_id, step_id, state) using (task_id, step_id)
  left join unnest(v_task_ids, v_task_states) t (task_id, state) using (task_id)
  left join unnest(v_done_tasks, v_done_steps) d (task_id, step_id) using (task_id, step_id);

  if v_done_tasks is not null then
    return query
    with n as (
      select t.task_id, count(s.workflow_step_id)::integer - t.live_steps as delta
      from unnest(v_task_ids, v_live) t (task_id, live_steps)
      left join tasker.workflow_steps s on s.task_id = t.task_id and (s.available_at is not null and not s.held or s.state = 'in_progress')
      where t.task_id = any (v_done_tasks) group by t.task_id, t.live_steps),
    g as (select array_agg(n.task_id) as ids, array_agg(n.delta) as deltas from n)
    select 'task', a.task_id, null::bigint, a.state from g, tasker.adjust_tasks(g.ids, g.deltas, p_now, p_actor, p_reason) a;
  end if;
end $$;
comment on function tasker.retry_steps(bigint[], bigint[], text, text, timestamptz) is
  'Gives dead or failed steps a new generation and opens their tasks again.';
