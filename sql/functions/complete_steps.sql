-- Reports attempts that succeeded: writes results and transitions, releases the children, settles the
-- tasks. One round trip, one transaction, any number of steps.
--   p_task_ids, p_step_ids, p_tokens, p_results  one entry a report; the token is the seq of the claim
--   p_now  the instant; NULL reads the database's clock under the steps' locks
-- Returns what changed, in rows of (kind, task_id, workflow_step_id):
--   completed  the report was accepted. A report without this row no longer held its claim: lease lost
--   ready      a child that became available
--   complete, error  a task that settled; workflow_step_id is NULL
-- Locks: the reported steps by id, their children by id, their tasks by id.
create or replace function tasker.complete_steps(
  p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_results jsonb[], p_now timestamptz default null)
returns table (kind text, task_id bigint, workflow_step_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare d record;
begin
  d := tasker.finish_steps(p_task_ids, p_step_ids, p_tokens, p_results, p_now);
  return query
  select 'completed', x.task_id, x.step_id from unnest(d.done_tasks, d.done_steps) x (task_id, step_id)
  union all select 'ready', x.task_id, x.step_id from unnest(d.ready_tasks, d.ready_steps) x (task_id, step_id)
  union all select x.state, x.task_id, null from unnest(d.settled_states, d.settled_tasks) x (state, task_id);
end $$;
comment on function tasker.complete_steps(bigint[], bigint[], integer[], jsonb[], timestamptz) is
  'Reports attempts that succeeded: results, transitions, release of the children, settling of the tasks.';
