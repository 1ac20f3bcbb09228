-- Reports attempts that failed. Whether another attempt follows is decided by tasker.is_claimable on the
-- row; when, by the delay that the caller computed (the backoff has one home, outside SQL).
--   p_task_ids, p_step_ids, p_tokens  one entry a report; the token is the seq of the claim
--   p_kinds      retryable, permanent, timeout, panic or lost_lease
--   p_delays_ms  the wait before the next attempt, from p_now
--   p_messages   what happened, a sentence for people
-- Returns rows of (kind, task_id, workflow_step_id): retry (another attempt will follow), dead (none will),
-- held (fail-fast took the next attempt away, in this call or before), complete or error (a task that settled). A
-- report without a row for its step no longer held its claim: lease lost.
-- Locks: the reported steps and, of a fail-fast task in which one of them will be dead, all that is in progress, together
-- by id; then what else is unfinished in such a task; the tasks by id.
create or replace function tasker.fail_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_kinds text[], p_delays_ms bigint[], p_messages text[],
  p_now timestamptz default null)
returns table (kind text, task_id bigint, workflow_step_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz; v_tasks bigint[]; v_steps bigint[]; v_workers bigint[]; v_outcomes text[];
  v_adjust bigint[]; v_deltas integer[]; v_fast bigint[]; v_held_tasks bigint[]; v_held integer[];
begin
  -- What fail-fast is going to hold is locked together with the reports: two failures of one task would else each have
  -- locked a step that the other's hold waits for.
  with i as (select * from unnest(p_task_ids, p_step_ids, p_tokens, p_kinds) i (task_id, step_id, token, kind)),
  f as (
    select distinct s.task_id from i join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    join tasker.tasks t on t.task_id = s.task_id
    where t.fail_fast and s.state = 'in_progress' and s.seq = i.token and tasker.is_dead('error', s.attempts, s.retry_limit, s.retryable, i.kind)),
  n as (
    select i.task_id, i.step_id, i.token from i
    union select s.task_id, s.workflow_step_id, s.seq from f join tasker.workflow_steps s on s.task_id = f.task_id where s.state = 'in_progress'),
  k as materialized (
    select s.task_id, s.workflow_step_id, s.worker_id, n.token
    from n join tasker.workflow_steps s on s.task_id = n.task_id and s.workflow_step_id = n.step_id
    where s.state = 'in_progress' and s.seq = n.token order by s.workflow_step_id for update of s)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.worker_id) into v_tasks, v_steps, v_workers
  from k where (k.task_id, k.workflow_step_id, k.token) in (select i.task_id, i.step_id, i.token from i);
  if v_tasks is null then return; end if;
  v_now := coalesce(p_now, clock_timestamp());

  with k as (select * from unnest(v_tasks, v_steps, v_workers) k (task_id, step_id, worker_id)),
  i as (
    select * from unnest(p_task_ids, p_step_ids, p_tokens, p_kinds, p_delays_ms, p_messages) i (task_id, step_id, token, kind, delay_ms, message)),
  u as (
    update tasker.workflow_steps s set state = 'error', seq = s.seq + 1, worker_id = null, last_failure_at = v_now,
      failure_kind = i.kind, last_error = i.message, backoff_request_seconds = ceil(i.delay_ms / 1000.0)::integer,
      available_at = case when tasker.is_claimable('error', s.pending_parents, s.attempts, s.retry_limit, s.retryable, i.kind)
        then v_now + i.delay_ms * interval '1 ms' end
    from k join i using (task_id, step_id) where s.task_id = k.task_id and s.workflow_step_id = k.step_id and s.state = 'in_progress' and s.seq = i.token
    returning s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, s.retry_limit, s.available_at, s.held, s.failure_kind, s.last_error, k.worker_id),
  l as (
    insert into tasker.workflow_step_transitions (task_id, workflow_step_id, worker_id, at, available_at, seq, attempt, generation, retry_limit, from_state, to_state, failure_kind, reason)
    select u.task_id, u.workflow_step_id, u.worker_id, v_now, u.available_at, u.seq, u.attempts, u.generation, u.retry_limit, 'in_progress', 'error', u.failure_kind, u.last_error from u)
  select array_agg(u.task_id), array_agg(u.workflow_step_id),
         array_agg(case when u.available_at is null then 'dead' when u.held then 'held' else 'retry' end)
  into v_tasks, v_steps, v_outcomes from u;

  v_fast := array(
    select distinct t.task_id from unnest(v_tasks, v_outcomes) o (task_id, outcome)
    join tasker.tasks t on t.task_id = o.task_id where o.outcome = 'dead' and t.fail_fast);
  if cardinality(v_fast) > 0 then
    select array_agg(h.task_id), array_agg(-h.taken) into v_held_tasks, v_held from tasker.hold_rest(v_fast, v_now) h;
  end if;

  select array_agg(d.task_id), array_agg(d.delta) into v_adjust, v_deltas from (
    select x.task_id, sum(x.delta)::integer as delta from (
      select o.task_id, -1 from unnest(v_tasks, v_outcomes) o (task_id, outcome) where o.outcome <> 'retry'
      union all select * from unnest(v_held_tasks, v_held)) x (task_id, delta) group by 1) d
  where d.delta <> 0;

  return query
  select case when o.outcome = 'retry' and o.task_id = any (v_fast) then 'held' else o.outcome end, o.task_id, o.step_id
  from unnest(v_tasks, v_steps, v_outcomes) o (task_id, step_id, outcome);
  if v_adjust is not null then
    return query select a.state, a.task_id, null::bigint from tasker.adjust_tasks(v_adjust, v_deltas, p_now) a;
  end if;
  -- Also for a later retry: who waits has to know when it is due.
  if 'retry' = any (v_outcomes) then perform tasker.wake_workers(); end if;
end $$;
comment on function tasker.fail_steps(bigint[], bigint[], integer[], text[], bigint[], text[], timestamptz) is
  'Reports attempts that failed: kind, message, the instant of the next attempt, holds, settling of the tasks.';
