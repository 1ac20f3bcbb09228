-- What one call of tasker.claim_steps would take now, for a worker that serves everything named; claims and locks
-- nothing.
--   p_limit       the most rows
--   p_namespaces  the namespaces looked at; NULL for all
--   p_handlers    the handlers looked at; NULL for all
--   p_now         moves the clock, not the state; defaults to the start of the statement
-- Returns one row a step in the order of claiming, which place counts from 1: by priority; within one, queue
-- after queue, the one whose first step has been available longest first; within a queue, longest available
-- first. Among steps that became available at one instant a claim takes those that are stored first; they stand
-- by id here. Paused queues, and steps that are held, paused or due later, are left out.
-- Cost: two bounded probes of the ready index for each queue and priority, whatever the backlog: one statement
-- over all queues would sort it, and so would a bitmap of one queue, which is why the function forbids that.
create or replace function tasker.get_next_ready_steps(
  p_limit integer default 100, p_namespaces text[] default null, p_handlers text[] default null,
  p_now timestamptz default statement_timestamp())
returns table (
  place bigint, workflow_step_id bigint, task_id bigint, step_name text, task_name text, namespace_name text, version text, handler text,
  priority smallint, available_at timestamptz, attempts integer, retry_limit integer)
language plpgsql stable rows 100 set plan_cache_mode = force_generic_plan set enable_bitmapscan = off as $$
#variable_conflict use_column
begin
  return query
  select row_number() over (order by r.priority, r.head, r.queue_id, r.available_at, r.task_id, r.workflow_step_id) as place,
    r.workflow_step_id, r.task_id, n.name, k.name, r.namespace_name, k.version, r.handler, r.priority, r.available_at, r.attempts, r.retry_limit
  from (
    select h.queue_id, h.handler, h.namespace_name, h.head, s.*
    from (
      -- Each head is at least one row, so no more of them are needed than rows.
      select q.queue_id, q.handler, n.name as namespace_name, p.priority, h.available_at as head
      from tasker.queues q join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id
      cross join generate_series(1, 5) p (priority)
      cross join lateral (
        select s.available_at from tasker.workflow_steps s
        where s.queue_id = q.queue_id and s.priority = p.priority::smallint
          and s.available_at is not null and not s.held and not s.paused and s.available_at <= p_now
        order by s.available_at limit 1) h
      where q.paused_at is null and (p_namespaces is null or n.name = any (p_namespaces)) and (p_handlers is null or q.handler = any (p_handlers))
      order by p.priority, h.available_at, q.queue_id limit p_limit) h
    cross join lateral (
      select s.task_id, s.workflow_step_id, s.named_step_id, s.priority, s.available_at, s.attempts, s.retry_limit from tasker.workflow_steps s
      where s.queue_id = h.queue_id and s.priority = h.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= p_now
      order by s.available_at limit p_limit) s
    order by h.priority, h.head, h.queue_id, s.available_at, s.task_id, s.workflow_step_id limit p_limit) r
  join tasker.named_steps n on n.named_step_id = r.named_step_id
  join tasker.tasks t on t.task_id = r.task_id join tasker.named_tasks k on k.named_task_id = t.named_task_id
  order by 1;
end $$;
comment on function tasker.get_next_ready_steps(integer, text[], text[], timestamptz) is
  'What a claim would take next from all queues, in the order of claiming; claims nothing.';
