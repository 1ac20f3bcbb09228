-- What one task is made of and what can be done next: a batch of one. No row if there is no such task.
-- Columns as tasker.get_task_workflow_summaries_batch.
create or replace function tasker.get_task_workflow_summary(p_task_id bigint, p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
  completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text,
  completion_percentage numeric, health_status text, root_step_ids bigint[], ready_step_ids bigint[], next_step_ids bigint[],
  blocked_step_ids bigint[], blocking_reasons text[], max_dependency_depth integer, parallelism_potential text,
  workflow_efficiency text)
language sql stable rows 1 as $$
  select * from tasker.get_task_workflow_summaries_batch(array[p_task_id], p_now)
$$;
comment on function tasker.get_task_workflow_summary(bigint, timestamptz) is 'What one task is made of and what can be done next.';
