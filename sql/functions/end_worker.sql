-- Signs an incarnation off. Steps that it still has in progress are taken back by the next claim of anyone.
-- Returns whether it was still alive.
create or replace function tasker.end_worker(p_worker_id bigint, p_now timestamptz default null)
returns boolean language sql volatile as $$
  with u as (
    update tasker.workers w set ended_at = c.now, lease_until = least(w.lease_until, c.now),
      reaped_at = case when not exists (select from tasker.workflow_steps s where s.worker_id = w.worker_id) then c.now end
    from (select coalesce(p_now, clock_timestamp()) as now) c
    where w.worker_id = p_worker_id and w.ended_at is null returning 1)
  select exists (select from u)
$$;
comment on function tasker.end_worker(bigint, timestamptz) is 'Signs an incarnation of a worker off.';
