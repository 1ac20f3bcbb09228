-- Cancels tasks and, in the same transaction, their unfinished steps. A handler that still runs learns of
-- it through tasker.lost_claims; its late report is refused.
--   p_actor, p_reason  who and why; the actor is needed
-- Returns one row for each distinct id: outcome is cancelled, already_cancelled, refused (with the state
-- that forbids it) or not_found.
-- Locks: steps in progress by id, other unfinished steps by id, tasks by id.
-- While the first statement waits, a step that it did not see may be claimed: the second takes in what is in
-- progress once more, and what was is read under its lock.
create or replace function tasker.cancel_tasks(p_task_ids bigint[], p_actor text, p_reason text default null, p_now timestamptz default null)
returns table (task_id bigint, outcome text, state text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_ids bigint[]; v_states text[]; v_cancel bigint[];
  v_tasks bigint[]; v_steps bigint[]; v_before text[]; v_workers bigint[];
begin
  if p_actor is null then raise exception 'an operation needs an actor' using errcode = 'null_value_not_allowed'; end if;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state = 'in_progress' order by s.workflow_step_id for update;
  perform from tasker.workflow_steps s where s.task_id = any (p_task_ids) and s.state in ('pending', 'in_progress', 'error') order by s.workflow_step_id for update;
  with k as materialized (
    select t.task_id, t.state::text as state from tasker.tasks t where t.task_id = any (p_task_ids) order by t.task_id for update)
  select array_agg(k.task_id), array_agg(k.state),
         coalesce(array_agg(k.task_id) filter (where k.state in ('pending', 'in_progress', 'error')), '{}')
  into v_ids, v_states, v_cancel from k;
  with k as materialized (
    select s.task_id, s.workflow_step_id, s.state::text as state, s.worker_id from tasker.workflow_steps s
    where s.task_id = any (v_cancel) and s.state in ('pending', 'in_progress', 'error') order by s.workflow_step_id for update)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.state), array_agg(k.worker_id)
  into v_tasks, v_steps, v_before, v_workers from k;
  v_now := coalesce(p_now, clock_timestamp());

  with before as (select * from unnest(v_tasks, v_steps, v_before, v_workers) b (task_id, workflow_step_id, state, worker_id)),
  u as (
    update tasker.workflow_steps s set state = 'cancelled', seq = s.seq + 1, worker_id = null, available_at = null,
      finished_at = v_now, held = false
    from before b where s.task_id = b.task_id and s.workflow_step_id = b.workflow_step_id and s.state = b.state
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, b.state, b.worker_id)
  insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, seq, attempt, generation, retry_limit, from_state, to_state, actor, reason)
  select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.seq, u.attempts, u.generation, u.retry_limit, u.state, 'cancelled', p_actor, p_reason from u;

  with k as (select * from unnest(v_ids, v_states) k (task_id, state)),
  u as (
    update tasker.tasks t set state = 'cancelled', seq = t.seq + 1, live_steps = 0, finished_at = v_now
    from k where t.task_id = any (v_cancel) and t.task_id = k.task_id and t.state = k.state
    returning t.task_id, t.seq, k.state)
  insert into tasker.task_transitions (task_id, at, seq, from_state, to_state, actor, reason)
  select u.task_id, v_now, u.seq, u.state, 'cancelled', p_actor, p_reason from u;

  -- A worker whose handlers run then compares notes at once instead of at its next renewal.
  if array_remove(v_workers, null) <> '{}' then perform pg_notify('tasker', 'check'); end if;
  return query
  select i.task_id,
    case when k.state is null then 'not_found' when i.task_id = any (v_cancel) then 'cancelled'
         when k.state = 'cancelled' then 'already_cancelled' else 'refused' end,
    case when i.task_id = any (v_cancel) then 'cancelled' else k.state end
  from (select distinct unnest(p_task_ids)) i (task_id)
  left join unnest(v_ids, v_states) k (task_id, state) using (task_id) order by 1;
end $$;
comment on function tasker.cancel_tasks(bigint[], text, text, timestamptz) is 'Cancels tasks with their unfinished steps.';
