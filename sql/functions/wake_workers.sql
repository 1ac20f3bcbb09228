-- Tells workers that wait for work to look again, by a notification on the channel `tasker` that arrives
-- when the caller's transaction commits. A hint only: whoever misses it looks at its next poll. While no
-- worker waits nothing is sent, because transactions that notify commit one after the other.
create or replace function tasker.wake_workers() returns void
language plpgsql set plan_cache_mode = force_generic_plan as $$
begin
  perform pg_notify('tasker', '') where exists (select from tasker.workers w where w.waiting and w.ended_at is null);
end $$;
comment on function tasker.wake_workers() is 'Tells workers that wait for work to look again; a hint only.';
