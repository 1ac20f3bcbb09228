-- How many rows the views of sql/bench/views.sql and the functions do not share, of everything there is: 0 each,
-- or nothing that is timed means anything.
with
ids as (select array_agg(task_id) as all_of_them from tasker.tasks),
step_function as (
  select workflow_step_id, task_id, named_step_id, name, current_state, dependencies_satisfied, retry_eligible, ready_for_execution,
    last_failure_at, next_retry_at, total_parents, completed_parents, attempts, retry_limit, backoff_request_seconds, last_attempted_at, task_state
  from ids, tasker.get_step_readiness_status_batch(all_of_them)),
step_view as (
  select workflow_step_id, task_id, named_step_id, name, current_state, dependencies_satisfied, retry_eligible, coalesce(ready_for_execution, false),
    last_failure_at, next_retry_at, total_parents, completed_parents, attempts, retry_limit, backoff_request_seconds, last_attempted_at, task_state
  from bench.step_readiness),
context_function as (
  select task_id, named_task_id, status, total_steps, pending_steps, in_progress_steps, completed_steps, failed_steps, ready_steps
  from ids, tasker.get_task_execution_contexts_batch(all_of_them))
select
  (select count(*) from ((table step_function except table step_view) union all (table step_view except table step_function)) d) as steps,
  (select count(*) from ((table context_function except select * from bench.task_context)
    union all (select * from bench.task_context except table context_function)) d) as contexts,
  (select count(*) from ((table context_function except select * from bench.task_context_in_parts)
    union all (select * from bench.task_context_in_parts except table context_function)) d) as contexts_in_parts,
  (select count(*) from step_function) as compared;
