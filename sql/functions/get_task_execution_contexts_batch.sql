-- Where the tasks stand, counted over their steps.
--   p_task_ids  the tasks; each counts once; NULL means every open one
--   p_now       moves the clock, not the state; defaults to the start of the statement
-- Returns one row for each task that exists, ordered by task; for NULL in no order. The first thirteen columns are those of the
-- original. Then: cancelled_steps, dead_steps (exhausted, permanent, not retryable or cancelled),
-- waiting_for_retry_steps, held_steps, next_retry_at (the earliest instant at which a waiting step becomes
-- ready), and detailed_status, which says waiting_for_retry and held where execution_status has no word.
create or replace function tasker.get_task_execution_contexts_batch(p_task_ids bigint[], p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
  completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text,
  completion_percentage numeric, health_status text, cancelled_steps bigint, dead_steps bigint, waiting_for_retry_steps bigint,
  held_steps bigint, next_retry_at timestamptz, detailed_status text)
language sql stable parallel safe rows 100 as $$
  (select * from tasker.task_execution_contexts_at(p_now, false) r where r.task_id = any (p_task_ids) order by r.task_id)
  union all
  -- As in tasker.get_step_readiness_status_batch: the ranges are for the generic plan.
  select * from tasker.task_execution_contexts_at(p_now, true) r
  where p_task_ids is null
    and r.task_id between case when p_task_ids is null then 0 else 1 end and case when p_task_ids is null then 9223372036854775807 else 0 end
    and r.status between case when p_task_ids is null then 'a' else 'z' end and case when p_task_ids is null then 'z' else 'a' end
$$;
comment on function tasker.get_task_execution_contexts_batch(bigint[], timestamptz) is 'Where the tasks stand; NULL means every open task.';
