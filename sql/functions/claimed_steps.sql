-- What handlers need of steps that have just been claimed: the task's context and the results of the
-- parents by name. Internal to tasker.claim_steps and tasker.exchange_steps.
-- Returns one row a step, in the order of the arguments. PostgreSQL writes it into the statement that calls it.
create or replace function tasker.claimed_steps(p_task_ids bigint[], p_step_ids bigint[])
returns table (
  task_id bigint, workflow_step_id bigint, token integer, attempt integer, generation integer, definition_id bigint,
  step_name text, context jsonb, parent_results jsonb, claimed_at timestamptz)
language sql stable rows 100 as $$
  select s.task_id, s.workflow_step_id, s.seq, s.attempts, s.generation, t.definition_id, n.name, t.context,
    case when s.total_parents = 0 then '{}'::jsonb else coalesce((
      select jsonb_object_agg(pn.name, p.results) from tasker.workflow_step_edges e
      join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
      join tasker.named_steps pn on pn.named_step_id = p.named_step_id
      where e.task_id = s.task_id and e.to_step_id = s.workflow_step_id), '{}'::jsonb) end,
    s.last_attempted_at
  from unnest(p_task_ids, p_step_ids) with ordinality k (task_id, step_id, place)
  join tasker.workflow_steps s on s.task_id = k.task_id and s.workflow_step_id = k.step_id
  join tasker.tasks t on t.task_id = s.task_id join tasker.named_steps n on n.named_step_id = s.named_step_id
  order by k.place
$$;
comment on function tasker.claimed_steps(bigint[], bigint[]) is 'What handlers need of claimed steps; internal to the claims.';
