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
-- Cost: one bounded probe of the ready index for each queue and priority, and one more for each that is needed
-- to fill p_limit, whatever the backlog: one statement over all queues would sort it, and so would a bitmap of
-- one queue, which is why the function forbids that.
create or replace function tasker.get_next_ready_steps(
  p_limit integer default 100, p_namespaces text[] default null, p_handlers text[] default null,
  p_now timestamptz default statement_timestamp())
returns table (
  place bigint, workflow_step_id bigint, task_id bigint, step_name text, task_name text, namespace_name text, version text, handler text,
  priority smallint, available_at timestamptz, attempts integer, retry_limit integer)
language plpgsql stable rows 100 set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare v_head record; v_place bigint := 0; v_rows bigint;
begin
  for v_head in
    -- Each head is at least one row, so no more of them are needed than rows.
    select q.queue_id, q.handler, n.name as namespace_name, p.priority
    from tasker.queues q join tasker.task_namespaces n on n.task_namespace_id = q.task_namespace_id
    cross join generate_series(1, 5) p (priority)
    cross join lateral (
      select s.available_at from tasker.workflow_steps s
      where s.queue_id = q.queue_id and s.priority = p.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= p_now
      order by s.available_at limit 1) h
    where q.paused_at is null and (p_namespaces is null or n.name = any (p_namespaces)) and (p_handlers is null or q.handler = any (p_handlers))
    order by p.priority, h.available_at, q.queue_id limit p_limit
  loop
    return query
    select v_place + row_number() over (order by s.available_at, s.workflow_step_id),
      s.workflow_step_id, s.task_id, n.name, k.name, v_head.namespace_name, k.version, v_head.handler, s.priority, s.available_at, s.attempts, s.retry_limit
    from (
      select s.task_id, s.workflow_step_id, s.named_step_id, s.priority, s.available_at, s.attempts, s.retry_limit from tasker.workflow_steps s
      where s.queue_id = v_head.queue_id and s.priority = v_head.priority::smallint
        and s.available_at is not null and not s.held and not s.paused and s.available_at <= p_now
      order by s.available_at, s.workflow_step_id limit p_limit - v_place) s
    join tasker.named_steps n on n.named_step_id = s.named_step_id
    -- The planner does not know the limit, takes it for a tenth of the backlog and would read all tasks.
    cross join lateral (
      select k.name, k.version from tasker.tasks t join tasker.named_tasks k on k.named_task_id = t.named_task_id
      where t.task_id = s.task_id limit 1) k
    order by 1;
    get diagnostics v_rows = row_count;
    v_place := v_place + v_rows;
    exit when v_place >= p_limit;
  end loop;
end $$;
comment on function tasker.get_next_ready_steps(integer, text[], text[], timestamptz) is
  'What a claim would take next from all queues, in the order of claiming; claims nothing.';
