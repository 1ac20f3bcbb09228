-- Readiness of every step of the tasks, from the stored state and counters.
--   p_task_ids  the tasks; each counts once; NULL means every open one
--   p_now       moves the clock, not the state; defaults to the start of the statement
-- Returns one row a step, ordered by task and step. The first sixteen columns are those of the original;
-- retry_eligible means attempts < retry_limit only, next_retry_at is the instant at which readiness flips.
-- Then: retryable, available_at, retry_due (its time has come), held, paused (step, task or queue),
-- failure_kind, last_error, generation, task_state, handler, worker_id, lease_until, and detail, the one
-- word for where it stands: ready, waiting_for_retry, scheduled, waiting_for_parents, held, paused, exhausted,
-- permanent, not_retryable, task_finished, or the state itself.
-- Both branches read by key; only the one that applies runs.
create or replace function tasker.get_step_readiness_status_batch(p_task_ids bigint[], p_now timestamptz default statement_timestamp())
returns table (
  workflow_step_id bigint, task_id bigint, named_step_id integer, name text, current_state text, dependencies_satisfied boolean,
  retry_eligible boolean, ready_for_execution boolean, last_failure_at timestamptz, next_retry_at timestamptz, total_parents integer,
  completed_parents integer, attempts integer, retry_limit integer, backoff_request_seconds integer, last_attempted_at timestamptz,
  retryable boolean, available_at timestamptz, retry_due boolean, held boolean, paused boolean, failure_kind text, last_error text,
  generation integer, task_state text, handler text, worker_id bigint, lease_until timestamptz, detail text)
language sql stable rows 1000 as $$
  select s.workflow_step_id, s.task_id, s.named_step_id, n.name, s.state::text, s.pending_parents = 0, s.attempts < s.retry_limit,
    coalesce(s.available_at <= p_now and s.open and not s.held and not s.any_pause, false),
    case when s.state = 'error' then s.last_failure_at end, case when s.state = 'error' then s.available_at end, s.total_parents,
    s.total_parents - s.pending_parents, s.attempts, s.retry_limit, s.backoff_request_seconds, s.last_attempted_at,
    s.retryable, s.available_at, coalesce(s.available_at <= p_now, false), s.held, s.any_pause, s.failure_kind::text, s.last_error,
    s.generation, s.task_state::text, s.handler, s.worker_id, w.lease_until,
    case
      when s.state not in ('pending', 'error') then s.state::text
      when s.failure_kind = 'permanent' then 'permanent'
      when s.attempts >= s.retry_limit then 'exhausted'
      when s.attempts > 0 and not s.retryable then 'not_retryable'
      when s.pending_parents > 0 then 'waiting_for_parents'
      when s.held then 'held'
      when s.any_pause then 'paused'
      when not s.open then 'task_finished'
      when s.available_at <= p_now then 'ready'
      when s.attempts > 0 then 'waiting_for_retry'
      else 'scheduled'
    end
  from (
    select s.*, s.paused or t.paused_at is not null or q.paused_at is not null as any_pause, t.state as task_state,
      t.state in ('pending', 'in_progress') as open, q.handler
    from tasker.tasks t join tasker.workflow_steps s on s.task_id = t.task_id join tasker.queues q on q.queue_id = s.queue_id
    where t.task_id = any (p_task_ids)
    union all
    select s.*, s.paused or t.paused_at is not null or q.paused_at is not null, t.state, true, q.handler
    from tasker.tasks t join tasker.workflow_steps s on s.task_id = t.task_id join tasker.queues q on q.queue_id = s.queue_id
    where p_task_ids is null and t.state in ('pending', 'in_progress')) s
  join tasker.named_steps n on n.named_step_id = s.named_step_id
  left join tasker.workers w on w.worker_id = s.worker_id
  order by s.task_id, s.workflow_step_id
$$;
comment on function tasker.get_step_readiness_status_batch(bigint[], timestamptz) is 'Readiness of every step of the tasks; NULL means every open task.';
