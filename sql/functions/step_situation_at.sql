-- What tasker.explain_steps judges, for every step of the tasks as it was at a past instant, from the logs
-- and edges alone: of the rows only what never changes is read, and the retry limit where nobody changed it
-- since. Internal to tasker.explain_steps.
--   p_at  everything logged at or before it has happened, nothing after it has
-- Columns as tasker.step_situation. state is NULL for a step that did not exist yet. known is false where
-- the log of the step or its task no longer reaches back to p_at: the transition before the first one after
-- p_at is gone; logged_from is where it begins.
-- That a child becomes available is no transition: it is from the instant at which its last parent was done,
-- its own last transition or tasker.retry_steps_now made it available, or a raised limit gave it attempts, whichever
-- came last.
create or replace function tasker.step_situation_at(p_task_ids bigint[], p_at timestamptz)
returns table (
  task_id bigint, workflow_step_id bigint, name text, namespace text, handler text, known boolean, created_at timestamptz,
  task_state text, task_since timestamptz, state text, since timestamptz, generation integer, attempts integer, retry_limit integer,
  retryable boolean, failure_kind text, pending_parents integer, total_parents integer, available_at timestamptz, worker_id bigint,
  actor text, reason text, held_at timestamptz, step_paused_at timestamptz, task_paused_at timestamptz, queue_paused_at timestamptz,
  freed_at timestamptz, limit_at timestamptz, logged_from timestamptz)
language sql stable rows 1000 as $$
  with t as (
    select k.task_id, coalesce(l.to_state::text, 'pending') as state, coalesce(l.at, k.created_at) as since,
      coalesce(l.seq, 0) + 1 = coalesce(n.seq, k.seq + 1) as known
    from tasker.tasks k
    left join lateral (
      select x.to_state, x.at, x.seq from tasker.task_transitions x where x.task_id = k.task_id and x.at <= p_at order by x.seq desc limit 1) l on true
    left join lateral (
      select min(x.seq) as seq from tasker.task_transitions x where x.task_id = k.task_id and x.at > p_at) n on true
    where k.task_id = any (p_task_ids)),
  s as materialized (
    select s.task_id, s.workflow_step_id, s.named_step_id, s.queue_id, s.created_at, s.retryable,
      case when s.created_at <= p_at then coalesce(l.to_state::text, 'pending') end as state, coalesce(l.at, s.created_at) as since,
      coalesce(l.generation, 1) as generation, coalesce(l.attempt, 0) as attempts,
      coalesce((
        select (c.old_value #>> '{}')::integer from tasker.control_log c
        where c.task_id = s.task_id and c.workflow_step_id = s.workflow_step_id and c.kind = 'retry_limit' and c.at > p_at
        order by c.control_id limit 1), s.retry_limit) as retry_limit,
      l.failure_kind::text as failure_kind, coalesce((
        select (c.new_value ->> 'available_at')::timestamptz from tasker.control_log c
        where c.task_id = s.task_id and c.workflow_step_id = s.workflow_step_id and c.kind = 'due' and c.at <= p_at
          and (c.new_value ->> 'seq')::integer = coalesce(l.seq, 0)
        order by c.control_id desc limit 1), case when l.seq is null then s.created_at else l.available_at end) as own_at,
      case when l.to_state = 'in_progress' then l.worker_id end as worker_id, l.actor, l.reason, coalesce(l.seq, 0) as seq,
      t.state as task_state, t.since as task_since, n.at as logged_from,
      t.known and coalesce(l.seq, 0) + 1 = coalesce(n.seq, s.seq + 1) as known
    from t join tasker.workflow_steps s on s.task_id = t.task_id
    left join lateral (
      select x.* from tasker.workflow_step_transitions x
      where x.task_id = s.task_id and x.workflow_step_id = s.workflow_step_id and x.at <= p_at order by x.seq desc limit 1) l on true
    left join lateral (
      select x.seq, x.at from tasker.workflow_step_transitions x
      where x.task_id = s.task_id and x.workflow_step_id = s.workflow_step_id and x.at > p_at order by x.seq limit 1) n on true),
  p as (
    select e.task_id, e.to_step_id as workflow_step_id, count(*)::integer as total,
      count(*) filter (where not tasker.is_done(s.state))::integer as pending, max(s.since) filter (where tasker.is_done(s.state)) as done_at
    from tasker.workflow_step_edges e join s on s.task_id = e.task_id and s.workflow_step_id = e.from_step_id
    where e.task_id = any (p_task_ids) and e.created_at <= p_at group by 1, 2)
  select s.task_id, s.workflow_step_id, n.name, m.name, q.handler, s.known, s.created_at,
    s.task_state, s.task_since, s.state, s.since, s.generation, s.attempts, s.retry_limit,
    s.retryable, s.failure_kind, coalesce(p.pending, 0), coalesce(p.total, 0),
    case when tasker.is_claimable(s.state, coalesce(p.pending, 0), s.attempts, s.retry_limit, s.retryable, s.failure_kind) then
      coalesce(greatest(s.own_at, p.done_at, (
        select max(x.at) from tasker.control_log x
        where x.task_id = s.task_id and x.workflow_step_id = s.workflow_step_id and x.kind = 'retry_limit' and x.at <= p_at
          and (x.old_value #>> '{}')::integer <= s.attempts and (x.new_value #>> '{}')::integer > s.attempts)), s.since) end,
    s.worker_id, s.actor, s.reason,
    -- Cancelling and resolving end a hold too.
    case when not exists (
      select from tasker.workflow_step_transitions x
      where x.task_id = s.task_id and x.workflow_step_id = s.workflow_step_id and x.seq > c.held_seq and x.seq <= s.seq
        and x.to_state in ('cancelled', 'resolved_manually')) then c.held_at end,
    case when c.task_paused_at is null then c.step_paused_at end, c.task_paused_at, c.queue_paused_at, c.freed_at, c.limit_at, s.logged_from
  from s left join p on p.task_id = s.task_id and p.workflow_step_id = s.workflow_step_id
  join tasker.named_steps n on n.named_step_id = s.named_step_id
  join tasker.queues q on q.queue_id = s.queue_id join tasker.task_namespaces m on m.task_namespace_id = q.task_namespace_id
  cross join lateral tasker.step_controls(s.task_id, s.workflow_step_id, s.queue_id, p_at) c
$$;
comment on function tasker.step_situation_at(bigint[], timestamptz) is
  'What explain judges, as it was at a past instant, from the logs and edges alone; internal to tasker.explain_steps.';
