-- Where every task there is stands, for callers that filter it by task or status: the one text of how steps are
-- counted and what follows. Inlined, so the filter reaches the tables; it has no order of its own.
-- Columns as tasker.get_task_execution_contexts_batch.
create or replace function tasker.task_execution_contexts_at(p_now timestamptz, p_open boolean)
returns table (
  task_id bigint, named_task_id integer, status text, total_steps bigint, pending_steps bigint, in_progress_steps bigint,
  completed_steps bigint, failed_steps bigint, ready_steps bigint, execution_status text, recommended_action text,
  completion_percentage numeric, health_status text, cancelled_steps bigint, dead_steps bigint, waiting_for_retry_steps bigint,
  held_steps bigint, next_retry_at timestamptz, detailed_status text)
language sql stable parallel safe rows 1000 as $$
  select c.task_id, c.named_task_id, c.state, c.total, c.pending, c.in_progress, c.done, c.failed, c.ready,
    case when c.verdict in ('waiting_for_retry', 'held') then 'waiting_for_dependencies' else c.verdict end,
    case c.verdict
      when 'has_ready_steps' then 'execute_ready_steps' when 'processing' then 'wait_for_completion'
      when 'blocked_by_failures' then 'handle_failures'
      when 'all_complete' then 'finalize_task' else 'wait_for_dependencies' end,
    case when c.total = 0 then 0.0 else round(c.done * 100.0 / c.total, 2) end,
    case when c.failed = 0 then 'healthy' when c.ready > 0 then 'recovering' when c.dead_errors > 0 then 'blocked' else 'recovering' end,
    c.cancelled, c.dead, c.retrying, c.held, c.next_retry_at, c.verdict
  from (
    select a.*, case
        when a.ready > 0 then 'has_ready_steps' when a.in_progress > 0 then 'processing' when a.retrying > 0 then 'waiting_for_retry'
        when a.dead > 0 then 'blocked_by_failures' when a.done = a.total then 'all_complete' when a.held > 0 then 'held'
        else 'waiting_for_dependencies' end as verdict
    from (
      select t.task_id, t.named_task_id, t.state::text as state, count(s.state) as total,
        count(*) filter (where s.state = 'pending') as pending, count(*) filter (where s.state = 'in_progress') as in_progress,
        count(*) filter (where tasker.is_done(s.state)) as done, count(*) filter (where s.state = 'error') as failed,
        count(*) filter (where s.state = 'cancelled') as cancelled,
        count(*) filter (where s.available_at <= p_now and s.runs) as ready,
        count(*) filter (where s.available_at > p_now and s.runs) as retrying,
        min(s.available_at) filter (where s.available_at > p_now and s.runs) as next_retry_at,
        count(*) filter (where s.available_at is not null and not s.runs) as held,
        count(*) filter (where s.dead) as dead, count(*) filter (where s.dead and s.state = 'error') as dead_errors
      from tasker.tasks t
      left join lateral (
        select s.state, s.available_at,
          not s.held and not s.paused and t.paused_at is null and t.state in ('pending', 'in_progress') and q.paused_at is null as runs,
          s.state = 'cancelled' or s.state in ('pending', 'error')
            and not tasker.is_claimable(s.state, 0, s.attempts, s.retry_limit, s.retryable, s.failure_kind) as dead
        from tasker.workflow_steps s left join tasker.queues q on q.queue_id = s.queue_id where s.task_id = t.task_id) s on true
      where not p_open or t.finished_at is null
      group by t.task_id, t.named_task_id, t.state) a) c
$$;
comment on function tasker.task_execution_contexts_at(timestamptz, boolean) is 'Where every task stands, to be filtered; internal to the read functions.';
