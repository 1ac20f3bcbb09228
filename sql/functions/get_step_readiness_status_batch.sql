-- Readiness of every step of the tasks, from the stored state and counters.
--   p_task_ids  the tasks; each counts once; NULL means every open one
--   p_now       moves the clock, not the state; defaults to the start of the statement
-- Returns one row a step, ordered by task and step; for NULL in no order, which would sort the backlog. The first sixteen columns are those of the original;
-- retry_eligible means attempts < retry_limit only, next_retry_at is the instant at which readiness flips.
-- Then: retryable, available_at, retry_due (its time has come), held, paused (step, task or queue),
-- failure_kind, last_error, generation, task_state, handler, worker_id, lease_until, and detail, the one
-- word for where it stands: ready, waiting_for_retry, scheduled, waiting_for_parents, held, paused, exhausted,
-- permanent, not_retryable, task_finished, or the state itself.
-- To ask for everything open, write NULL in the statement: bound as a parameter of a statement that is
-- prepared, it is read task by task.
create or replace function tasker.get_step_readiness_status_batch(p_task_ids bigint[], p_now timestamptz default statement_timestamp())
returns table (
  workflow_step_id bigint, task_id bigint, named_step_id integer, name text, current_state text, dependencies_satisfied boolean,
  retry_eligible boolean, ready_for_execution boolean, last_failure_at timestamptz, next_retry_at timestamptz, total_parents integer,
  completed_parents integer, attempts integer, retry_limit integer, backoff_request_seconds integer, last_attempted_at timestamptz,
  retryable boolean, available_at timestamptz, retry_due boolean, held boolean, paused boolean, failure_kind text, last_error text,
  generation integer, task_state text, handler text, worker_id bigint, lease_until timestamptz, detail text)
language sql stable parallel safe rows 1000 as $$
  (select * from tasker.step_readiness_at(p_now, false) r where r.task_id = any (p_task_ids) order by r.task_id, r.workflow_step_id)
  union all
  -- Only one branch runs. The two ranges say everything or nothing once more: the planner takes a range whose
  -- bounds it does not know for a two-hundredth, so a generic plan counts this branch for next to nothing,
  -- and a prepared call with an array is not planned anew each time.
  select * from tasker.step_readiness_at(p_now, true) r
  where p_task_ids is null
    and r.task_id between case when p_task_ids is null then 0 else 1 end and case when p_task_ids is null then 9223372036854775807 else 0 end
    and r.task_state between case when p_task_ids is null then 'a' else 'z' end and case when p_task_ids is null then 'z' else 'a' end
$$;
comment on function tasker.get_step_readiness_status_batch(bigint[], timestamptz) is 'Readiness of every step of the tasks; NULL means every open task.';
