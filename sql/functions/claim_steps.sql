-- Claims the next steps for a worker: highest priority first, then longest available. Each becomes
-- in_progress under the worker's lease and costs an attempt; its token is its new seq.
--   p_worker_id  an incarnation registered by tasker.register_worker; one that has ended or whose lease
--                ran out gets no rows
--   p_limit      the most steps to take
--   p_now        the instant; NULL reads the database's clock
-- Returns one row a step in the order of claiming, with all that a handler needs: the task's context and
-- the results of the parents by name.
-- Locks: as tasker.expire_leases; then the worker (key share), steps without waiting, tasks that this claim
-- starts by id.
create or replace function tasker.claim_steps(p_worker_id bigint, p_limit integer, p_now timestamptz default null)
returns table (
  task_id bigint, workflow_step_id bigint, token integer, attempt integer, generation integer, definition_id bigint,
  step_name text, context jsonb, parent_results jsonb, claimed_at timestamptz)
language plpgsql rows 100 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare v_worker record; v_taken record;
begin
  perform tasker.expire_leases(100, p_now);
  v_worker := tasker.served_queues(p_worker_id, p_now);
  if v_worker.queues is null then return; end if;
  v_taken := tasker.take_steps(p_worker_id, v_worker.queues, p_limit, '{}', '{}', '{}', '{}', p_now);
  return query select * from tasker.claimed_steps(v_taken.task_ids, v_taken.step_ids);
end $$;
comment on function tasker.claim_steps(bigint, integer, timestamptz) is
  'Claims the next steps for a worker, with all that their handlers need; takes back steps of dead workers first.';
