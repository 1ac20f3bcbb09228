-- Results of all ancestors of each step, for handlers that read further back than their parents. Every
-- ancestor is visited once however many paths lead to it.
-- Returns one row a step: its id and an object of results by step name.
create or replace function tasker.ancestor_results(p_task_ids bigint[], p_step_ids bigint[])
returns table (workflow_step_id bigint, results jsonb)
language sql stable as $$
  with recursive a as (
    select i.task_id, i.step_id as of_step_id, e.from_step_id as step_id
    from unnest(p_task_ids, p_step_ids) i (task_id, step_id)
    join tasker.workflow_step_edges e on e.task_id = i.task_id and e.to_step_id = i.step_id
    union
    select a.task_id, a.of_step_id, e.from_step_id from a
    join tasker.workflow_step_edges e on e.task_id = a.task_id and e.to_step_id = a.step_id)
  select a.of_step_id, jsonb_object_agg(n.name, s.results)
  from a join tasker.workflow_steps s on s.task_id = a.task_id and s.workflow_step_id = a.step_id
  join tasker.named_steps n on n.named_step_id = s.named_step_id
  group by a.of_step_id
$$;
comment on function tasker.ancestor_results(bigint[], bigint[]) is 'Results of all ancestors of each step, by name.';
