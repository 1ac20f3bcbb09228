-- The earliest instant after p_now at which a step of some queues becomes claimable; NULL if none waits for
-- time. What is due already is not looked at, so nothing that stands in front costs anything.
-- One bounded probe for each queue and priority.
create or replace function tasker.next_due_after(p_queues integer[], p_now timestamptz) returns timestamptz
language plpgsql stable set plan_cache_mode = force_generic_plan as $$
begin
  return (select min(h.available_at)
  from unnest(p_queues) q (queue_id) cross join generate_series(1, 5) p (priority)
  cross join lateral (
    select s.available_at from tasker.workflow_steps s
    where s.queue_id = q.queue_id and s.priority = p.priority::smallint
      and s.available_at is not null and not s.held and not s.paused and s.available_at > p_now
    order by s.available_at, s.workflow_step_id limit 1) h);
end $$;
comment on function tasker.next_due_after(integer[], timestamptz) is 'The earliest later instant at which a step of some queues becomes claimable.';
