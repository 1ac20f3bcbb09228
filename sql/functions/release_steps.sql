-- Gives claimed steps back unrun: they are pending again at once and get their attempt back.
--   p_task_ids, p_step_ids, p_tokens  one entry a claim; the token is the seq of the claim
-- Returns rows of (kind, task_id, workflow_step_id): released, or complete/error for a task that settled.
-- A claim without a row was no longer held.
-- Locks: the steps by id, the tasks by id.
create or replace function tasker.release_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_reason text default null, p_now timestamptz default null)
returns table (kind text, task_id bigint, workflow_step_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_workers bigint[]; v_dead bigint[];
begin
  with i as (select distinct * from unnest(p_task_ids, p_step_ids, p_tokens) i (task_id, step_id, token)),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.worker_id
    from i join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    where s.state = 'in_progress' and s.seq = i.token order by s.workflow_step_id for update of s)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.worker_id) into v_tasks, v_steps, v_workers from k;
  if v_tasks is null then return; end if;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (select * from unnest(v_tasks, v_steps, v_workers) k (task_id, step_id, worker_id)),
  u as (
    update tasker.workflow_steps s set state = 'pending', seq = s.seq + 1, worker_id = null, attempts = s.attempts - 1,
      available_at = case when tasker.is_claimable('pending', s.pending_parents, s.attempts - 1, s.retry_limit, s.retryable, s.failure_kind) then v_now end
    from k where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = 'in_progress'
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, s.available_at, s.held, k.worker_id),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, available_at, seq, attempt, generation, retry_limit, from_state, to_state, reason)
    select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.available_at, u.seq, u.attempts, u.generation, u.retry_limit, 'in_progress', 'pending', p_reason from u)
  select array_agg(u.task_id) filter (where u.available_at is null or u.held) into v_dead from u;

  return query select 'released', r.task_id, r.step_id from unnest(v_tasks, v_steps) r (task_id, step_id);
  if v_dead is not null then
    return query select a.state, a.task_id, null::bigint
      from tasker.adjust_tasks(v_dead, array_fill(-1, array[cardinality(v_dead)]), p_now) a;
  end if;
  perform tasker.wake_workers();
end $$;
comment on function tasker.release_steps(bigint[], bigint[], integer[], text, timestamptz) is
  'Gives claimed steps back unrun, with their attempt.';
