-- Why each step of the tasks is not running: every reason, since when it holds, and what it is about.
--   p_task_ids  the tasks; each counts once
--   p_step_ids  narrows the answer to these steps; NULL means all
--   p_at        a past instant: state, holds and pauses as they were then, from the logs alone. NULL explains
--               the state as it is stored
--   p_now       where p_at is NULL, moves the clock, not the state
-- Returns one row a step, ordered by task and step. state, since, generation, attempts and retry_limit are
-- the step's at that instant (NULL where it did not exist yet, or where its log was pruned); claimable says
-- whether tasker.claim_steps would take it then, and is NULL where the log was pruned; claimable_since is
-- NULL unless it is.
-- reasons is an array of objects, empty where a worker is about to take the step. Each has reason and
-- since; the others of their fields are named in docs/explain.md. All but no_worker keep the step from being
-- claimed: there is none of these exactly where claimable is true.
-- Each condition of tasker.is_claimable is asked of the function itself, with every other argument at a
-- value that does no harm: what it refuses is a reason, so the rule stays in one place.
create or replace function tasker.explain_steps(
  p_task_ids bigint[], p_step_ids bigint[] default null, p_at timestamptz default null, p_now timestamptz default statement_timestamp())
returns table (
  task_id bigint, workflow_step_id bigint, name text, namespace text, handler text, at timestamptz, task_state text, state text,
  since timestamptz, generation integer, attempts integer, retry_limit integer, claimable boolean, claimable_since timestamptz, reasons jsonb)
language sql stable rows 1000 as $$
  with c as materialized (select coalesce(p_at, p_now) as at),
  f as materialized (
    select f.*, bool_and(f.known) over (partition by f.task_id) as task_known
    from (
      select * from tasker.step_situation(p_task_ids) where p_at is null
      union all
      select * from tasker.step_situation_at(p_task_ids, p_at) where p_at is not null) f),
  g as materialized (
    select f.*, f.state in ('pending', 'error') as unfinished, f.task_state in ('pending', 'in_progress') as task_open,
      -- Which parents a step waited for cannot be told where the log of one of them is gone.
      f.state is not null and (not f.known or f.state in ('pending', 'error') and not f.task_known) as pruned,
      f.state = 'cancelled' or f.state in ('pending', 'error')
        and not tasker.is_claimable(f.state, 0, f.attempts, f.retry_limit, f.retryable, f.failure_kind) as dead
    from f),
  h as (
    select g.*, case when not g.pruned then
      coalesce(g.available_at <= c.at and g.held_at is null and g.step_paused_at is null and g.task_paused_at is null
        and g.queue_paused_at is null and g.task_open, false) end as claimable
    from g, c where p_step_ids is null or g.workflow_step_id = any (p_step_ids)),
  open_parents as (
    select e.task_id, e.to_step_id as workflow_step_id, jsonb_agg(jsonb_build_object(
      'step_id', p.workflow_step_id, 'name', p.name, 'state', p.state, 'since', p.since, 'attempts', p.attempts, 'retry_limit', p.retry_limit,
      'next_attempt_at', case when p.attempts > 0 and p.available_at > c.at then p.available_at end, 'dead', p.dead)
      order by p.workflow_step_id) as parents
    from c, tasker.workflow_step_edges e join g p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
    where e.task_id = any (p_task_ids) and (p_at is null or e.created_at <= p_at) and not tasker.is_done(p.state) group by 1, 2),
  dead as (
    select g.task_id, jsonb_agg(jsonb_build_object('step_id', g.workflow_step_id, 'name', g.name) order by g.workflow_step_id) as steps
    from g where g.dead group by 1),
  alive as materialized (
    select w.handlers, w.namespaces from tasker.workers w, c
    where w.started_at <= c.at and c.at < least(w.lease_until, w.ended_at)),
  served as (
    select q.namespace, q.handler, (
      exists (select from alive w where q.handler = any (w.handlers) and (w.namespaces is null or q.namespace = any (w.namespaces)))) as served
    from (select distinct h.namespace, h.handler from h where h.claimable) q)
  select h.task_id, h.workflow_step_id, h.name, h.namespace, h.handler, c.at, h.task_state,
    case when not h.pruned then h.state end, case when h.state is not null and not h.pruned then h.since end,
    case when h.state is not null and not h.pruned then h.generation end, case when h.state is not null and not h.pruned then h.attempts end,
    case when h.state is not null and not h.pruned then h.retry_limit end,
    h.claimable, case when h.claimable then greatest(h.available_at, h.freed_at) end, r.reasons
  from c, h
  left join open_parents o on o.task_id = h.task_id and o.workflow_step_id = h.workflow_step_id
  left join dead d on d.task_id = h.task_id
  left join served v on v.namespace = h.namespace and v.handler = h.handler
  left join tasker.workers w on w.worker_id = h.worker_id
  cross join lateral (
    -- A lease is its last renewal and what that grants; one that was renewed after the past instant held at
    -- it, but until when, as it stood then, nobody noted.
    select case when p_at is null then w.lease_until
      when w.last_seen_at <= c.at then
        least(w.last_seen_at + w.lease_ms * interval '1 ms', case when w.ended_at <= c.at then w.ended_at end) end as lease_until) lease
  cross join lateral (
    select coalesce(jsonb_agg(r.reason order by r.place) filter (where r.reason is not null), '[]') as reasons
    from (values
      (1, case when h.state is null then jsonb_build_object('reason', 'not_created', 'created_at', h.created_at) end),
      (2, case when h.pruned then jsonb_build_object('reason', 'pruned', 'logged_from', h.logged_from) end),
      (3, case when not h.pruned and h.state = 'in_progress' then jsonb_build_object(
        'reason', 'in_progress', 'since', h.since, 'worker_id', h.worker_id, 'worker', w.name, 'attempt', h.attempts, 'retry_limit', h.retry_limit,
        'lease_until', lease.lease_until, 'lease_ran_out', coalesce(lease.lease_until <= c.at, false)) end),
      (4, case when not h.pruned and h.state <> 'in_progress' and not tasker.is_claimable(h.state, 0, 0, 1, true, null) then
        jsonb_build_object('reason', h.state, 'since', h.since)
          || case when h.state = 'complete' then '{}' else jsonb_build_object('actor', h.actor, 'because', h.reason) end end),
      (5, case when h.unfinished and not h.pruned and not tasker.is_claimable('error', 0, 0, 1, true, h.failure_kind) then
        jsonb_build_object('reason', 'permanent', 'since', h.since, 'error', h.reason) end),
      (6, case when h.unfinished and not h.pruned and not tasker.is_claimable('error', 0, h.attempts, h.retry_limit, true, null) then
        jsonb_build_object('reason', 'exhausted', 'since', greatest(h.since, h.limit_at), 'attempts', h.attempts, 'retry_limit', h.retry_limit,
          'failure_kind', case when h.state = 'error' then h.failure_kind end, 'error', case when h.state = 'error' then h.reason end) end),
      (7, case when h.unfinished and not h.pruned and not tasker.is_claimable('error', 0, h.attempts, h.attempts + 1, h.retryable, null) then
        jsonb_build_object('reason', 'not_retryable', 'since', h.since, 'failure_kind', case when h.state = 'error' then h.failure_kind end,
          'error', case when h.state = 'error' then h.reason end) end),
      (8, case when h.unfinished and not h.pruned and not tasker.is_claimable('pending', h.pending_parents, 0, 1, true, null) then
        jsonb_build_object('reason', 'waiting_for_parents', 'since', h.since, 'done', h.total_parents - h.pending_parents,
          'total', h.total_parents, 'parents', coalesce(o.parents, '[]')) end),
      (9, case when h.unfinished and not h.pruned and h.held_at is not null then
        jsonb_build_object('reason', 'held', 'since', h.held_at, 'dead', coalesce(d.steps, '[]')) end),
      (10, case when h.unfinished and not h.pruned and h.step_paused_at is not null then
        jsonb_build_object('reason', 'paused', 'what', 'step', 'since', h.step_paused_at) end),
      (11, case when h.unfinished and not h.pruned and h.task_paused_at is not null then
        jsonb_build_object('reason', 'paused', 'what', 'task', 'since', h.task_paused_at) end),
      (12, case when h.unfinished and not h.pruned and h.queue_paused_at is not null then
        jsonb_build_object('reason', 'paused', 'what', 'queue', 'since', h.queue_paused_at, 'namespace', h.namespace, 'handler', h.handler) end),
      (13, case when h.unfinished and not h.pruned and not h.task_open then
        jsonb_build_object('reason', 'task_finished', 'since', h.task_since, 'state', h.task_state) end),
      (14, case when h.unfinished and not h.pruned and h.attempts > 0 and h.available_at > c.at then
        jsonb_build_object('reason', 'waiting_for_retry', 'since', h.since, 'due_at', h.available_at, 'attempt', h.attempts + 1,
          'retry_limit', h.retry_limit, 'failure_kind', case when h.state = 'error' then h.failure_kind end,
          'error', case when h.state = 'error' then h.reason end) end),
      (15, case when h.unfinished and not h.pruned and h.attempts = 0 and h.available_at > c.at then
        jsonb_build_object('reason', 'scheduled', 'since', h.since, 'due_at', h.available_at) end),
      (16, case when h.claimable and not v.served then
        jsonb_build_object('reason', 'no_worker', 'namespace', h.namespace, 'handler', h.handler, 'since', greatest(h.available_at, h.freed_at, (
          select max(least(x.lease_until, x.ended_at)) from tasker.workers x
          where h.handler = any (x.handlers) and (x.namespaces is null or h.namespace = any (x.namespaces))
            and least(x.lease_until, x.ended_at) <= c.at))) end)) r (place, reason)) r
  order by h.task_id, h.workflow_step_id
$$;
comment on function tasker.explain_steps(bigint[], bigint[], timestamptz, timestamptz) is
  'Why each step of the tasks is not running, now or at a past instant.';
