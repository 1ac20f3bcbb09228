-- How deep each step of one task lies: a batch of one. No row if there is no such task.
-- Columns as tasker.calculate_dependency_levels_batch, ordered by level and step.
create or replace function tasker.calculate_dependency_levels(p_task_id bigint)
returns table (workflow_step_id bigint, dependency_level integer, task_id bigint)
language sql stable rows 10 as $$
  select * from tasker.calculate_dependency_levels_batch(array[p_task_id])
$$;
comment on function tasker.calculate_dependency_levels(bigint) is 'How deep each step of one task lies, by the longest path.';
