-- Which of these reports were written although nobody heard of it: the entry of the log behind the claim's own is
-- theirs. What took the claim away otherwise (an expired lease, an operator) is not. A worker asks where a report was
-- refused, which may have been its second try.
--   p_task_ids, p_step_ids, p_tokens  the claims that were reported on
-- Returns one row for each that was: the step, its token, the state that the report brought, and whether no attempt follows,
-- also because fail-fast holds the step now; and what the task came to by the same commit, NULL where it did not settle.
-- Both rows of the log were then inserted by one transaction: their xmin says so.
create or replace function tasker.written_reports(p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[])
returns table (workflow_step_id bigint, token integer, to_state text, over boolean, task_state text)
language sql stable rows 10 as $$
  select i.step_id, i.token, l.to_state::text, l.available_at is null or s.held, (
    select t.to_state::text from tasker.task_transitions t where t.task_id = l.task_id and t.xmin = l.xmin and t.to_state in ('complete', 'error'))
  from unnest(p_task_ids, p_step_ids, p_tokens) i (task_id, step_id, token)
  join tasker.workflow_step_transitions l on l.task_id = i.task_id and l.workflow_step_id = i.step_id and l.seq = i.token + 1
  join tasker.workflow_steps s on s.task_id = l.task_id and s.workflow_step_id = l.workflow_step_id
  where l.from_state = 'in_progress' and l.actor is null and l.to_state in ('complete', 'error', 'pending')
    and l.failure_kind is distinct from 'lost_lease'
$$;
comment on function tasker.written_reports(bigint[], bigint[], integer[]) is 'Which of these reports were written although their answer was lost.';
