-- Takes back a bounded number of steps of incarnations whose lease ran out, as failures of kind
-- lost_lease that may be tried again at once. This is the whole of recovery; every claim calls it.
-- A worker that is just claiming or reporting holds its locks and is passed over until the next call.
-- Returns the number of steps taken back.
-- Locks: the dead workers, their steps by id (both without waiting), then as tasker.fail_steps.
create or replace function tasker.expire_leases(p_limit integer default 100, p_now timestamptz default null)
returns integer language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_dead bigint[]; v_tasks bigint[]; v_steps bigint[]; v_tokens integer[]; v_messages text[]; v_count integer;
begin
  v_dead := array(
    select w.worker_id from tasker.workers w where w.reaped_at is null and w.lease_until <= v_now
    order by w.lease_until limit 16 for update skip locked);
  if cardinality(v_dead) = 0 then return 0; end if;
  update tasker.workers w set ended_at = coalesce(w.ended_at, v_now) where w.worker_id = any (v_dead) and w.ended_at is null;

  with k as materialized (
    select s.task_id, s.workflow_step_id, s.seq, s.worker_id from tasker.workflow_steps s
    where s.worker_id = any (v_dead) order by s.workflow_step_id limit p_limit for update skip locked)
  select array_agg(k.task_id), array_agg(k.workflow_step_id), array_agg(k.seq),
         array_agg(format('the lease of worker %s (%s) ran out', w.worker_id, w.name)), count(*)
  into v_tasks, v_steps, v_tokens, v_messages, v_count
  from k join tasker.workers w on w.worker_id = k.worker_id;
  if v_count > 0 then
    perform tasker.fail_steps(v_tasks, v_steps, v_tokens, array_fill('lost_lease'::text, array[v_count]),
      array_fill(0::bigint, array[v_count]), v_messages, p_now);
  end if;

  update tasker.workers w set reaped_at = v_now where w.worker_id = any (v_dead)
    and not exists (select from tasker.workflow_steps s where s.worker_id = w.worker_id);
  return v_count;
end $$;
comment on function tasker.expire_leases(integer, timestamptz) is
  'Takes back a bounded number of steps of workers whose lease ran out; called by every claim.';
