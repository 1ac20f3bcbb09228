-- Creates tasks by way of a worker: as tasker.submit_tasks, and in the same commit one turn of the worker that reports
-- nothing and claims up to the limit. So the first steps of the tasks begin without a commit of their own and without
-- a notification. The claim is an ordinary one and takes what is first in its queues, which may be other steps.
--   p_definition_id, p_requests  as tasker.submit_tasks
--   p_worker_id, p_limit, p_after_*, p_now  as tasker.exchange_steps
-- Returns what tasker.exchange_steps returns, and before it for each request a row of the kind submitted: the task_id,
-- in token its position from 0, and in attempt 1 where it was created now, else 0.
-- Other workers are told of what is left of the tasks' steps.
-- Locks: the definition (key share) and the identities of the requests, as tasker.submit_tasks; then as a turn without
-- reports: the worker (key share), steps without waiting, the tasks that the claim starts by id.
create or replace function tasker.submit_and_exchange(
  p_definition_id bigint, p_requests jsonb, p_worker_id bigint, p_limit integer, p_after_queues integer[], p_after_priorities integer[],
  p_after_at timestamptz[], p_after_ids bigint[], p_now timestamptz default null)
returns table (
  kind text, task_id bigint, workflow_step_id bigint, token integer, attempt integer, generation integer, definition_id bigint,
  step_name text, context jsonb, parent_results jsonb, claimed_at timestamptz)
language plpgsql rows 100 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_ids bigint[] := '{}';
begin
  kind := 'submitted';
  for task_id, token, attempt in
    select s.task_id, s."position", s.created::integer from tasker.submit_tasks(p_definition_id, p_requests, p_now, false) s
  loop
    v_ids := v_ids || task_id;
    return next;
  end loop;
  return query select * from tasker.exchange_steps(
    p_worker_id, p_limit, true, false, '{}', '{}', '{}', '{}', p_after_queues, p_after_priorities, p_after_at, p_after_ids, p_now);
  if exists (select from tasker.workflow_steps s where s.task_id = any (v_ids) and s.available_at is not null) then
    perform tasker.wake_workers();
  end if;
end $$;
comment on function tasker.submit_and_exchange(bigint, jsonb, bigint, integer, integer[], integer[], timestamptz[], bigint[], timestamptz) is
  'Creates tasks by way of a worker, which claims in the same commit.';
