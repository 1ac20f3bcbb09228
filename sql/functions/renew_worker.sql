-- Renews the lease of an incarnation and compares notes with it in the same round trip: which of the claims
-- that it knows of it no longer holds, and which others it holds without knowing, because an answer was lost.
--   p_task_ids, p_step_ids, p_tokens  the claims that the worker knows of
-- Returns rows of (kind, task_id, workflow_step_id, token): renewed (once, the rest NULL) unless the lease
-- ran out or the worker ended; lost, with the token that was asked about; other, with the token that is held.
-- Locks: the worker.
create or replace function tasker.renew_worker(
  p_worker_id bigint, p_task_ids bigint[], p_step_ids bigint[], p_tokens integer[], p_now timestamptz default null)
returns table (kind text, task_id bigint, workflow_step_id bigint, token integer)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
begin
  if tasker.renew_lease(p_worker_id, p_now) is null then return; end if;
  return query select 'renewed', null::bigint, null::bigint, null::integer;
  return query
    select 'lost', i.task_id, i.step_id, i.token from unnest(p_task_ids, p_step_ids, p_tokens) i (task_id, step_id, token)
    left join tasker.workflow_steps s on s.task_id = i.task_id and s.workflow_step_id = i.step_id
    where s.seq is distinct from i.token;
  return query
    select 'other', s.task_id, s.workflow_step_id, s.seq from tasker.workflow_steps s
    where s.worker_id = p_worker_id and not exists (
      select from unnest(p_step_ids, p_tokens) i (step_id, token) where i.step_id = s.workflow_step_id and i.token = s.seq);
end $$;
comment on function tasker.renew_worker(bigint, bigint[], bigint[], integer[], timestamptz) is
  'Renews a lease; says which claims are lost and which others the worker holds.';
