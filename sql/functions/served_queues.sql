-- The queues that a living worker claims from, paused ones left out, under a lock that lets renewals pass
-- and an expiry not; and whether it is marked as waiting. Internal to the claims.
-- Returns NULLs for a worker that has ended or whose lease ran out.
-- Locks: the worker (key share).
create or replace function tasker.served_queues(p_worker_id bigint, p_now timestamptz, out queues integer[], out waiting boolean)
language plpgsql set plan_cache_mode = force_generic_plan as $$
begin
  select w.waiting, array(
      select q.queue_id from tasker.queues q join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id
      where q.paused_at is null and q.handler = any (w.handlers) and (w.namespaces is null or n.name = any (w.namespaces)))
  into waiting, queues from tasker.workers w
  where w.worker_id = p_worker_id and w.ended_at is null and w.lease_until > coalesce(p_now, clock_timestamp()) for key share;
end $$;
comment on function tasker.served_queues(bigint, timestamptz) is 'The queues that a living worker claims from; internal to the claims.';
