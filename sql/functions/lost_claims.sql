-- Which of these claims are no longer held: cancelled, taken back or reported already. A worker asks while
-- its handlers run, so that they learn of it. Returns the steps' ids.
create or replace function tasker.lost_claims(p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[])
returns setof bigint language sql stable as $$
  select i.step_id from unnest(p_task_ids, p_step_ids, p_tokens) i (task_id, step_id, token)
  left join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
  where s.seq is distinct from i.token
$$;
comment on function tasker.lost_claims(bigint[], bigint[], integer[]) is 'Which of these claims are no longer held.';
