-- The highest priority (the least number) at which something waits in some queues, NULL if nothing does.
-- One bounded probe for each queue and priority; internal to tasker.exchange_steps.
--   p_after_*  where to read on, as tasker.take_steps
create or replace function tasker.first_priority(
  p_queues integer[], p_after_queues integer[], p_after_priorities integer[], p_after_at timestamptz[], p_after_ids bigint[], p_now timestamptz)
returns integer language plpgsql set plan_cache_mode = force_generic_plan as $$
declare v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  return (
    select p.priority from generate_series(1, 5) p (priority)
    where exists (
      select from unnest(p_queues) q (queue_id)
      left join unnest(p_after_queues, p_after_priorities, p_after_at, p_after_ids) a (queue_id, priority, at, id)
        on a.queue_id = q.queue_id and a.priority = p.priority
      cross join lateral (
        select from tasker.workflow_steps s
        where s.queue_id = q.queue_id and s.priority = p.priority::smallint
          and s.available_at is not null and not s.held and not s.paused and s.available_at <= v_now
          and (s.available_at, s.workflow_step_id) > (coalesce(a.at, '-infinity'), coalesce(a.id, 0))
        order by s.available_at, s.workflow_step_id limit 1) h)
    order by p.priority limit 1);
end $$;
comment on function tasker.first_priority(integer[], integer[], integer[], timestamptz[], bigint[], timestamptz) is
  'The highest priority at which something waits; internal to the claims.';
