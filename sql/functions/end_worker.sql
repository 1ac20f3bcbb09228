-- Signs an incarnation off. Steps that it still has in progress are taken back by the next claim of anyone.
-- Returns whether it was still alive.
-- Locks: the worker, so that a claim of it that is under way ends first: its steps must be seen, or the
-- incarnation would be taken for empty and nobody would ever take them back.
create or replace function tasker.end_worker(p_worker_id bigint, p_now timestamptz default null)
returns boolean language plpgsql as $$
declare v_now timestamptz;
begin
  perform from tasker.workers w where w.worker_id = p_worker_id for update;
  v_now := coalesce(p_now, clock_timestamp());
  update tasker.workers w set ended_at = v_now, lease_until = least(w.lease_until, v_now),
    reaped_at = case when not exists (select from tasker.workflow_steps s where s.worker_id = w.worker_id) then v_now end
  where w.worker_id = p_worker_id and w.ended_at is null;
  return found;
end $$;
comment on function tasker.end_worker(bigint, timestamptz) is 'Signs an incarnation of a worker off.';
