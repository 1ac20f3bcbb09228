-- How many tasks tasker.prune_tasks would delete in all its batches, for those who look before they delete.
-- Arguments as there, but several states. Returns one row for each state that has any: the tasks, and when the
-- first and the last of them finished.
create or replace function tasker.count_prunable(p_before timestamptz, p_states text[], p_namespaces text[] default null)
returns table (state text, tasks bigint, first_finished_at timestamptz, last_finished_at timestamptz)
language sql stable rows 4 as $$
  select t.outcome, count(*), min(t.finished_at), max(t.finished_at) from tasker.tasks t
  where t.outcome = any (p_states) and t.finished_at < p_before
    and (p_namespaces is null or t.named_task_id in (
      select w.named_task_id from tasker.named_tasks w join tasker.task_namespaces n on n.task_namespace_id = w.task_namespace_id
      where n.name = any (p_namespaces)))
  group by 1 order by 1
$$;
comment on function tasker.count_prunable(timestamptz, text[], text[]) is 'How many tasks tasker.prune_tasks would delete.';
