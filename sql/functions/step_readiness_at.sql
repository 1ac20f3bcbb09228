-- Readiness of every step there is, for callers that filter it: the one text of what a step's row, its task
-- and its queue mean at an instant. Inlined, so a filter by task or by state of the task reads by index and
-- columns that nobody asks for cost nothing: it has no order of its own, and joins by key from the left, which
-- the planner drops where the joined table is not asked about.
--   p_open  whether only open tasks are meant; written as a constant, so that their index serves
-- Columns as tasker.get_step_readiness_status_batch.
create or replace function tasker.step_readiness_at(p_now timestamptz, p_open boolean)
returns table (
  workflow_step_id bigint, task_id bigint, named_step_id integer, name text, current_state text, dependencies_satisfied boolean,
  retry_eligible boolean, ready_for_execution boolean, last_failure_at timestamptz, next_retry_at timestamptz, total_parents integer,
  completed_parents integer, attempts integer, retry_limit integer, backoff_request_seconds integer, last_attempted_at timestamptz,
  retryable boolean, available_at timestamptz, retry_due boolean, held boolean, paused boolean, failure_kind text, last_error text,
  generation integer, task_state text, handler text, worker_id bigint, lease_until timestamptz, detail text)
language sql stable parallel safe rows 1000 as $$
  select s.workflow_step_id, t.task_id, s.named_step_id, n.name, s.state::text, s.pending_parents = 0, s.attempts < s.retry_limit,
    coalesce(s.available_at <= p_now and t.state in ('pending', 'in_progress') and not s.held and not s.paused and t.paused_at is null and q.paused_at is null, false),
    case when s.state = 'error' then s.last_failure_at end, case when s.state = 'error' then s.available_at end, s.total_parents,
    s.total_parents - s.pending_parents, s.attempts, s.retry_limit, s.backoff_request_seconds, s.last_attempted_at,
    s.retryable, s.available_at, coalesce(s.available_at <= p_now, false), s.held, s.paused or t.paused_at is not null or q.paused_at is not null,
    s.failure_kind::text, s.last_error, s.generation, t.state::text, q.handler, s.worker_id, w.lease_until,
    case
      when s.state not in ('pending', 'error') then s.state::text
      when s.failure_kind = 'permanent' then 'permanent'
      when s.attempts >= s.retry_limit then 'exhausted'
      when s.attempts > 0 and not s.retryable then 'not_retryable'
      when s.pending_parents > 0 then 'waiting_for_parents'
      when s.held then 'held'
      when s.paused or t.paused_at is not null or q.paused_at is not null then 'paused'
      when t.state not in ('pending', 'in_progress') then 'task_finished'
      when s.available_at <= p_now then 'ready'
      when s.attempts > 0 then 'waiting_for_retry'
      else 'scheduled'
    end
  from tasker.tasks t join tasker.workflow_steps s on s.task_id = t.task_id
  left join tasker.queues q on q.queue_id = s.queue_id
  left join tasker.named_steps n on n.named_step_id = s.named_step_id
  left join tasker.workers w on w.worker_id = s.worker_id
  where not p_open or t.finished_at is null
$$;
comment on function tasker.step_readiness_at(timestamptz, boolean) is 'Readiness of every step, to be filtered; internal to the read functions.';
