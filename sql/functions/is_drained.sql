-- Whether nothing is or will become claimable for a worker unless somebody submits or intervenes: no step
-- of its queues is available (now or later, not held, not paused) or in progress.
create or replace function tasker.is_drained(p_worker_id bigint) returns boolean
language sql stable as $$
  select tasker.next_due_at(p_worker_id) is null and not exists (
    select from tasker.workers w
    join tasker.queues q on q.handler = any (w.handlers) and q.paused_at is null
    join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id and (w.namespaces is null or n.name = any (w.namespaces))
    join tasker.workflow_steps s on s.queue_id = q.queue_id
    where w.worker_id = p_worker_id and s.worker_id is not null)
$$;
comment on function tasker.is_drained(bigint) is 'Whether nothing is or will become claimable for a worker by itself.';
