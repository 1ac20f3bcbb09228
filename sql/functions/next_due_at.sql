-- When the next step becomes claimable for a worker: the earliest available_at over its queues, which may
-- lie in the past; NULL if nothing waits for time. One bounded probe for each queue and priority.
create or replace function tasker.next_due_at(p_worker_id bigint) returns timestamptz
language sql stable as $$
  select min(h.available_at)
  from tasker.workers w
  join tasker.queues q on q.handler = any (w.handlers) and q.paused_at is null
  join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id and (w.namespaces is null or n.name = any (w.namespaces))
  cross join generate_series(1, 5) p (priority)
  cross join lateral (
    select s.available_at from tasker.workflow_steps s
    where s.queue_id = q.queue_id and s.priority = p.priority::smallint
      and s.available_at is not null and not s.held and not s.paused
    order by s.available_at limit 1) h
  where w.worker_id = p_worker_id
$$;
comment on function tasker.next_due_at(bigint) is 'When the next step becomes claimable for a worker; NULL if nothing waits for time.';
