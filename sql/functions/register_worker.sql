-- Registers an incarnation of a worker and grants its first lease.
--   p_namespaces  what it serves; NULL serves all
--   p_handlers    the handlers that it has
--   p_lease_ms    for how long each renewal holds
-- Returns the new worker_id and the end of the lease.
create or replace function tasker.register_worker(
  p_name text, p_namespaces text[], p_handlers text[], p_lease_ms integer, p_now timestamptz default null)
returns table (worker_id bigint, lease_until timestamptz)
language sql volatile as $$
  insert into tasker.workers as w (name, namespaces, handlers, lease_ms, started_at, last_seen_at, lease_until)
  select p_name, p_namespaces, p_handlers, p_lease_ms, c.now, c.now, c.now + p_lease_ms * interval '1 ms'
  from (select coalesce(p_now, clock_timestamp()) as now) c
  returning w.worker_id, w.lease_until
$$;
comment on function tasker.register_worker(text, text[], text[], integer, timestamptz) is 'Registers an incarnation of a worker and grants its first lease.';
