-- Renews the lease of all steps of an incarnation by one update.
-- Returns the new end of the lease, or NULL: the lease ran out or the worker ended, so this incarnation is
-- over and the process registers anew.
create or replace function tasker.renew_lease(p_worker_id bigint, p_now timestamptz default null)
returns timestamptz language sql volatile as $$
  update tasker.workers w set last_seen_at = c.now, lease_until = c.now + w.lease_ms * interval '1 ms'
  from (select coalesce(p_now, clock_timestamp()) as now) c
  where w.worker_id = p_worker_id and w.ended_at is null and w.lease_until > c.now
  returning w.lease_until
$$;
comment on function tasker.renew_lease(bigint, timestamptz) is 'Renews the lease of an incarnation; NULL if it is over.';
