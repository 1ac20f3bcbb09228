-- The queues that a living worker claims from, paused ones left out, under a lock that lets renewals pass
-- and an expiry not. Internal to the claims.
-- Returns NULL for a worker that has ended or whose lease ran out.
-- Locks: the worker (key share).
create or replace function tasker.served_queues(p_worker_id bigint, p_now timestamptz) returns integer[]
language plpgsql set plan_cache_mode = force_generic_plan as $$
declare v_worker tasker.workers;
begin
  select * into v_worker from tasker.workers w
  where w.worker_id = p_worker_id and w.ended_at is null and w.lease_until > coalesce(p_now, clock_timestamp()) for key share;
  if not found then return null; end if;
  return array(
    select q.queue_id from tasker.queues q join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id
    where q.paused_at is null and q.handler = any (v_worker.handlers)
      and (v_worker.namespaces is null or n.name = any (v_worker.namespaces)));
end $$;
comment on function tasker.served_queues(bigint, timestamptz) is 'The queues that a living worker claims from; internal to the claims.';
