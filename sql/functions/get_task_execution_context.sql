-- Where one task stands. No row if there is no such task.
-- Columns as tasker.get_task_execution_contexts_batch.
create or replace function tasker.get_task_execution_context(p_task_id bigint, p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
  completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text,
  completion_percentage numeric, health_status text, cancelled_steps bigint, dead_steps bigint, waiting_for_retry_steps bigint,
  held_steps bigint, next_retry_at timestamptz, detailed_status text)
language sql stable parallel safe rows 1 as $$
  select * from tasker.task_execution_contexts_at(p_now, false) r where r.task_id = p_task_id
$$;
comment on function tasker.get_task_execution_context(bigint, timestamptz) is 'Where one task stands.';
