-- Readiness of the steps of one task, ordered by step.
--   p_step_ids  NULL means all steps of the task
-- Columns as tasker.get_step_readiness_status_batch.
create or replace function tasker.get_step_readiness_status(p_task_id bigint, p_step_ids bigint[] default null, p_now timestamptz default statement_timestamp())
returns table (
  workflow_step_id bigint, task_id bigint, named_step_id integer, name text, current_state text, dependencies_satisfied boolean,
  retry_eligible boolean, ready_for_execution boolean, last_failure_at timestamptz, next_retry_at timestamptz, total_parents integer,
  completed_parents integer, attempts integer, retry_limit integer, backoff_request_seconds integer, last_attempted_at timestamptz,
  retryable boolean, available_at timestamptz, retry_due boolean, held boolean, paused boolean, failure_kind text, last_error text,
  generation integer, task_state text, handler text, worker_id bigint, lease_until timestamptz, detail text)
language sql stable parallel safe rows 10 as $$
  select * from tasker.step_readiness_at(p_now, false) r
  where r.task_id = p_task_id and (p_step_ids is null or r.workflow_step_id = any (p_step_ids))
  order by r.workflow_step_id
$$;
comment on function tasker.get_step_readiness_status(bigint, bigint[], timestamptz) is 'Readiness of the steps of one task.';
