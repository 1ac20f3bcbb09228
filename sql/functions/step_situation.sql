-- What tasker.explain_steps judges, for every step of the tasks, from the stored rows; the log only says
-- since when and by whom. Internal to tasker.explain_steps.
-- Returns one row a step; task_since and since are the instants of the last transition (creation if there
-- was none), available_at is NULL unless tasker.is_claimable, held_at and the three paused_at are NULL
-- unless it is held or paused, known is always true.
-- A child is available from the end of its last parent: of two that end at once, release_children may have
-- noted the earlier one's instant.
create or replace function tasker.step_situation(p_task_ids bigint[])
returns table (
  task_id bigint, workflow_step_id bigint, name text, namespace text, handler text, known boolean, created_at timestamptz,
  task_state text, task_since timestamptz, state text, since timestamptz, generation integer, attempts integer, retry_limit integer,
  retryable boolean, failure_kind text, pending_parents integer, total_parents integer, available_at timestamptz, worker_id bigint,
  actor text, reason text, held_at timestamptz, step_paused_at timestamptz, task_paused_at timestamptz, queue_paused_at timestamptz,
  freed_at timestamptz, limit_at timestamptz, logged_from timestamptz)
language sql stable rows 1000 as $$
  select s.task_id, s.workflow_step_id, n.name, m.name, q.handler, true, s.created_at,
    t.state::text, coalesce(t.finished_at, t.created_at), s.state::text, coalesce(l.at, s.created_at), s.generation, s.attempts, s.retry_limit,
    s.retryable, s.failure_kind::text, s.pending_parents, s.total_parents,
    case when s.available_at is not null then greatest(s.available_at, (
      select max(p.finished_at) from tasker.workflow_step_edges e
      join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
      where e.task_id = s.task_id and e.to_step_id = s.workflow_step_id)) end,
    s.worker_id, l.actor, coalesce(l.reason, s.last_error),
    case when s.held then coalesce(c.held_at, s.created_at) end,
    case when s.paused and t.paused_at is null then coalesce(c.step_paused_at, s.created_at) end, t.paused_at, q.paused_at,
    c.freed_at, c.limit_at, null::timestamptz
  from tasker.tasks t join tasker.workflow_steps s on s.task_id = t.task_id
  join tasker.named_steps n on n.named_step_id = s.named_step_id
  join tasker.queues q on q.queue_id = s.queue_id join tasker.task_namespaces m on m.task_namespace_id = q.task_namespace_id
  left join tasker.workflow_step_transitions l on l.task_id = s.task_id and l.workflow_step_id = s.workflow_step_id and l.seq = s.seq
  cross join lateral tasker.step_controls(s.task_id, s.workflow_step_id, s.queue_id, 'infinity') c
  where t.task_id = any (p_task_ids)
$$;
comment on function tasker.step_situation(bigint[]) is 'What explain judges, from the stored rows; internal to tasker.explain_steps.';
