-- The complete steps that ran longest, of tasks created in a period.
--   p_since      tasks created after it, up to p_now, are looked at; NULL means the 24 hours before p_now
--   p_limit      the most rows; NULL for all
--   p_namespace, p_task_name, p_version  narrow it to workflows; NULL for any
--   p_now        moves the clock, not the state; defaults to the start of the statement
-- Returns one row a step, longest first, then by step. The first twelve columns are those of the original.
-- duration_seconds is how long its last attempt ran: from the claim to the completion, three decimals.
-- Then claimed_at, and queueing_seconds: how long it could have been claimed before it was, that is from the
-- last of the completions of its parents and the instant that the transition before the claim set, or from its
-- creation if there was neither.
-- Cost: the tasks of the period (a BRIN index on created_at) and their steps by key, which offset 0 sees to, as a
-- join may read all that ever ran; the log only for the rows returned.
create or replace function tasker.get_slowest_steps(
  p_since timestamptz default null, p_limit integer default 10, p_namespace text default null, p_task_name text default null,
  p_version text default null, p_now timestamptz default statement_timestamp())
returns table (
  workflow_step_id bigint, task_id bigint, step_name text, task_name text, namespace_name text, version text,
  duration_seconds double precision, attempts integer, created_at timestamptz, completed_at timestamptz, retryable boolean,
  step_status text, claimed_at timestamptz, queueing_seconds double precision)
language sql stable rows 10 as $$
  select s.workflow_step_id, s.task_id, n.name, s.task_name, s.namespace_name, s.version,
    round(extract(epoch from s.finished_at - s.last_attempted_at), 3)::double precision, s.attempts, s.created_at, s.finished_at, s.retryable,
    s.state::text, s.last_attempted_at,
    round(extract(epoch from s.last_attempted_at - least(s.last_attempted_at, greatest(s.created_at, b.since, p.done_at))), 3)::double precision
  from (
    select s.*, k.name as task_name, k.version, m.name as namespace_name
    from tasker.tasks t
    cross join lateral (select s.* from tasker.workflow_steps s where s.task_id = t.task_id and s.state = 'complete' offset 0) s
    join tasker.named_tasks k on k.named_task_id = t.named_task_id join tasker.task_namespaces m on m.task_namespace_id = k.task_namespace_id
    where t.created_at > coalesce(p_since, p_now - interval '24 hours') and t.created_at <= p_now
      and (p_namespace is null or m.name = p_namespace) and (p_task_name is null or k.name = p_task_name)
      and (p_version is null or k.version = p_version)
    order by s.finished_at - s.last_attempted_at desc, s.workflow_step_id limit p_limit) s
  join tasker.named_steps n on n.named_step_id = s.named_step_id
  -- Completion is the last transition and the claim the one before it.
  left join lateral (
    select coalesce(l.available_at, l.at) as since from tasker.workflow_step_transitions l
    where l.task_id = s.task_id and l.workflow_step_id = s.workflow_step_id and l.seq = s.seq - 2) b on true
  cross join lateral (
    select max(p.finished_at) as done_at from tasker.workflow_step_edges e
    join tasker.workflow_steps p on p.task_id = e.task_id and p.workflow_step_id = e.from_step_id
    where e.task_id = s.task_id and e.to_step_id = s.workflow_step_id) p
  order by s.finished_at - s.last_attempted_at desc, s.workflow_step_id
$$;
comment on function tasker.get_slowest_steps(timestamptz, integer, text, text, text, timestamptz) is
  'The complete steps that ran longest, of tasks created in a period.';
