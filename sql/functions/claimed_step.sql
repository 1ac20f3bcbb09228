-- What tasker.claimed_steps returns, for one step: a statement over arrays costs more to begin than to run. A test holds
-- the two equal. Internal to tasker.exchange_steps.
create or replace function tasker.claimed_step(
  p_task_id bigint, p_step_id bigint,
  out token integer, out attempt integer, out generation integer, out definition_id bigint, out step_name text, out context jsonb,
  out parent_results jsonb, out claimed_at timestamptz)
language plpgsql stable as $$
declare v_parents integer;
begin
  select s.seq, s.attempts, s.generation, t.definition_id, n.name, t.context, s.last_attempted_at, s.total_parents
  into token, attempt, generation, definition_id, step_name, context, claimed_at, v_parents
  from tasker.workflow_steps s join tasker.tasks t on t.task_id = s.task_id join tasker.named_steps n on n.named_step_id = s.named_step_id
  where s.task_id = p_task_id and s.workflow_step_id = p_step_id;
  parent_results := '{}';
  if v_parents > 0 then
    parent_results := coalesce((
      select jsonb_object_agg(pn.name, p.results) from tasker.workflow_step_edges e
      join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
      join tasker.named_steps pn on pn.named_step_id = p.named_step_id
      where e.task_id = p_task_id and e.to_step_id = p_step_id), parent_results);
  end if;
end $$;
comment on function tasker.claimed_step(bigint, bigint) is 'What tasker.claimed_steps returns, for one step; internal to the claims.';
